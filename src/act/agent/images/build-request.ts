import type { RecipeIdentity } from '../../../model/image/recipe-identity.ts'
import type { Recipe } from '../../../model/image/recipe.ts'
import type { FoundTool, StoredImage } from '../../../model/image/stored.ts'
import type { FlakinessVerdict } from '../../../model/image/validation.ts'
import type { AgentPorts } from '../../../ports/agent.ts'
import type { ImageEngine } from '../../../ports/images.ts'
import type { Ingredients } from '../../../ports/ingredients.ts'
import type { BuildProgress } from './progress.ts'

/** What a build needs of its host. */
export type BuildPorts = Pick<AgentPorts, 'clock' | 'timers' | 'processes' | 'ids' | 'log'>

/** One build of an image on this host. */
export interface BuildRequest {
  /** `bld_…`. */
  readonly id: string
  /** Unique, by the line's template. */
  readonly name: string
  readonly recipe: Recipe
  readonly identity: RecipeIdentity
  /** The stored image that the lowest layer starts from, and what the recipe calls it. */
  readonly base: { readonly image: string; readonly reference: string; readonly digest: string | null }
  readonly ingredients: Ingredients
  readonly productVersion: string | null
  readonly hostName: string
  /** Start from the base also where layers of an earlier build are kept. */
  readonly fromBase: boolean
  readonly network: 'nat' | 'host' | 'none'
  readonly blockedAddresses: readonly string[]
}

export interface Build {
  readonly ports: BuildPorts
  readonly engine: ImageEngine
  readonly request: BuildRequest
  readonly progress: BuildProgress
  /** Everything that is said while it is built; kept by the caller, whatever becomes of the build. */
  readonly log: BuildLog
  readonly signal: AbortSignal
  /** Sandboxes of the build, for those who sweep: they have an owner until they are dropped. */
  readonly owned: (sandboxId: string, isOwned: boolean) => void
}

export interface BuildLog {
  /** A line of our own. */
  line(text: string): void
  /** What a command in the guest said. */
  output(bytes: Uint8Array): void
}

export interface Built {
  readonly image: StoredImage
  readonly tools: readonly FoundTool[]
  /** Null when the recipe asks for no checks that could be flaky. */
  readonly flakiness: FlakinessVerdict | null
}
