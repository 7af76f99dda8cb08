import type { Instant } from '../model/instant.ts'
import type { Limits } from '../model/spec.ts'

/** A job that ended, as retention looks at it. */
export interface EndedJob {
  readonly id: string
  readonly endedAt: Instant
  readonly hasLogs: boolean
  /** Digests of blobs that this job's artifacts are. */
  readonly artifacts: readonly string[]
}

export interface RetentionPlan {
  /** Jobs whose logs go. */
  readonly logs: readonly string[]
  /** Jobs whose artifacts go. */
  readonly artifacts: readonly string[]
  /** Jobs that go altogether. */
  readonly history: readonly string[]
  /** Blobs that no job keeps any longer. */
  readonly blobs: readonly string[]
  /** When the next thing gets too old; null: nothing is left. */
  readonly nextAt: Instant | null
}

export type RetentionLimits = Pick<Limits, 'logRetention' | 'artifactRetention' | 'historyRetention'>

/**
 * What goes by its age, in the order given. A job's row goes last: with it go logs and artifacts that are still there, so that nothing is left without an owner.
 * A blob goes only when each of these jobs that had it lost it; jobs that are not in the list must be counted by whoever removes blobs.
 */
export function decideRetention(jobs: readonly EndedJob[], limits: RetentionLimits, now: Instant): RetentionPlan {
  const plan = { logs: [] as string[], artifacts: [] as string[], history: [] as string[] }
  const freed = new Set<string>()
  const kept = new Set<string>()
  let nextAt = Number.POSITIVE_INFINITY
  function isDue(job: EndedJob, age: number): boolean {
    const at = job.endedAt + age
    if (at > now) nextAt = Math.min(nextAt, at)
    return at <= now
  }
  for (const job of jobs) {
    const isGone = isDue(job, limits.historyRetention)
    if (isGone) plan.history.push(job.id)
    if (job.hasLogs && (isGone || isDue(job, limits.logRetention))) plan.logs.push(job.id)
    if (job.artifacts.length === 0) continue
    const isFreed = isGone || isDue(job, limits.artifactRetention)
    if (isFreed) plan.artifacts.push(job.id)
    for (const digest of job.artifacts) (isFreed ? freed : kept).add(digest)
  }
  const blobs = [...freed].filter((digest) => !kept.has(digest))
  return { ...plan, blobs, nextAt: Number.isFinite(nextAt) ? nextAt : null }
}
