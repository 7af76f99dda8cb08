import type { Host } from '../model/host.ts'
import type { AttemptId } from '../model/id.ts'
import type { Instant, Milliseconds } from '../model/instant.ts'
import type { Attempt, Job } from '../model/job.ts'

export interface Assignment {
  readonly attemptId: AttemptId
  readonly jobId: string
  readonly jobGeneration: number
  readonly hostId: string
  readonly hostGeneration: number
  readonly leaseMs: Milliseconds
  /** Build of the job's image that is booted. */
  readonly buildId?: string
  readonly why: string
}

/** The attempt that an assignment makes, under the boot that its host has now. */
export function newAttempt(
  { attemptId, leaseMs, buildId }: Assignment,
  on: { readonly job: Job; readonly host: Host; readonly bootId: string; readonly now: Instant },
): Attempt {
  return {
    id: attemptId,
    jobId: on.job.id,
    number: on.job.attempts,
    hostId: on.host.id,
    hostBootId: on.bootId,
    buildId: buildId ?? null,
    state: 'assigned',
    generation: on.job.generation,
    cancelRequested: null,
    receiptAt: on.now,
    leaseUntil: on.now + leaseMs,
    times: { assigned: on.now },
    outcome: null,
    isolation: null,
    logBytes: 0,
    logComplete: false,
    artifacts: [],
    artifactFailures: [],
    notes: [],
  }
}
