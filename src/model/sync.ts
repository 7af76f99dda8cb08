import { z } from 'zod'
import { HostFacts } from './host.ts'
import { AttemptId, HostId, JobId } from './id.ts'
import { BuildReport, type DesiredImages } from './image/build.ts'
import { Artifact, ArtifactFailure, AttemptTimes, Outcome, attemptStates, type EngineName, type ResolvedJob } from './job.ts'
import { OperationState, type OperationRequest } from './operation.ts'

/** The protocol spoken by this version; the controller serves it and the one before. */
export const syncProtocol = 1

/** What the agent says of one attempt. `revision` goes up with each change, so a late, repeated report is recognised. */
export const AttemptReport = z.looseObject({
  id: AttemptId,
  jobId: JobId,
  /** Generation that the attempt was assigned under. */
  generation: z.int(),
  revision: z.int().nonnegative(),
  state: z.enum(attemptStates),
  times: AttemptTimes,
  outcome: Outcome.nullable(),
  isolation: z.enum(['account', 'directory', 'vm']).nullable(),
  /** Bytes of log that exist on the host; the controller holds less until the upload caught up. */
  logBytes: z.int().nonnegative(),
  artifacts: z.array(Artifact),
  artifactFailures: z.array(ArtifactFailure),
  notes: z.array(z.string().max(1000)).max(50),
})
export type AttemptReport = z.infer<typeof AttemptReport>

export const OperationReport = z.looseObject({
  id: z.string(),
  generation: z.int(),
  revision: z.int().nonnegative(),
  state: OperationState,
  exitCode: z.int().nullable(),
  pid: z.int().nullable(),
  outputTail: z.string(),
  reason: z.string(),
  /** Answer to an operation that came while another ran: what runs, and its pid. */
  rejected: z.strictObject({ by: z.string(), kind: z.string(), pid: z.int().nullable() }).nullable(),
})
export type OperationReport = z.infer<typeof OperationReport>

/** Sandboxes that people made by `cidery sandbox create`, as the agent sees them. */
export const SandboxReport = z.looseObject({
  id: z.string(),
  engine: z.string(),
  image: z.string().nullable(),
  state: z.enum(['creating', 'stopped', 'running', 'failed', 'gone']),
  reason: z.string(),
  createdAt: z.number(),
  isolation: z.enum(['account', 'directory', 'vm']).nullable(),
})
export type SandboxReport = z.infer<typeof SandboxReport>

/**
 * `POST /api/v1/agent/sync`. A request with `waitMs` > 0 is parked until what the host should look like is newer than
 * `seen`, or the time is over. Facts, attempts and operations that did not change since an acknowledged revision are left out.
 */
export const SyncRequest = z.looseObject({
  protocol: z.int().positive(),
  agentVersion: z.string().max(100),
  bootId: z.string().min(1).max(200),
  /** Made anew at each start of the agent process. */
  instanceId: z.string().min(1).max(200),
  /** Highest (epoch, generation) that this agent obeyed; it refuses a lower one. */
  seen: z.strictObject({ epoch: z.int().nonnegative(), generation: z.int().nonnegative() }),
  waitMs: z.int().min(0).max(60_000),
  sentAt: z.number(),
  facts: HostFacts.nullable(),
  attempts: z.array(AttemptReport).max(1000),
  operations: z.array(OperationReport).max(100),
  sandboxes: z.array(SandboxReport).max(1000),
  /** Builds of images that the host was given; agents before 0.2 do not say. */
  builds: z.array(BuildReport).max(100).optional(),
})
export type SyncRequest = z.infer<typeof SyncRequest>

export interface DesiredAttempt {
  readonly id: AttemptId
  readonly jobId: JobId
  readonly generation: number
  readonly job: ResolvedJob
  readonly queue: string
  /** `run`, or `cancel` by whom. The agent drops an attempt of its own that is not listed only after its end was acknowledged. */
  readonly want: 'run' | 'cancel'
  readonly cancelBy: string | null
  readonly number: number
  /** Build that its sandbox boots, in place of `job.image`; null for an image that the operator put on the host, or none. */
  readonly build: string | null
}

export interface DesiredOperation {
  readonly id: string
  readonly generation: number
  readonly request: OperationRequest
  readonly want: 'run' | 'kill'
  readonly warningMs: number
  readonly hardMs: number
}

/** A shell or command that somebody opened: the agent connects a WebSocket to `/api/v1/agent/streams/<id>`. */
export interface DesiredStream {
  readonly id: string
  readonly sandboxId: string
  readonly command: readonly string[]
  readonly tty: boolean
}

export interface BuildAcknowledgement {
  readonly id: string
  readonly revision: number
  readonly ended: boolean
}

export interface SyncResponse {
  readonly protocol: number
  readonly hostId: HostId
  readonly hostName: string
  readonly epoch: number
  readonly generation: number
  readonly controllerTime: number
  /** What this host should look like; null when `generation` is the one that the agent has seen. */
  readonly desired: {
    readonly attempts: readonly DesiredAttempt[]
    readonly operations: readonly DesiredOperation[]
    readonly sandboxes: readonly string[]
    readonly streams: readonly DesiredStream[]
    readonly settings: AgentSettings
    /** Not there in a fleet that manages no images: then the host keeps what it has. */
    readonly images?: DesiredImages
  } | null
  /** Reports that are stored: the agent need not repeat them, and may forget attempts that ended. */
  readonly acknowledged: {
    readonly attempts: readonly { readonly id: string; readonly revision: number; readonly ended: boolean }[]
    readonly operations: readonly { readonly id: string; readonly revision: number }[]
    /** `ended`: the host may forget the build's report. Only there when builds were reported. */
    readonly builds?: readonly BuildAcknowledgement[]
  }
  /** The controller wants full facts with the next sync. */
  readonly wantFacts: boolean
  /** The agent should make itself a new key. */
  readonly rotateKey: boolean
  readonly checkpoint: { readonly number: number; readonly hash: string } | null
}

/** What the sandboxes of a queue's jobs have in common when the jobs ask for nothing else. */
export type WarmSandboxes = Pick<ResolvedJob, 'image' | 'shape' | 'network'> & { readonly count: number }

/** Settings of the fleet and pool that an agent obeys, all times in milliseconds, sizes in bytes. */
export interface AgentSettings {
  readonly attemptLeaseMs: number
  readonly syncPollMs: number
  readonly cancelGraceMs: number
  readonly sweepGraceMs: number
  readonly operationGraceMs: number
  readonly artifactBytes: number
  readonly readiness: { readonly checkIntervalMs: number; readonly checkMaxAgeMs: number; readonly bootProofMaxAgeMs: number }
  readonly engines: Readonly<
    Record<
      string,
      {
        readonly slots: number | null
        readonly limits: 'enforced' | 'advisory'
        readonly networks: readonly ('nat' | 'host' | 'none')[]
        /** Sandboxes to keep started, and of each how many; none where it is not there. */
        readonly warm?: readonly WarmSandboxes[]
      }
    >
  >
  /** What the host proves that it can start, in order of name: images that its operator put there, and ids of builds. Each is for one engine. */
  readonly images: readonly { readonly name: string; readonly engine: EngineName }[]
}

export const EnrolRequest = z.strictObject({
  token: z.string().min(20).max(200),
  protocol: z.int().positive(),
  hostname: z.string().min(1).max(255),
  /** SHA-256 (hex) of the key that the agent made for itself. */
  keyHash: z.string().regex(/^[0-9a-f]{64}$/),
  os: z.enum(['linux', 'macos']),
  arch: z.enum(['x64', 'arm64']),
})
export type EnrolRequest = z.infer<typeof EnrolRequest>
export interface EnrolResponse {
  readonly hostId: HostId
  readonly name: string
  readonly pool: string
}
export { AttemptId, HostId, JobId }
