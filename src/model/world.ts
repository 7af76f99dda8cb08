import type { Host } from './host.ts'
import type { HostId } from './id.ts'
import type { ImageBuild } from './image/build.ts'
import type { HostImages, ImageLine } from './image/line.ts'
import type { Instant } from './instant.ts'
import type { Attempt, EngineName, Job } from './job.ts'
import type { Operation } from './operation.ts'
import type { Sandbox } from './sandbox.ts'
import type { Labels, Shape } from './shape.ts'

/** Jobs that are equal in all that placement looks at; `waiting` has one entry per class and cause. */
export interface JobClass {
  readonly key: string
  readonly queue: string
  readonly engine: EngineName
  readonly image: string | null
  readonly labels: Labels
  readonly shape: Shape
  readonly network: 'nat' | 'host' | 'none'
  readonly priority: number
  /** Queued jobs, iterated in the order they are served: by submission, then id. */
  readonly jobs: ReadonlyMap<string, QueuedJob>
  /** Those of `jobs` that were cancelled or wait for a retry, by the same key: the only ones a pass must look at one by one. */
  readonly special: ReadonlyMap<string, QueuedJob>
}

/** A job that has not ended, without its command, environment and files: what deciding needs of it. */
export interface LiveJob {
  readonly id: string
  readonly state: 'queued' | 'assigned' | 'running'
  readonly classKey: string
  readonly queue: string
  readonly engine: EngineName
  readonly image: string | null
  readonly labels: Labels
  readonly shape: Shape
  readonly network: 'nat' | 'host' | 'none'
  readonly priority: number
  readonly submittedAt: Instant
  readonly generation: number
  readonly notBefore: Instant
  readonly avoidHosts: readonly HostId[]
  readonly cancelRequested: { readonly by: string; readonly at: Instant } | null
  /** Attempts of it that have not ended; more than one is a bug that `check-plan` names. */
  readonly attempts: readonly string[]
}

export interface QueuedJob {
  readonly id: string
  readonly submittedAt: Instant
  readonly generation: number
  readonly notBefore: Instant
  readonly avoidHosts: readonly HostId[]
  readonly cancelRequested: boolean
  /** It has an attempt that is not known to be over. */
  readonly isBusy: boolean
}

/** An attempt that has not ended, with what placement and the lease need of its job. */
export interface LiveAttempt {
  readonly attempt: Attempt
  readonly queue: string
  readonly engine: EngineName
  readonly shape: Shape
  readonly jobGeneration: number
  /** The job's cancellation, which the attempt has to learn of. */
  readonly jobCancelled: { readonly by: string; readonly at: Instant } | null
}

/** What runs on one host, kept up as attempts come and go. */
export interface HostLoad {
  readonly attempts: readonly LiveAttempt[]
  readonly cpu: number
  readonly memoryMiB: number
  readonly diskMiB: number
  readonly sandboxes: Readonly<Record<EngineName, number>>
  /** When the last of them was assigned. */
  readonly assignedAt: Instant
  /** Boot id that all of them run under; null when they differ. */
  readonly bootId: string | null
  /** One of them has to learn that its job was cancelled. */
  readonly isCancelling: boolean
}

/** What runs of one queue: how many attempts of each engine and shape. */
export interface QueueLoad {
  readonly running: number
  readonly parts: ReadonlyMap<string, { readonly engine: EngineName; readonly shape: Shape; readonly count: number }>
}

/**
 * What was seen, with ages and holes: an indexed immutable value, advanced by committed facts (`decide/advance-world.ts`).
 * Its maps iterate in the order of their keys, so that every list made from them has a total order. Build one with `emptyWorld`.
 */
export interface World {
  readonly hosts: ReadonlyMap<string, Host>
  /** Jobs that have not ended, by id. */
  readonly jobs: ReadonlyMap<string, LiveJob>
  readonly classes: ReadonlyMap<string, JobClass>
  readonly attempts: ReadonlyMap<string, LiveAttempt>
  /** By host id; hosts without attempts are not in it. */
  readonly hostLoads: ReadonlyMap<string, HostLoad>
  /** By queue; queues without attempts are not in it. */
  readonly queueLoads: ReadonlyMap<string, QueueLoad>
  readonly operations: ReadonlyMap<string, Operation>
  readonly sandboxes: ReadonlyMap<string, Sandbox>
  /** Builds of images that did not fail. */
  readonly builds: ReadonlyMap<string, ImageBuild>
  /** Lines of images by name; those that nothing happened to yet are not in it. */
  readonly images: ReadonlyMap<string, ImageLine>
  /** By host id; hosts that no image of the fleet is kept on are not in it. */
  readonly hostImages: ReadonlyMap<string, HostImages>
  /** Since when this controller listens as the leader: it calls no host lost before one whole lost interval passed. */
  readonly listeningSince: Instant
  /** Last receipt per host, newer than `Host.lastSeenAt` between two flushes. */
  readonly lastSeen: ReadonlyMap<string, Instant>
}

/** A committed change, in commit order; null: the row is gone, or no longer of interest (an ended job). */
export type Change =
  | { readonly of: 'job'; readonly id: string; readonly job: Job | null }
  | { readonly of: 'attempt'; readonly id: string; readonly attempt: Attempt | null }
  | { readonly of: 'host'; readonly id: string; readonly host: Host | null }
  | { readonly of: 'operation'; readonly id: string; readonly operation: Operation | null }
  | { readonly of: 'sandbox'; readonly id: string; readonly sandbox: Sandbox | null }
  | { readonly of: 'build'; readonly id: string; readonly build: ImageBuild | null }
  | { readonly of: 'image'; readonly id: string; readonly line: ImageLine | null }
  | { readonly of: 'hostImages'; readonly id: string; readonly images: HostImages | null }
  | { readonly of: 'lastSeen'; readonly id: string; readonly at: Instant }
