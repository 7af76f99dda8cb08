import { readFileSync, readdirSync } from 'node:fs'

export interface Sighting {
  readonly jobId: string
  readonly attempts: readonly string[]
}

/**
 * Looks at the machine itself, not at what cidery says: which attempts of which jobs have a live process now, by the environment of every
 * process. Needs root.
 */
export function liveAttempts(): ReadonlyMap<string, ReadonlySet<string>> {
  const found = new Map<string, Set<string>>()
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid)) continue
    let environment: string
    try {
      environment = readFileSync(`/proc/${pid}/environ`, 'latin1')
    } catch {
      continue // It ended between the two looks.
    }
    const jobId = /(?:^|\0)CIDERY_JOB_ID=([^\0]+)/.exec(environment)?.[1]
    const attempt = /(?:^|\0)CIDERY_ATTEMPT(?:_ID)?=([^\0]+)/.exec(environment)?.[1]
    if (jobId === undefined || attempt === undefined) continue
    const attempts = found.get(jobId) ?? new Set()
    attempts.add(attempt)
    found.set(jobId, attempts)
  }
  return found
}

/** Watches for two attempts of one job alive at the same moment; `stop` gives every case seen and how often it looked. */
export function watchForTwins(everyMs = 20): { stop(): { readonly twins: readonly Sighting[]; readonly looks: number } } {
  const twins: Sighting[] = []
  let looks = 0
  const timer = setInterval(() => {
    looks += 1
    for (const [jobId, attempts] of liveAttempts()) if (attempts.size > 1) twins.push({ jobId, attempts: [...attempts] })
  }, everyMs)
  return {
    stop() {
      clearInterval(timer)
      return { twins, looks }
    },
  }
}
