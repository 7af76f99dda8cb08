import type { BuildId, HostId } from '../id.ts'
import type { Instant, Milliseconds } from '../instant.ts'
import type { EngineName } from '../job.ts'
import type { Shape } from '../shape.ts'

/** A recipe as deciding looks at it, without its steps. */
export interface RecipeHead {
  /** Goes up with each recipe that is given for the line. */
  readonly generation: number
  readonly version: string
  readonly engine: EngineName
  /** Recipe, base and engine in one: builds with another one are stale. Null while the image that it starts from has no build that could be taken. */
  readonly identity: string | null
  /** Line of images that it starts from. */
  readonly baseImage: string | null
  /** Nobody can tell whether its base has changed: every scheduled build is made. */
  readonly baseFloats: boolean
  /** What the machine of a build takes of its host. */
  readonly shape: Shape
  /** Of a build with all its tries. */
  readonly timeout: Milliseconds
}

/** Jobs that ended on a build since its canary began, and how many of them by a fault of the infrastructure. */
export interface ArmResult {
  readonly jobs: number
  readonly failures: number
}

export const arms = ['canary', 'control'] as const
export type Arm = (typeof arms)[number]

/** A build that some jobs get before it is promoted; the others, which get the promoted one, are the control. */
export interface Canary {
  readonly buildId: BuildId
  readonly startedAt: Instant
  /** Jobs that were given to each since it began. */
  readonly assigned: Readonly<Record<Arm, number>>
  readonly ended: Readonly<Record<Arm, ArmResult>>
}

/** Failures of a line's builds in a row. */
export interface LineFailure {
  readonly count: number
  readonly at: Instant
  readonly reason: string
  /** What was built. */
  readonly identity: string | null
  /** Where the last one failed. */
  readonly hostId: HostId | null
  /** `never`: another try would meet the same. */
  readonly retry: 'soon' | 'never'
}

/** What is known of a line of images besides its builds. A line that nothing happened to yet has generation 0 and no row. */
export interface ImageLine {
  readonly name: string
  readonly generation: number
  readonly recipe: RecipeHead | null
  /** The build that jobs get. */
  readonly promoted: BuildId | null
  /** The one that they got before: where a roll back leads to. */
  readonly lastGood: BuildId | null
  readonly canary: Canary | null
  /** A build that a person wants, whether anything changed or not. */
  readonly asked: { readonly by: string; readonly at: Instant; readonly fromBase: boolean } | null
  /** The last due moment of its schedule that was seen to. */
  readonly scheduledAt: Instant | null
  readonly failure: LineFailure | null
  /** Builds that only a person promotes: rolled back, or displaced by hand. */
  readonly rejected: readonly string[]
}

export function emptyLine(name: string): ImageLine {
  return {
    name,
    generation: 0,
    recipe: null,
    promoted: null,
    lastGood: null,
    canary: null,
    asked: null,
    scheduledAt: null,
    failure: null,
    rejected: [],
  }
}

/** A build that a host is to have. While `fetch` is on it has a turn to bring it; then it only keeps it. */
export interface ImageHold {
  readonly hostId: HostId
  readonly buildId: BuildId
  readonly image: string
  readonly fetch: boolean
  /** Bytes per second of the fetch; null: as fast as it goes. */
  readonly bandwidth: number | null
  /** When the turn began or ended last. */
  readonly since: Instant
  /** Turns that ended without the build. */
  readonly tries: number
}

/** Readiness that a person set for an image on a host, until it expires. */
export interface ForcedReadiness {
  readonly ready: boolean
  readonly by: string
  readonly at: Instant
  readonly reason: string
  /** Null: until somebody clears it. */
  readonly expiresAt: Instant | null
}

export interface ImageOnHost {
  readonly hostId: HostId
  readonly image: string
  readonly forced: ForcedReadiness | null
  /** Build that was told of as ready last; null: it was not, or is no longer. */
  readonly readyBuild: string | null
  readonly readySince: Instant | null
}

/** What one host has to do with images, each list in order. */
export interface HostImages {
  readonly holds: readonly ImageHold[]
  readonly states: readonly ImageOnHost[]
}

/** Readiness that a person set and that still holds. */
export function forcedAt(state: ImageOnHost | undefined, now: Instant): ForcedReadiness | null {
  const forced = state?.forced ?? null
  return forced === null || (forced.expiresAt !== null && now >= forced.expiresAt) ? null : forced
}
