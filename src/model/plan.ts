import type { Instant } from './instant.ts'
import type { EngineName, Outcome } from './job.ts'
import type { OperationState } from './operation.ts'

/**
 * One effect, idempotent. Each carries the generation it was decided under: a stale executor changes nothing.
 *
 * `assign` makes the attempt and raises the host's `desiredGeneration`, not its `generation`: one plan may give a host several jobs. `endAttempt` records the outcome and what becomes of the job. `moveOperation` sets the state; from PENDING it
 * also sets `startedAt` and `startedBootId`. `killOperation` moves to KILLING. Both let the host's `sync` answer at once. `warnSandbox` sets `warnedAt` and leaves the generation.
 */
export type Step =
  | {
      readonly kind: 'assign'
      readonly jobId: string
      readonly jobGeneration: number
      readonly hostId: string
      readonly hostGeneration: number
      /** Build that is booted; left out for an image that the operator put on the host, or none. */
      readonly buildId?: string
      readonly why: string
    }
  | { readonly kind: 'cancelQueued'; readonly jobId: string; readonly jobGeneration: number }
  | {
      readonly kind: 'endAttempt'
      readonly attemptId: string
      readonly jobId: string
      readonly generation: number
      readonly outcome: Outcome
      readonly why: string
    }
  | { readonly kind: 'cancelAttempt'; readonly attemptId: string; readonly jobId: string; readonly generation: number; readonly by: string }
  | { readonly kind: 'hostLost'; readonly hostId: string; readonly hostGeneration: number; readonly silentMs: number }
  | {
      readonly kind: 'quarantineHost'
      readonly hostId: string
      readonly hostGeneration: number
      readonly reason: string
      readonly cure: string
      /** Engines that a restart of the machine is to cure; null: a person has to look. */
      readonly repair: readonly EngineName[] | null
    }
  | { readonly kind: 'rebootHost'; readonly hostId: string; readonly hostGeneration: number; readonly reason: string }
  | { readonly kind: 'returnHost'; readonly hostId: string; readonly hostGeneration: number; readonly why: string }
  | {
      readonly kind: 'moveOperation'
      readonly operationId: string
      readonly generation: number
      readonly to: OperationState
      readonly reason: string
    }
  | { readonly kind: 'killOperation'; readonly operationId: string; readonly generation: number; readonly reason: string }
  | { readonly kind: 'warnSandbox'; readonly sandboxId: string; readonly generation: number; readonly expiresAt: Instant }
  | { readonly kind: 'removeSandbox'; readonly sandboxId: string; readonly generation: number; readonly reason: string }
  | ImageStep

/**
 * Steps of images. `startBuild` makes a build and gives it to a host; `holdBuild` has a host bring a build (`fetch`), or keep the one that it has. `before` is what was seen of the
 * same thing: `since` of the hold, the build that was told of as ready.
 */
export type ImageStep =
  | {
      readonly kind: 'startBuild'
      readonly image: string
      readonly lineGeneration: number
      readonly recipeGeneration: number
      readonly hostId: string
      readonly hostGeneration: number
      readonly fromBase: boolean
      /** Due moment of the schedule that it answers to. */
      readonly dueAt: Instant | null
      readonly why: string
    }
  | { readonly kind: 'endBuild'; readonly buildId: string; readonly generation: number; readonly reason: string }
  | {
      readonly kind: 'skipBuild'
      readonly image: string
      readonly lineGeneration: number
      readonly dueAt: Instant
      readonly why: string
    }
  | {
      readonly kind: 'holdBuild'
      readonly hostId: string
      readonly buildId: string
      readonly image: string
      readonly fetch: boolean
      readonly bandwidth: number | null
      readonly tries: number
      readonly before: Instant | null
    }
  | { readonly kind: 'dropHold'; readonly hostId: string; readonly buildId: string; readonly before: Instant }
  | {
      readonly kind: 'promoteBuild' | 'startCanary' | 'rollBackCanary'
      readonly image: string
      readonly lineGeneration: number
      readonly buildId: string
      readonly generation: number
      readonly why: string
    }
  | {
      readonly kind: 'noteReady'
      readonly hostId: string
      readonly image: string
      readonly build: string | null
      readonly before: string | null
      readonly reason: string
    }
  | { readonly kind: 'expireForced'; readonly hostId: string; readonly image: string }
  | { readonly kind: 'removeBuild'; readonly buildId: string; readonly generation: number; readonly why: string }

/** Why a thing is not happening. Codes are API. */
export const waitingCodes = [
  'noHosts',
  'noMatch',
  'engineUnsupported',
  'networkUnsupported',
  'limitUnenforceable',
  'imageMissing',
  'hostNotReady',
  'readinessUnknown',
  'hostCordoned',
  'hostQuarantined',
  'hostLost',
  'hostStale',
  'tooLarge',
  'noCapacity',
  'queueLimit',
  'fairShare',
  'retryDelay',
  'operationBusy',
  'leaseRunning',
  'draining',
  'imageNoRecipe',
  'imageNoHost',
  'imageBuilding',
  'imageBuildFailed',
  'imageFlaky',
  'imageRejected',
  'imageRollout',
  'imageCanary',
  'imageDiskLow',
  'imageNotShared',
  'imageOld',
] as const
export type WaitingCode = (typeof waitingCodes)[number]

/** One entry per class (or other subject) and cause. */
export interface Waiting {
  /** `class/<key>`, `job/<id>`, `host/<id>`, `operation/<id>`, `attempt/<id>`, `image/<name>`. */
  readonly subject: string
  readonly code: WaitingCode
  /** `no host has the label xcode=16; 3 hosts have xcode=15`. */
  readonly message: string
  /** The next thing to type or do. */
  readonly cure: string
  /** Ids of hosts it holds for, at most 20; `hostCount` has all. */
  readonly hosts: readonly string[]
  readonly hostCount: number
  /** Jobs that wait for this. */
  readonly jobCount: number
  readonly since: Instant
}

export interface Plan {
  readonly steps: readonly Step[]
  readonly waiting: readonly Waiting[]
  /** When to decide again though nothing changed; null: no such time. */
  readonly nextAt: Instant | null
}
