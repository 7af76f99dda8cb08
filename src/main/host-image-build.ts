import { createHash } from 'node:crypto'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { prepareBase } from '../act/agent/images/base.ts'
import { buildLog, keepBuildLogs } from '../act/agent/images/build-log.ts'
import type { Built } from '../act/agent/images/build-request.ts'
import { buildImage } from '../act/agent/images/build.ts'
import { buildProgress } from '../act/agent/images/progress.ts'
import { resolveImage, type ImageDecision, type RemoteAnswer, type ResolveFlags, type WantedImage } from '../decide/images/resolve.ts'
import { folderBuildLogs } from '../drivers/build-logs/folder-build-logs.ts'
import { httpDownloads } from '../drivers/downloads/http/http-downloads.ts'
import { packPaths } from '../drivers/ingredients/archive.ts'
import { folderIngredients } from '../drivers/ingredients/folder-ingredients.ts'
import { CideryError } from '../model/errors.ts'
import { ingredientsOf, type RecipeLock } from '../model/image/lock.ts'
import type { PhaseProgress } from '../model/image/phase.ts'
import { keptLayers, recipeIdentity, type RecipeIdentity } from '../model/image/recipe-identity.ts'
import { recipeFiles } from '../model/image/recipe.ts'
import { formatImageReference, parseImageReference } from '../model/image/reference.ts'
import { digestFiles } from '../observe/recipe-files.ts'
import type { ImageEngine } from '../ports/images.ts'
import { engineOf, imagePorts, type HostImages } from './host-images.ts'
import { readRecipe, requireFullLock, type ReadRecipe } from './read-recipe.ts'
import { lockOfBuild } from './recipe-bundle.ts'

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/** A recipe that can be built, and where its image may be already. */
export interface LocalRecipe extends ReadRecipe {
  readonly lock: RecipeLock
  readonly engine: ImageEngine
  readonly identity: RecipeIdentity
  readonly wanted: WantedImage
  /** `host/path` without tag; null: no registry is asked. */
  readonly registry: string | null
}

/** Reads a recipe for a build on this host; CONFLICT when its lock is not full. */
export async function localRecipe(host: HostImages, file: string, registry: string | null): Promise<LocalRecipe> {
  const read = await readRecipe(file)
  const lock = requireFullLock(read)
  const { recipe } = read
  if (recipe.base.kind === 'image') {
    throw new CideryError('UNSUPPORTED', `${recipe.name} starts from the image ${recipe.base.image} of a fleet`, {
      hint: 'build it through a controller, which knows the builds of that image',
    })
  }
  const identity = recipeIdentity(recipe, ingredientsOf(lock, await digestFiles(read.folder, recipeFiles(recipe))), sha256)
  const wanted = { image: recipe.name, recipeVersion: recipe.version, recipeHash: identity.recipe, baseDigest: null }
  return { ...read, lock, engine: engineOf(host, recipe.engine), identity, wanted, registry }
}

/** What would be done so that this host has the image, and why; nothing is changed. */
export async function resolveLocal(host: HostImages, local: LocalRecipe, { flags, signal }: Resolving): Promise<ImageDecision> {
  const { engine, identity, recipe } = local
  const layers = new Set((await engine.builder.layers()).map(({ key }) => key))
  const kept = keptLayers(identity, layers)
  const remote = await askRegistry(host, local, signal)
  const keptLayer = recipe.layers[kept - 1]?.name ?? null
  return resolveImage({ wanted: local.wanted, local: await engine.images.list(), remote, keptLayer, flags })
}

export interface Resolving {
  readonly flags: ResolveFlags
  readonly signal: AbortSignal
}

async function askRegistry(host: HostImages, { registry, engine }: LocalRecipe, signal: AbortSignal): Promise<RemoteAnswer> {
  if (registry === null) return { kind: 'unasked', why: 'no registry was named' }
  const where = parseImageReference(registry)
  try {
    const found = await host.registry.resolve(where, 'latest', signal)
    if (found === null) return { kind: 'absent' }
    const pinned = { ...where, tag: 'latest', digest: found.digest }
    const reference = formatImageReference(pinned)
    const known = (await engine.images.list()).find((image) => image.reference?.endsWith(`@${found.digest}`) === true)
    // The digest alone tells that it is current; what it says of itself is asked for only when it is another.
    const metadata = known === undefined ? await engine.images.describe(pinned, signal) : known.metadata
    return { kind: 'there', reference, digest: found.digest, metadata }
  } catch (error) {
    signal.throwIfAborted()
    return { kind: 'unreachable', reason: error instanceof Error ? error.message : String(error) }
  }
}

export interface LocalBuildOptions {
  readonly signal: AbortSignal
  readonly fromBase: boolean
  readonly name: string
  readonly onPhases: (phases: readonly PhaseProgress[]) => void
  /** What is said while it is built, as it comes; the log keeps it as well. */
  readonly onOutput: (bytes: Uint8Array) => void
}

/** Where the log of a build of this host is kept. */
export function localBuildLogs({ stateDir }: Pick<HostImages, 'stateDir'>): ReturnType<typeof folderBuildLogs> {
  return folderBuildLogs(join(stateDir, 'build-logs'))
}

/** Builds a recipe on this host, by hand: what an agent does when its controller asks. Sweeps what an earlier try left first. */
export async function buildLocally(
  host: HostImages,
  local: LocalRecipe,
  options: LocalBuildOptions,
): Promise<Built & { readonly id: string }> {
  const { engine, recipe, lock, identity } = local
  const { signal, onPhases, onOutput } = options
  const id = imagePorts.ids.next('bld')
  const logs = localBuildLogs(host)
  const { log, written } = buildLog({ ...imagePorts, buildLogs: logs, log: host.log }, id, { onBytes: onOutput })
  await logs.removeOlder(keepBuildLogs)
  await engine.sweep(new Set())
  await engine.images.sweep(new Set())
  const downloads = httpDownloads()
  const store = folderIngredients({
    folder: join(host.stateDir, 'ingredients'),
    fetch: async (url, until) => (await downloads.read(url, until)).bytes,
    fresh: () => imagePorts.ids.next('upl'),
  })
  await store.sweep()
  const locked = lockOfBuild(lock)
  const paths = recipeFiles(recipe)
  const ingredients = await store.unpack(paths.length === 0 ? null : packPaths(local.folder, paths), locked)
  const progress = buildProgress(imagePorts.clock, onPhases)
  const ports = { ...imagePorts, log: host.log }
  try {
    const base = await prepareBase({ recipe, lock: locked, baseBuild: null }, { engine, progress, log, signal })
    const request = {
      id,
      name: options.name,
      recipe,
      identity,
      base: { ...base, digest: base.digest ?? lock.base?.digest ?? null },
      ingredients,
      productVersion: null,
      hostName: hostname(),
      fromBase: options.fromBase,
      network: 'nat' as const,
      blockedAddresses: [],
    }
    return { ...(await buildImage({ ports, engine, request, progress, log, signal, owned: () => undefined })), id }
  } finally {
    await ingredients.close()
    await written()
  }
}
