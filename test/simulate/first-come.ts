import type { Replay } from '../../src/simulate/replay/compare.ts'
import type { ReplayedJob, WaitingSample } from '../../src/simulate/replay/replayed.ts'

/**
 * The plainest fleet there could be: every job takes the slot that is free first, in the order they came. For what is done with a replay, whose numbers can
 * then be worked out by hand.
 */
export const firstCome: Replay = async (scenario, ended) => {
  const slots = scenario.hosts.flatMap(({ pool, count, engines }) =>
    Array.from({ length: count * Object.values(engines).reduce((sum, { slots }) => sum + slots, 0) }, () => ({ pool, freeAt: 0 })),
  )
  const jobs = scenario.jobs.map((job): ReplayedJob => {
    const slot = slots.reduce((best, one) => (one.freeAt < best.freeAt ? one : best))
    const assignedAt = Math.max(job.submittedAt, slot.freeAt)
    const startedAt = assignedAt + bootOf(scenario, job.engine ?? 'user')
    slot.freeAt = startedAt + job.runsMs
    return { job, pool: slot.pool, assignedAt, startedAt, endedAt: slot.freeAt, attempts: 1 }
  })
  ended(jobs.length)
  return { jobs, samples: samplesOf(jobs) }
}

function bootOf({ hosts }: Parameters<Replay>[0], engine: string): number {
  return Object.entries(hosts[0]?.engines ?? {}).find(([name]) => name === engine)?.[1].bootMs ?? 0
}

function samplesOf(jobs: readonly ReplayedJob[]): readonly WaitingSample[] {
  const moments = [...new Set(jobs.flatMap(({ job, assignedAt }) => [job.submittedAt, assignedAt ?? 0]))].sort((one, other) => one - other)
  return moments.map((at) => {
    const jobCount = jobs.filter(({ job, assignedAt }) => job.submittedAt <= at && at < (assignedAt ?? 0)).length
    const full = { subject: 'class/all', code: 'noCapacity', message: 'every slot is taken', cure: 'add a host', jobCount } as const
    return { at, waiting: jobCount === 0 ? [] : [full] }
  })
}
