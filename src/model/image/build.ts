import { z } from 'zod'
import type { BuildId, HostId } from '../id.ts'
import type { Instant, Milliseconds } from '../instant.ts'
import type { EngineName } from '../job.ts'
import { PhaseProgress } from './phase.ts'
import type { RecipeIdentity } from './recipe-identity.ts'
import type { Recipe } from './recipe.ts'
import { FoundTool, ImageMetadata } from './stored.ts'

/**
 * `building`: a host is at it; at most one build of an image at a time. `candidate`: it booted fresh and passed all checks. `validated`: its checks are not flaky. `promoted`:
 * what jobs get; at most one of an image. `retired`: another one was promoted since, or it came too late; it can be promoted again. `failed`: nothing is left of it but its log.
 */
export const buildStates = ['building', 'candidate', 'validated', 'promoted', 'retired', 'failed'] as const
export type BuildState = (typeof buildStates)[number]

/** Which state follows which; anything else is a bug and throws. */
export const buildTransitions = {
  building: ['candidate', 'failed'],
  candidate: ['validated', 'retired', 'failed'],
  validated: ['promoted', 'retired', 'failed'],
  promoted: ['retired'],
  retired: ['promoted'],
  failed: [],
} as const satisfies Record<BuildState, readonly BuildState[]>

/** In which states an action of a person is allowed. */
export const buildCan = {
  promote: ['validated', 'retired', 'candidate'],
  cancel: ['building'],
  remove: ['candidate', 'validated', 'retired'],
  pin: ['candidate', 'validated', 'promoted', 'retired'],
} as const satisfies Record<string, readonly BuildState[]>

/** One immutable result of an image's recipe, or one that a registry has. */
export interface ImageBuild {
  readonly id: BuildId
  /** The line that it belongs to. */
  readonly image: string
  /** Unique, by the line's template of names. */
  readonly name: string
  readonly engine: EngineName
  readonly state: BuildState
  /** Why it is in this state, in words for people. */
  readonly reason: string
  /** `built` by a host of the fleet, or found in the `registry`. */
  readonly origin: { readonly kind: 'built'; readonly hostId: HostId; readonly hostBootId: string } | { readonly kind: 'registry' }
  /** Generation of the recipe that it is made by; null for one of a registry. */
  readonly recipeGeneration: number | null
  /** Nothing that an earlier build left is used. */
  readonly fromBase: boolean
  /** Build of the line below that it starts from. */
  readonly baseBuild: string | null
  readonly pushTo: DesiredBuild['pushTo']
  /** It takes no longer than this, with all its tries. */
  readonly timeoutMs: Milliseconds
  readonly cancelRequested: { readonly by: string; readonly at: Instant } | null
  /** Kept until a person says otherwise. */
  readonly pinnedBy: string | null
  /** Recipe hash + base digest + engine: the same one is not built again. Null for one of a registry that does not say. */
  readonly identity: string | null
  readonly recipeVersion: string | null
  /** `host/path@sha256:…`; null while it is on hosts only. */
  readonly reference: string | null
  /** What it says of itself; null until it is sealed, or when it says nothing. */
  readonly metadata: ImageMetadata | null
  /** Bytes on a host's disk; null until it is sealed. */
  readonly sizeBytes: number | null
  readonly phases: readonly PhaseProgress[]
  readonly flakiness: BuildReport['flakiness']
  /** Who asked for it: a person, or `cidery`. */
  readonly requestedBy: string
  readonly createdAt: Instant
  /** When it became a candidate or failed. */
  readonly endedAt: Instant | null
  /** When it was last promoted. */
  readonly promotedAt: Instant | null
  readonly generation: number
  /** Revision of the last report that was taken in; −1 before the first. */
  readonly revision: number
  /** Bytes of its log that its host has. */
  readonly logBytes: number
  /** Why it was not sent to a registry; empty when it was, or need not be. */
  readonly pushSkipped: string
}

/** What the agent says of a build under way or ended. `revision` goes up with each change, so that a late, repeated report is recognised. */
export const BuildReport = z.looseObject({
  id: z.string(),
  generation: z.int(),
  revision: z.int().nonnegative(),
  state: z.enum(['waiting', 'building', 'built', 'failed']),
  /** Why it waits or failed, in words for people; `build_failed: timeout: …` when it took too long. */
  reason: z.string().max(2000),
  /** Whether what failed may go well another time (a network, a full disk); `never`: only another recipe, or a person. Default: `soon`. */
  retry: z.enum(['soon', 'never']).optional(),
  phases: z.array(PhaseProgress).max(100),
  tools: z.array(FoundTool).max(200),
  metadata: ImageMetadata.nullable(),
  sizeBytes: z.number().nullable(),
  reference: z.string().nullable(),
  /** Rounds that passed whole, of how many; per check in how many it passed. Null: nothing could be flaky. */
  flakiness: z
    .strictObject({ passedRounds: z.int(), rounds: z.int(), passes: z.record(z.string(), z.int()), promoted: z.boolean() })
    .nullable(),
  /** Why it was not sent to a registry; empty when it was, or need not be. */
  pushSkipped: z.string().max(1000),
  /** Bytes of log that exist on the host. */
  logBytes: z.int().nonnegative(),
})
export type BuildReport = z.infer<typeof BuildReport>

/** The report of a build that has not begun. */
export function firstReport({ id, generation }: Pick<DesiredBuild, 'id' | 'generation'>): BuildReport {
  return {
    id,
    generation,
    revision: 0,
    state: 'waiting',
    reason: '',
    phases: [],
    tools: [],
    metadata: null,
    sizeBytes: null,
    reference: null,
    flakiness: null,
    pushSkipped: '',
    logBytes: 0,
  }
}

/** A build that a host shall make. */
export interface DesiredBuild {
  readonly id: BuildId
  readonly generation: number
  /** `cancel` by whom. */
  readonly want: 'build' | 'cancel'
  readonly cancelBy: string | null
  readonly name: string
  readonly recipe: Recipe
  readonly identity: RecipeIdentity
  /** Digest of the archive (tar) of the recipe's files in the blob store; null when it has none. */
  readonly files: string | null
  /** What the recipe's lock says. */
  readonly lock: {
    readonly base: string | null
    readonly downloads: Readonly<Record<string, string>>
    readonly packages: Readonly<Record<string, string>>
  }
  /** For a recipe that starts from another image of the fleet: the build of it. */
  readonly baseBuild: string | null
  readonly productVersion: string | null
  readonly fromBase: boolean
  /** `host/path` that it is sent to, and the tags that it gets, the one that is its own first; null: it stays on the host. */
  readonly pushTo: { readonly repository: string; readonly tags: readonly string[] } | null
}

/** A build that a host shall have: it brings what is not there, and never removes it while it is named here. */
export interface DesiredHold {
  readonly build: string
  readonly image: string
  readonly engine: EngineName
  /** Where it is brought from; null: it can only be there already. */
  readonly reference: string | null
  /** Bring it now; false: keep it when it is there (the last good one, a pinned one), and do not fetch it. */
  readonly fetch: boolean
  /** Bytes per second; null: as fast as it goes. */
  readonly bandwidth: number | null
}

/** What a host shall have of images and do for them. */
export interface DesiredImages {
  readonly builds: readonly DesiredBuild[]
  readonly holds: readonly DesiredHold[]
  /** What may go: builds that no hold names go after this long unused, or when room is needed. */
  readonly retention: {
    readonly age: Milliseconds
    readonly count: number
    readonly budgetBytes: number | null
    readonly freeFloorBytes: number
  }
}
