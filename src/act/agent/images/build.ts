import { CideryError } from '../../../model/errors.ts'
import type { RecipeIdentity } from '../../../model/image/recipe-identity.ts'
import type { Recipe } from '../../../model/image/recipe.ts'
import type { FoundTool, ImageMetadata, StoredImage } from '../../../model/image/stored.ts'
import type { FlakinessVerdict } from '../../../model/image/validation.ts'
import type { AgentPorts } from '../../../ports/agent.ts'
import type { ImageEngine } from '../../../ports/images.ts'
import type { Ingredients } from '../../../ports/ingredients.ts'
import { withDeadline } from '../deadline.ts'
import { messageOf } from '../outcome.ts'
import { makeBuild } from './make.ts'
import type { BuildProgress } from './progress.ts'
import { proveBuild } from './prove.ts'

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

/** What a build fetches its packages by: shut off from its host where the engine can do that. */
export async function buildNetwork(engine: Pick<ImageEngine, 'probe'>): Promise<BuildRequest['network']> {
  const { networks } = (await engine.probe()).capabilities
  return (['nat', 'host', 'none'] as const).find((network) => networks.includes(network)) ?? 'none'
}

/**
 * Builds an image by its recipe, proves that it boots and holds what it should, and leaves it on this host. What fails is tried again from a fresh clone, as
 * often as the recipe says; after that nothing of it is left but its log. UNAVAILABLE `build_failed: timeout` when all of it takes longer than it may.
 */
export async function buildImage(build: Build): Promise<Built> {
  const control = new AbortController()
  const signal = AbortSignal.any([build.signal, control.signal])
  const { recipe } = build.request
  const work = tryBuild({ ...build, signal })
  try {
    return await withDeadline(build.ports.timers, work, {
      ms: recipe.timeouts.build,
      what: 'build_failed: timeout: the build',
      signal: build.signal,
    })
  } catch (error) {
    control.abort(error)
    // What is under way cleans up after itself, and is waited for: its machine has to be gone before the next one starts.
    await work.catch(() => undefined)
    throw error
  } finally {
    build.progress.end()
  }
}

async function tryBuild(build: Build): Promise<Built> {
  const { recipe } = build.request
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await tryOnce(build)
    } catch (error) {
      build.log.line(`try ${attempt} of ${recipe.tries} failed: ${messageOf(error)}`)
      build.signal.throwIfAborted()
      if (attempt >= recipe.tries || isHopeless(error)) throw error
      build.progress.nextAttempt()
    }
  }
}

/** What another try would meet again. */
function isHopeless(error: unknown): boolean {
  return error instanceof CideryError && ['INVALID_INPUT', 'UNSUPPORTED', 'FORBIDDEN', 'NOT_FOUND', 'STORAGE_FULL'].includes(error.code)
}

async function tryOnce(build: Build): Promise<Built> {
  const { engine, log } = build
  const made = await makeBuild(build, metadataOf)
  try {
    const flakiness = await proveBuild(build, made.image)
    return { ...made, flakiness }
  } catch (error) {
    // Nobody may start from what did not pass.
    await engine.images.remove(made.image.id).catch((cause: unknown) => log.line(`the build could not be removed: ${messageOf(cause)}`))
    throw error
  }
}

function metadataOf({ request, ports }: Build, tools: readonly FoundTool[]): ImageMetadata {
  const { recipe, identity, base } = request
  return {
    build: request.id,
    image: recipe.name,
    name: request.name,
    engine: recipe.engine,
    recipe: { version: recipe.version, hash: identity.recipe, layers: identity.layers.map((layer) => layer.identity) },
    base: { reference: base.reference, digest: base.digest },
    productVersion: request.productVersion,
    guest: { os: recipe.guest.os, release: recipe.guest.release, arch: recipe.engine === 'tart' ? 'arm64' : 'x64' },
    builtAt: ports.clock.now(),
    builtOn: request.hostName,
    tools: [...tools],
    labels: recipe.labels,
  }
}
