import { z } from 'zod'
import { AttemptId, HostId, JobId, Name } from './id.ts'
import type { Instant } from './instant.ts'
import { Labels, Shape } from './shape.ts'

/** Where a sandbox can run: a macOS VM, a Linux VM, or a fresh account. */
export const engineNames = ['user', 'qemu', 'tart'] as const
export const EngineName = z.enum(engineNames)
export type EngineName = (typeof engineNames)[number]

/** What a job may require of its machine. */
export const machineFeatures = ['gpu', 'nested', 'secureBoot', 'tpm'] as const
export type MachineFeature = (typeof machineFeatures)[number]

/** Which of them each engine can give a job. */
export const featuresOfEngines: Readonly<Record<EngineName, readonly MachineFeature[]>> = { user: [], qemu: [], tart: [] }

/** SHA-256 of the bytes, lower-case hex: the name of a blob. */
export const BlobDigest = z.string().regex(/^[0-9a-f]{64}$/, 'a SHA-256 in lower-case hex')
export type BlobDigest = string

/** A path inside the job's work directory: relative, with no `..`, no empty part, no NUL. */
export const RelativePath = z
  .string()
  .min(1)
  .max(4096)
  .refine(
    (path) =>
      !path.startsWith('/') && !path.includes('\0') && path.split('/').every((part) => part !== '' && part !== '..' && part !== '.'),
    {
      error: 'a relative path without "..", "." or empty parts',
    },
  )

export const Source = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('none') }),
  /** A tar (zstd) of a directory, uploaded before the job was submitted. */
  z.strictObject({ kind: z.literal('upload'), blob: BlobDigest }),
  /** A git repository by URL (https, ssh, git, file) and full commit id; each host keeps a mirror per URL. */
  z.strictObject({
    kind: z.literal('git'),
    url: z
      .string()
      .min(1)
      .max(2048)
      .regex(/^(?:https|http|ssh|git|file):\/\/[^\s]+$|^[\w.-]+@[\w.-]+:[^\s]+$/, 'an https, ssh, git or file URL'),
    commit: z.string().regex(/^[0-9a-f]{40}(?:[0-9a-f]{24})?$/, 'a full commit id'),
  }),
  /** A directory of the host that runs the job, shown inside read-only; nothing is copied. The host must allow it. */
  z.strictObject({
    kind: z.literal('mount'),
    path: z
      .string()
      .max(4096)
      .regex(/^\/(?!.*\0)/s, 'an absolute path on the host'),
  }),
])
export type Source = z.infer<typeof Source>

/** A name that a process environment takes. `CIDERY_…` is ours. */
export const EnvironmentName = z
  .string()
  .regex(/^(?!CIDERY_)[A-Za-z_][A-Za-z0-9_]{0,254}$/, 'letters, digits and underscores, not starting with a digit or CIDERY_')

export const JobSpec = z
  .strictObject({
    queue: Name.default('default'),
    /** What to run: words handed to exec, or a script handed to `/bin/sh -e` (or to the interpreter in its `#!` line). Exactly one. */
    command: z.array(z.string().max(131_072)).min(1).max(4096).optional(),
    script: z.string().min(1).max(1_048_576).optional(),
    name: z.string().max(200).optional(),
    env: z.record(EnvironmentName, z.string().max(131_072)).default({}),
    source: Source.default({ kind: 'none' }),
    /** Files put into the work directory before the command starts. */
    files: z
      .array(z.strictObject({ path: RelativePath, blob: BlobDigest, mode: z.int().min(0).max(0o777).default(0o644) }))
      .max(1000)
      .default([]),
    /** Globs, relative to the work directory, of files kept after the command ended (whatever its result). */
    artifacts: z.array(z.string().min(1).max(1024)).max(100).default([]),
    engine: EngineName.optional(),
    image: Name.optional(),
    labels: Labels.default({}),
    shape: Shape.partial().default({}),
    /** −100 (last) … 100 (first), within the queue. */
    priority: z.int().min(-100).max(100).default(0),
    /** Seconds that the command may run. */
    timeoutS: z.int().min(1).max(604_800).optional(),
    /** How often an attempt that failed for a fault of the infrastructure is tried again. */
    retries: z.int().min(0).max(10).optional(),
    /** Names of the queue's secrets that this job gets as files in `$CIDERY_SECRETS`. */
    secrets: z
      .array(z.string().regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,127}$/))
      .max(100)
      .default([]),
    network: z.enum(['nat', 'host', 'none']).optional(),
    /** What the machine must have besides; a job whose engine cannot give it is refused, never run without. */
    requires: z.array(z.enum(machineFeatures)).max(machineFeatures.length).optional(),
  })
  .refine((spec) => (spec.command === undefined) !== (spec.script === undefined), {
    error: 'give exactly one of command and script',
    path: ['command'],
  })
export type JobSpec = z.infer<typeof JobSpec>

/** A job spec with every default of queue and fleet filled in; what the agent gets. */
export interface ResolvedJob {
  readonly spec: JobSpec
  readonly engine: EngineName
  readonly image: string | null
  readonly shape: Shape
  readonly timeoutS: number
  readonly retries: number
  readonly network: 'nat' | 'host' | 'none'
  /** Bytes of log after which output is cut with a mark. */
  readonly logBytes: number
}

export const jobStates = ['queued', 'assigned', 'running', 'ended'] as const
export type JobState = (typeof jobStates)[number]

/** Which part failed when cidery and not the job was at fault. */
export const infrastructureParts = ['image', 'host', 'boot', 'network', 'agent', 'source', 'disk', 'supervisor'] as const

/** How an attempt or a job ended; exactly one is ever recorded for each. */
export const Outcome = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('exited'), code: z.int().min(0).max(255) }),
  z.strictObject({ kind: z.literal('signalled'), signal: z.int().min(1).max(64) }),
  z.strictObject({ kind: z.literal('timedOut'), afterS: z.int() }),
  z.strictObject({ kind: z.literal('cancelled'), by: z.string() }),
  /** The job's own set-up cannot work (no such commit, a secret that is not there): not retried. */
  z.strictObject({ kind: z.literal('setupFailed'), step: z.string(), message: z.string() }),
  z.strictObject({ kind: z.literal('infrastructure'), part: z.enum(infrastructureParts), code: z.string(), message: z.string() }),
])
export type Outcome = z.infer<typeof Outcome>

export const attemptStates = ['assigned', 'booting', 'preparing', 'running', 'collecting', 'cleaning', 'ended'] as const
export type AttemptState = (typeof attemptStates)[number]

/** When each phase of an attempt began, on the host's clock corrected by its skew. */
export const AttemptTimes = z.strictObject({
  assigned: z.number().optional(),
  booting: z.number().optional(),
  preparing: z.number().optional(),
  sourceReady: z.number().optional(),
  running: z.number().optional(),
  collecting: z.number().optional(),
  cleaning: z.number().optional(),
  ended: z.number().optional(),
})
export type AttemptTimes = z.infer<typeof AttemptTimes>

export const Artifact = z.strictObject({ path: RelativePath, sizeBytes: z.int().nonnegative(), mode: z.int(), blob: BlobDigest })
export type Artifact = z.infer<typeof Artifact>
export const ArtifactFailure = z.strictObject({ pattern: z.string(), path: z.string().optional(), reason: z.string() })
export type ArtifactFailure = z.infer<typeof ArtifactFailure>

/** One try of a job on one host. `generation` is the job's generation it was made under: results of an older one are refused. */
export interface Attempt {
  readonly id: AttemptId
  readonly jobId: JobId
  readonly number: number
  readonly hostId: HostId
  readonly hostBootId: string
  /** Build of an image that its sandbox boots; null for an image that the operator put on the host, or none. */
  readonly buildId: string | null
  readonly state: AttemptState
  readonly generation: number
  readonly cancelRequested: { readonly by: string; readonly at: Instant } | null
  /** Last word from the host about this attempt. */
  readonly receiptAt: Instant
  /** Until when the host may go on without hearing from a controller. */
  readonly leaseUntil: Instant
  readonly times: AttemptTimes
  readonly outcome: Outcome | null
  readonly isolation: 'account' | 'directory' | 'vm' | null
  readonly logBytes: number
  readonly logComplete: boolean
  readonly artifacts: readonly Artifact[]
  readonly artifactFailures: readonly ArtifactFailure[]
  readonly notes: readonly string[]
}

export interface Job {
  readonly id: JobId
  readonly queue: string
  readonly state: JobState
  readonly resolved: ResolvedJob
  readonly submittedAt: Instant
  readonly submittedBy: string
  readonly generation: number
  readonly attempts: number
  /** Attempts that ended by a fault of the infrastructure. */
  readonly infrastructureFailures: number
  readonly notBefore: Instant
  /** Hosts that failed this job before; another host is preferred. */
  readonly avoidHosts: readonly HostId[]
  readonly cancelRequested: { readonly by: string; readonly at: Instant } | null
  readonly outcome: Outcome | null
  readonly endedAt: Instant | null
}

/** In which states an action on a job is allowed: read by the server (409) and by the web (`disabledReason`). */
export const jobCan = {
  cancel: ['queued', 'assigned', 'running'],
  rerun: ['ended'],
} as const satisfies Record<string, readonly JobState[]>

/** The code that `cidery run` exits with: the command's own, 128 + n on a signal, 124 on its time limit, 130 when cancelled, 125 when cidery could not run it. */
export function exitCodeOf(outcome: Outcome): number {
  switch (outcome.kind) {
    case 'exited':
      return outcome.code
    case 'signalled':
      return 128 + outcome.signal
    case 'timedOut':
      return 124
    case 'cancelled':
      return 130
    case 'setupFailed':
    case 'infrastructure':
      return 125
  }
}

export { AttemptId, HostId, JobId }
