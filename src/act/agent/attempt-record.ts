import { z } from 'zod'
import { AttemptId, JobId } from '../../model/id.ts'
import { Artifact, ArtifactFailure, AttemptTimes, EngineName, JobSpec, Outcome, attemptStates } from '../../model/job.ts'
import { Shape } from '../../model/shape.ts'
import type { DesiredAttempt } from '../../model/sync.ts'

const ResolvedJob = z.object({
  spec: JobSpec,
  engine: EngineName,
  image: z.string().nullable(),
  shape: Shape,
  timeoutS: z.number(),
  retries: z.number(),
  network: z.enum(['nat', 'host', 'none']),
  logBytes: z.number(),
})

const SandboxRecord = z.object({
  paths: z.object({ home: z.string(), work: z.string(), temporary: z.string(), secrets: z.string() }),
  mounted: z.string().nullable().default(null),
  user: z.string(),
})

/** Last word from a controller, on each clock there is, and the lease that it gave: a new agent goes on counting from it. */
const Contact = z.object({ steady: z.number(), wall: z.number(), bootId: z.string(), leaseMs: z.number().optional() })
export type Contact = z.infer<typeof Contact>

/** What the agent remembers of an attempt, in its journal, from before the sandbox is made until its end was acknowledged. */
export const AttemptRecord = z.object({
  id: AttemptId,
  jobId: JobId,
  generation: z.number(),
  number: z.number(),
  queue: z.string(),
  job: ResolvedJob,
  state: z.enum(attemptStates),
  revision: z.number(),
  times: AttemptTimes,
  /** Decided when the command ended; reported when everything was cleaned. */
  outcome: Outcome.nullable(),
  isolation: z.enum(['account', 'directory', 'vm']).nullable(),
  sandbox: SandboxRecord.nullable(),
  cancelBy: z.string().nullable(),
  leaseEnded: z.boolean(),
  contact: Contact,
  /** Length of the log when it was last looked at, and whether the controller has all of it. */
  logBytes: z.number(),
  logDone: z.boolean(),
  artifacts: z.array(Artifact),
  artifactFailures: z.array(ArtifactFailure),
  notes: z.array(z.string()),
})
export type AttemptRecord = z.infer<typeof AttemptRecord>

/** The record of an attempt that was just assigned; `at` is on the corrected clock. */
export function newAttemptRecord(desired: DesiredAttempt, at: number, contact: Contact): AttemptRecord {
  return {
    id: desired.id,
    jobId: desired.jobId,
    generation: desired.generation,
    number: desired.number,
    queue: desired.queue,
    // An older controller names no build.
    job: ResolvedJob.parse({ ...desired.job, image: desired.build ?? desired.job.image }),
    state: 'assigned',
    revision: 1,
    times: { assigned: Math.round(at) },
    outcome: null,
    isolation: null,
    sandbox: null,
    cancelBy: desired.want === 'cancel' ? (desired.cancelBy ?? 'the controller') : null,
    leaseEnded: false,
    contact,
    logBytes: 0,
    logDone: false,
    artifacts: [],
    artifactFailures: [],
    notes: [],
  }
}
