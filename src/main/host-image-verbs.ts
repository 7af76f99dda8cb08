import { collectImages, type Collection, type Retention } from '../decide/images/collect.ts'
import { CideryError } from '../model/errors.ts'
import { parseImageReference } from '../model/image/reference.ts'
import type { StoredImage } from '../model/image/stored.ts'
import type { PushReport, Transferred } from '../ports/images.ts'
import { engineOf, findImage, imagePorts, pinned, type HostImages } from './host-images.ts'

export interface TransferVerb {
  readonly signal: AbortSignal
  readonly onProgress: (transferred: Transferred) => void
}

/** Brings an image to this host and proves it; a tag is taken as what it leads to now. */
export async function pullHere(
  host: HostImages,
  wanted: { readonly reference: string; readonly id: string | undefined; readonly engine: string | undefined },
  options: TransferVerb & { readonly bandwidth?: number },
): Promise<StoredImage> {
  const from = await pinned(host, wanted.reference, options.signal)
  const engine = engineOf(host, wanted.engine)
  const known = (await engine.images.list()).find(({ reference }) => reference?.endsWith(`@${from.digest}`) === true)
  if (known !== undefined && wanted.id === undefined) return known
  const said = await engine.images.describe(from, options.signal)
  return engine.images.pull(
    wanted.id ?? said?.build ?? `pulled-${from.digest.slice('sha256:'.length, 'sha256:'.length + 20)}`,
    from,
    options,
  )
}

/** Sends an image of this host, the tag that is its own first, then `latest`. */
export async function pushHere(
  host: HostImages,
  wanted: { readonly image: string; readonly to: string },
  options: TransferVerb,
): Promise<PushReport> {
  const { engine, image } = await findImage(host, wanted.image)
  const { registry, repository, tag } = parseImageReference(wanted.to)
  const own = tag ?? image.metadata?.name ?? image.id
  return engine.images.push(image.id, { registry, repository, tags: tag === null ? [own, 'latest'] : [own] }, options)
}

export interface Verified {
  readonly id: string
  readonly faults: readonly string[]
}

/** Reads every byte of the images that are named, or of all. */
export async function verifyHere(host: HostImages, wanted: readonly string[], signal: AbortSignal): Promise<readonly Verified[]> {
  const all = await Promise.all(host.engines.map((engine) => engine.images.list()))
  const named = wanted.length > 0 ? wanted : all.flat().map(({ id }) => id)
  const results: Verified[] = []
  for (const name of named) {
    const { engine, image } = await findImage(host, name)
    results.push({ id: image.id, faults: await engine.images.verify(image.id, signal) })
  }
  return results
}

export async function removeHere(host: HostImages, wanted: readonly string[]): Promise<readonly string[]> {
  const found = []
  // All or none: a name that is wrong removes nothing.
  for (const name of wanted) found.push(await findImage(host, name))
  for (const { engine, image } of found) await engine.images.remove(image.id)
  return found.map(({ image }) => image.id)
}

export interface Collected extends Collection {
  readonly engine: string
}

/** What would go, of each engine, and why; done unless `dryRun`. */
export async function collectHere(
  host: HostImages,
  retention: Retention,
  { dryRun }: { readonly dryRun: boolean },
): Promise<readonly Collected[]> {
  const collected: Collected[] = []
  for (const engine of host.engines) {
    const [images, layers, room] = await Promise.all([engine.images.list(), engine.builder.layers(), engine.images.room()])
    const collection = collectImages({ images, layers, held: new Map(), retention, room, neededBytes: 0 }, imagePorts.clock.now())
    if (!dryRun) {
      await engine.images.sweep(new Set())
      for (const { kind, id } of collection.remove)
        await (kind === 'layer' ? engine.builder.removeLayer(id) : engine.images.remove(id)).catch(inUse)
    }
    collected.push({ engine: engine.name, ...collection })
  }
  return collected
}

/** Somebody began to use it since the look: it stays. */
function inUse(error: unknown): void {
  if (!(error instanceof CideryError && error.code === 'CONFLICT')) throw error
}
