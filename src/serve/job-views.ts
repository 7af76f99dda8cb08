import type { AttemptView, JobView, WaitingView } from '../model/api.ts'
import type { Instant } from '../model/instant.ts'
import { exitCodeOf, type Attempt, type AttemptTimes, type Job } from '../model/job.ts'
import type { Plan, Waiting } from '../model/plan.ts'
import type { Reader } from '../ports/store.ts'
import { attemptsOfJobs } from '../record/attempts.ts'
import { hostNames } from '../record/hosts.ts'

export interface ViewedJob {
  readonly job: Job
  readonly attempts: readonly Attempt[]
  readonly hostNames: ReadonlyMap<string, string>
  readonly waiting: readonly Waiting[]
}

/** A job as people see it. */
export function jobView(viewed: ViewedJob): JobView {
  const { job, attempts } = viewed
  const { spec } = job.resolved
  return {
    id: job.id,
    name: spec.name ?? nameOf(spec.command, spec.script),
    queue: job.queue,
    state: job.state,
    spec,
    engine: job.resolved.engine,
    image: job.resolved.image,
    shape: job.resolved.shape,
    timeoutS: job.resolved.timeoutS,
    retries: job.resolved.retries,
    network: job.resolved.network,
    submittedAt: job.submittedAt,
    submittedBy: job.submittedBy,
    endedAt: job.endedAt,
    generation: job.generation,
    outcome: job.outcome,
    exitCode: job.outcome === null ? null : exitCodeOf(job.outcome),
    cancelRequested: job.cancelRequested !== null,
    infrastructureFailures: job.infrastructureFailures,
    attempts: attempts.map((attempt) => attemptView(attempt, viewed.hostNames.get(attempt.hostId) ?? attempt.hostId)),
    waiting: viewed.waiting.map(waitingView),
    stepMs: stepTimes(job, attempts.at(-1)),
  }
}

function attemptView(attempt: Attempt, hostName: string): AttemptView {
  return {
    id: attempt.id,
    number: attempt.number,
    hostId: attempt.hostId,
    hostName,
    state: attempt.state,
    times: attempt.times,
    outcome: attempt.outcome,
    isolation: attempt.isolation,
    leaseUntil: attempt.leaseUntil,
    receiptAt: attempt.receiptAt,
    logBytes: attempt.logBytes,
    logComplete: attempt.logComplete,
    artifacts: [...attempt.artifacts],
    artifactFailures: [...attempt.artifactFailures],
    notes: [...attempt.notes],
  }
}

export function waitingView(waiting: Waiting): WaitingView {
  return { ...waiting, hosts: [...waiting.hosts] }
}

const nameLength = 80

function nameOf(command: readonly string[] | undefined, script: string | undefined): string {
  const text = command === undefined ? ((script ?? '').trim().split('\n')[0] ?? '') : command.join(' ')
  return text.length > nameLength ? `${text.slice(0, nameLength - 1)}…` : text
}

/**
 * Milliseconds per step of a job's last attempt: `queue` is the wait from submission (or from the end of the attempt before) to assignment; a step that has
 * begun and not ended is left out, as is one that the attempt never reached.
 */
export function stepTimes(job: Pick<Job, 'submittedAt'>, attempt: Attempt | undefined): JobView['stepMs'] {
  if (attempt === undefined) return {}
  const { times } = attempt
  const steps: JobView['stepMs'] = {}
  const add = (step: keyof JobView['stepMs'], from: Instant | undefined, to: Instant | undefined): void => {
    if (from !== undefined && to !== undefined) steps[step] = Math.max(0, to - from)
  }
  add('queue', job.submittedAt, times.assigned)
  add('boot', times.booting, firstOf(times, ['preparing', 'running', 'collecting', 'cleaning', 'ended']))
  add('source', times.preparing, times.sourceReady)
  add('prepare', times.sourceReady ?? times.preparing, firstOf(times, ['running', 'collecting', 'cleaning', 'ended']))
  add('run', times.running, firstOf(times, ['collecting', 'cleaning', 'ended']))
  add('collect', times.collecting, firstOf(times, ['cleaning', 'ended']))
  add('clean', times.cleaning, times.ended)
  return steps
}

function firstOf(times: AttemptTimes, names: readonly (keyof AttemptTimes)[]): Instant | undefined {
  for (const name of names) if (times[name] !== undefined) return times[name]
  return undefined
}

/** The causes that hold for a queued job, of the last plan: those of its class, and those of itself. */
export function waitingOfJob(job: Job, plan: Plan, classKey: string): readonly Waiting[] {
  if (job.state === 'ended') return []
  const own = `job/${job.id}`
  const subjects = job.state === 'queued' ? [own, `class/${classKey}`] : [own]
  return plan.waiting.filter(({ subject }) => subjects.includes(subject))
}

/** Views of some jobs, with what the store knows of their attempts. */
export async function viewJobs(db: Reader, jobs: readonly Job[], waitingOf: (job: Job) => readonly Waiting[]): Promise<readonly JobView[]> {
  const attempts = await attemptsOfJobs(
    db,
    jobs.map(({ id }) => id),
  )
  const names = await hostNames(
    db,
    [...attempts.values()].flat().map(({ hostId }) => hostId),
  )
  return jobs.map((job) => jobView({ job, attempts: attempts.get(job.id) ?? [], hostNames: names, waiting: waitingOf(job) }))
}
