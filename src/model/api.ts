import { z } from 'zod'
import { Event, SealedEvent } from './event.ts'
import { HostFacts, Schedulable, hostStates, schedulableKinds } from './host.ts'
import { Name } from './id.ts'
import { Artifact, ArtifactFailure, AttemptTimes, EngineName, JobSpec, Outcome, attemptStates, jobStates } from './job.ts'
import { OperationRequest, OperationState, operationKinds } from './operation.ts'
import { waitingCodes } from './plan.ts'
import { readinessStates } from './readiness.ts'
import { sandboxStates } from './sandbox.ts'
import { Labels, Shape } from './shape.ts'

/**
 * What travels over `/api/v1`, for server, CLI and web alike. Moments are epoch milliseconds, sizes bytes, camelCase throughout.
 * Lists answer `{ items, nextCursor }` and take `?cursor=&limit=` (1–500, default 100). Writes to a thing that has a
 * `generation` need `If-Match: "<generation>"` (428 without, 412 when stale); GETs answer it as `ETag`. Creates take `Idempotency-Key`.
 * Errors are `application/problem+json`: `Problem`.
 */
export const Problem = z.looseObject({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  code: z.string(),
  detail: z.string(),
  hint: z.string().optional(),
  problems: z.array(z.looseObject({ path: z.string(), message: z.string(), accepted: z.array(z.string()).optional() })).optional(),
  details: z.record(z.string(), z.unknown()).optional(),
})
export type Problem = z.infer<typeof Problem>

export const PageQuery = z.strictObject({
  cursor: z.string().max(500).optional(),
  limit: z.coerce.number().int().min(1).max(500).default(100),
})

export function pageOf<T extends z.ZodType>(item: T) {
  return z.strictObject({ items: z.array(item), nextCursor: z.string().nullable() })
}

export const WaitingView = z.strictObject({
  subject: z.string(),
  code: z.enum(waitingCodes),
  message: z.string(),
  cure: z.string(),
  hosts: z.array(z.string()),
  hostCount: z.int(),
  jobCount: z.int(),
  since: z.number(),
})
export type WaitingView = z.infer<typeof WaitingView>

export const AttemptView = z.strictObject({
  id: z.string(),
  number: z.int(),
  hostId: z.string(),
  hostName: z.string(),
  state: z.enum(attemptStates),
  times: AttemptTimes,
  outcome: Outcome.nullable(),
  isolation: z.enum(['account', 'directory', 'vm']).nullable(),
  leaseUntil: z.number(),
  receiptAt: z.number(),
  logBytes: z.int(),
  logComplete: z.boolean(),
  artifacts: z.array(Artifact),
  artifactFailures: z.array(ArtifactFailure),
  notes: z.array(z.string()),
})
export type AttemptView = z.infer<typeof AttemptView>

export const JobView = z.strictObject({
  id: z.string(),
  name: z.string(),
  queue: z.string(),
  state: z.enum(jobStates),
  spec: JobSpec,
  engine: EngineName,
  image: z.string().nullable(),
  shape: Shape,
  timeoutS: z.int(),
  retries: z.int(),
  network: z.enum(['nat', 'host', 'none']),
  submittedAt: z.number(),
  submittedBy: z.string(),
  endedAt: z.number().nullable(),
  generation: z.int(),
  outcome: Outcome.nullable(),
  /** What `cidery run` exits with; null until the job ended. */
  exitCode: z.int().nullable(),
  cancelRequested: z.boolean(),
  infrastructureFailures: z.int(),
  attempts: z.array(AttemptView),
  /** Why it waits; empty when it does not. */
  waiting: z.array(WaitingView),
  /** Milliseconds per step: queue, boot, source, prepare, run, collect, clean; of the last attempt. */
  stepMs: z.partialRecord(z.enum(['queue', 'boot', 'source', 'prepare', 'run', 'collect', 'clean']), z.number()),
})
export type JobView = z.infer<typeof JobView>
export const JobList = pageOf(JobView)
/** `host`: id or name of a host that the job had an attempt on. */
export const JobListQuery = PageQuery.extend({
  queue: Name.optional(),
  state: z.enum(jobStates).optional(),
  host: z.string().min(1).max(100).optional(),
})

export const HostView = z.strictObject({
  id: z.string(),
  name: z.string(),
  pool: z.string(),
  labels: Labels,
  state: z.enum(hostStates),
  schedulable: Schedulable,
  generation: z.int(),
  enrolledAt: z.number(),
  lastSeenAt: z.number().nullable(),
  /** now − lastSeenAt. */ silentMs: z.number().nullable(),
  bootId: z.string().nullable(),
  facts: HostFacts.nullable(),
  runningJobs: z.array(z.strictObject({ jobId: z.string(), attemptId: z.string(), queue: z.string(), since: z.number() })),
  used: Shape.extend({ cpu: z.number(), memoryMiB: z.number(), diskMiB: z.number() }),
  slots: z.record(z.string(), z.strictObject({ used: z.int(), total: z.int() })),
  operation: z.lazy(() => OperationView).nullable(),
  failureStreak: z.int(),
  /** What its proofs are worth now, by the limits of its pool; the proofs themselves are in `facts`. */
  readiness: z.array(
    z.strictObject({ engine: EngineName, image: z.string().nullable(), state: z.enum(readinessStates), reason: z.string() }),
  ),
  waiting: z.array(WaitingView),
})
export type HostView = z.infer<typeof HostView>
export const HostList = pageOf(HostView)
export const HostListQuery = PageQuery.extend({ pool: Name.optional(), state: z.enum(hostStates).optional() })

/** A host on the map of the fleet: what tells hosts apart at a glance, small enough for 10,000 of them. */
export const FleetHost = z.strictObject({
  id: z.string(),
  name: z.string(),
  pool: z.string(),
  state: z.enum(hostStates),
  schedulable: z.enum(schedulableKinds),
  /** The best of its engines and images. */
  readiness: z.enum(readinessStates),
  /** Jobs on it, and slots of all its engines. */
  used: z.int(),
  total: z.int(),
  /** What is being done to it. */
  operation: z.enum(operationKinds).nullable(),
})
export type FleetHost = z.infer<typeof FleetHost>
export const FleetList = pageOf(FleetHost)
/** `names`: only hosts with these names or ids, separated by commas. */
export const FleetQuery = z.strictObject({
  cursor: z.string().max(500).optional(),
  limit: z.coerce.number().int().min(1).max(2000).default(2000),
  names: z.string().min(1).max(8000).optional(),
})

export const CordonRequest = z.strictObject({ reason: z.string().max(500).default('') })
export const DrainRequest = z.strictObject({
  reason: z.string().max(500).default(''),
  /** Milliseconds from now after which running jobs are cancelled; null: never. */ deadlineMs: z.int().positive().nullable().default(null),
})

export const OperationView = z.strictObject({
  id: z.string(),
  hostId: z.string(),
  request: OperationRequest,
  state: OperationState,
  generation: z.int(),
  requestedBy: z.string(),
  requestedAt: z.number(),
  startedAt: z.number().nullable(),
  endedAt: z.number().nullable(),
  /** Milliseconds from the start: when it is warned of, when it is ended, how long its host may be away. */
  limits: z.strictObject({ warning: z.number(), hard: z.number(), reconnect: z.number() }),
  /** The hard limit as people moved it. */
  deadline: z.number().nullable(),
  killRequested: z.boolean(),
  exitCode: z.int().nullable(),
  pid: z.int().nullable(),
  outputTail: z.string(),
  reason: z.string(),
})
export type OperationView = z.infer<typeof OperationView>
/** `queueIfLost`: accept for a host that does not report, instead of 409. */
export const OperationCreate = z.strictObject({
  request: OperationRequest,
  queueIfLost: z.boolean().default(false),
  warningS: z.int().positive().optional(),
  hardS: z.int().positive().optional(),
})

export const QueueView = z.strictObject({
  name: z.string(),
  pools: z.array(z.string()),
  weight: z.number(),
  maxRunning: z.int().nullable(),
  maxQueued: z.int(),
  queued: z.int(),
  running: z.int(),
  oldestQueuedAt: z.number().nullable(),
  waiting: z.array(WaitingView),
  secrets: z.array(z.string()),
})
export type QueueView = z.infer<typeof QueueView>

export const PoolView = z.strictObject({
  name: z.string(),
  provider: z.string(),
  hosts: z.array(z.string()),
  up: z.int(),
  lost: z.int(),
  open: z.int(),
  running: z.int(),
  engines: z.array(z.string()),
  labels: Labels,
})
export type PoolView = z.infer<typeof PoolView>

export const SandboxView = z.strictObject({
  id: z.string(),
  name: z.string(),
  hostId: z.string(),
  hostName: z.string(),
  engine: EngineName,
  image: z.string().nullable(),
  state: z.enum(sandboxStates),
  reason: z.string(),
  isolation: z.string().nullable(),
  createdBy: z.string(),
  createdAt: z.number(),
  expiresAt: z.number(),
  hardExpiresAt: z.number(),
  /** ms until it is removed. */ timeLeftMs: z.number(),
  generation: z.int(),
  /** The job that owns it; null for a person's. */
  jobId: z.string().nullable(),
})
export type SandboxView = z.infer<typeof SandboxView>
export const SandboxCreate = z.strictObject({
  name: Name.optional(),
  host: z.string().optional(),
  engine: EngineName.default('user'),
  image: Name.optional(),
  ttlS: z.int().min(60).max(604_800).default(3600),
  idleS: z.int().min(60).max(604_800).optional(),
})

export const SpecView = z.strictObject({ generation: z.int(), source: z.string(), appliedAt: z.number(), appliedBy: z.string() })
export const SpecApply = z.strictObject({
  source: z.string().max(1_048_576),
  file: z.string().max(1000).default('cidery.yaml'),
  dryRun: z.boolean().default(false),
})
/** `changes`: one line per field that differs, old and new value; `consequences`: what will happen to hosts and jobs. */
export const SpecDiff = z.strictObject({
  generation: z.int(),
  applied: z.boolean(),
  changes: z.array(z.strictObject({ path: z.string(), from: z.unknown(), to: z.unknown() })),
  consequences: z.array(z.string()),
})

export const ExplainView = z.strictObject({
  subject: z.string(),
  summary: z.string(),
  waiting: z.array(WaitingView),
  facts: z.array(z.strictObject({ name: z.string(), value: z.string() })),
})

export const UploadCreate = z.strictObject({ sizeBytes: z.int().nonnegative(), digest: z.string().regex(/^[0-9a-f]{64}$/) })
export const UploadView = z.strictObject({
  id: z.string(),
  offset: z.int(),
  /** The bytes are there already: nothing to send. */ complete: z.boolean(),
})

export const ControllerView = z.strictObject({
  version: z.string(),
  instance: z.string(),
  epoch: z.int(),
  leads: z.boolean(),
  startedAt: z.number(),
  store: z.string(),
  schema: z.int(),
  url: z.string(),
  caFingerprint: z.string().nullable(),
  syncProtocols: z.array(z.int()),
  loop: z.strictObject({
    lastPassAt: z.number().nullable(),
    lastPassMs: z.number().nullable(),
    passes: z.int(),
    problem: z.string().nullable(),
  }),
})
export const CheckView = z.strictObject({
  name: z.string(),
  state: z.enum(['passed', 'warning', 'failed']),
  message: z.string(),
  fix: z.string().nullable(),
})
export const DoctorView = z.strictObject({ verdict: z.enum(['healthy', 'degraded', 'failed']), checks: z.array(CheckView) })
export const AuditVerifyView = z.strictObject({
  ok: z.boolean(),
  first: z.int().nullable(),
  last: z.int().nullable(),
  checked: z.int(),
  problem: z.string().nullable(),
})

export { Event, SealedEvent }
export * from './access-api.ts'
