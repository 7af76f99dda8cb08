import { extname } from 'node:path'
import { CideryError } from '../../../../model/errors.ts'
import type { Registry, Repository } from '../../../../ports/registry.ts'
import { bringBlob, digestOf, memoryBlob, sendTogether, writeTags, type Destination, type FailedTags } from '../../oci-blobs.ts'
import { Threads } from '../../threads.ts'
import { encodeIndex, type DiskIndex, type Pack } from './disk-index.ts'
import { annotations, mediaTypes, packing as standardPacking, type Packing } from './format.ts'
import { readMetadata } from './image-folder.ts'
import { loadImage } from './load-image.ts'
import { makePacks } from './make-packs.ts'
import { makeManifest } from './manifest.ts'
import { reusable, type KnownFrame } from './reuse.ts'
import { scanFolder, type ChunkThreads, type ScannedFolder } from './scan-folder.ts'

/** An image that is in a registry already. */
export interface BaseImage {
  readonly where: Repository
  readonly digest: string
}

export interface PushOptions {
  readonly signal: AbortSignal
  /** Images whose packs are used again. One that is not there any more, or not of this format, is left out. */
  readonly bases?: readonly BaseImage[]
  /** The first must be written; the others may fail. Without any, the image has only its digest. */
  readonly tags?: readonly string[]
  readonly title?: string
  readonly packing?: Partial<Packing>
}

export interface PushedImage {
  /** Of the manifest. */
  readonly digest: string
  readonly sentBytes: number
  /** Packed bytes that were not sent, because the registry had them. */
  readonly reusedBytes: number
  readonly failedTags: FailedTags
  /** Digests of bases that could not be used, with the reason. */
  readonly leftOut: readonly { readonly digest: string; readonly reason: string }[]
}

const mostMetadataBytes = 64 * 1024

const threadEntry = new URL(`./chunk-thread${extname(import.meta.filename)}`, import.meta.url)

export function chunkThreads(): ChunkThreads {
  return new Threads(threadEntry)
}

/**
 * Sends a folder as an image. What the registry has is not sent again: packs of the bases, and packs of an earlier push of the same folder, wherever that
 * was killed. Errors of the registry; INVALID_INPUT for a folder that is no image; CONFLICT when a file changed meanwhile.
 *
 * @example await pushImage('/images/linux-ci', { registry, where: { registry: 'ghcr.io', repository: 'acme/linux-ci' } }, { signal, tags: ['v7'] })
 */
export async function pushImage(
  folder: string,
  to: { readonly registry: Registry; readonly where: Repository },
  options: PushOptions,
): Promise<PushedImage> {
  const threads = chunkThreads()
  try {
    return await new Push(to, options, threads).run(folder)
  } finally {
    await threads.close()
  }
}

class Push {
  readonly #to: Destination
  readonly #options: PushOptions
  readonly #threads: ChunkThreads
  readonly #packing: Packing
  #sentBytes = 0
  #reusedBytes = 0

  constructor(to: { readonly registry: Registry; readonly where: Repository }, options: PushOptions, threads: ChunkThreads) {
    this.#to = { ...to, signal: options.signal }
    this.#options = options
    this.#threads = threads
    this.#packing = { ...standardPacking, ...options.packing }
  }

  async run(folder: string): Promise<PushedImage> {
    const metadata = JSON.stringify(readMetadata(folder))
    if (metadata.length > mostMetadataBytes) {
      throw new CideryError('INVALID_INPUT', `image.json is ${metadata.length} bytes long; an image may have ${mostMetadataBytes}`)
    }
    const { bases, leftOut } = await this.#loadBases()
    const scanned = await scanFolder(folder, this.#threads, this.#packing.chunkBytes)
    const index = await this.#sendPacks(scanned, bases)
    const { digest, failedTags } = await this.#sendManifest(index, { metadata, scanned })
    return { digest, sentBytes: this.#sentBytes, reusedBytes: this.#reusedBytes, failedTags, leftOut }
  }

  async #loadBases(): Promise<{ bases: readonly LoadedBase[]; leftOut: PushedImage['leftOut'] }> {
    const bases: LoadedBase[] = []
    const leftOut: { digest: string; reason: string }[] = []
    for (const { where, digest } of this.#options.bases ?? []) {
      try {
        const { index } = await loadImage({ registry: this.#to.registry, where, digest }, this.#to.signal)
        if (index.chunkBytes === this.#packing.chunkBytes) bases.push({ where, index })
        else leftOut.push({ digest, reason: `its chunks have ${index.chunkBytes} bytes` })
      } catch (error) {
        const usable = error instanceof CideryError && ['NOT_FOUND', 'INVALID_INPUT', 'DIGEST_MISMATCH'].includes(error.code)
        if (!usable) throw error
        leftOut.push({ digest, reason: error.message })
      }
    }
    return { bases, leftOut }
  }

  async #sendPacks(scanned: ScannedFolder, bases: readonly LoadedBase[]): Promise<DiskIndex> {
    const frames = new Map<string, KnownFrame>(await this.#knownFrames(scanned, bases))
    for (const { length } of frames.values()) this.#reusedBytes += length
    const fresh = scanned.chunks.filter(({ digest }) => !frames.has(digest))
    await sendTogether(makePacks(fresh, this.#threads, this.#packing), async ({ digest, bytes, frames: packed }) => {
      const pack = { digest, sizeBytes: bytes.length }
      for (const { digest: chunk, offset, length } of packed) frames.set(chunk, { pack, offset, length })
      await this.#send(digest, bytes)
    })
    return indexOf(scanned, frames, this.#packing.chunkBytes)
  }

  /** Frames that are in the repository, or could be brought there. */
  async #knownFrames(scanned: ScannedFolder, bases: readonly LoadedBase[]): Promise<ReadonlyMap<string, KnownFrame>> {
    const wanted = scanned.chunks.map(({ digest }) => digest)
    const gone = new Set<string>()
    const there = new Set<string>()
    for (;;) {
      const known = reusable({ wanted, bases: bases.map(({ index }) => index), gone }, this.#packing)
      const packs = new Map([...known.values()].map(({ pack }) => [pack.digest, pack]))
      const unsure = [...packs.values()].filter(({ digest }) => !there.has(digest))
      if (unsure.length === 0) return known
      await sendTogether(unsure, async (pack) => {
        const base = bases.find(({ index }) => index.packs.some(({ digest }) => pack.digest === digest))
        const has = base !== undefined && (await this.#bring(base.where, pack))
        ;(has ? there : gone).add(pack.digest)
      })
    }
  }

  async #bring(from: Repository, { digest, sizeBytes }: Pack): Promise<boolean> {
    const sent = await bringBlob(this.#to, { digest, sizeBytes, from })
    this.#sentBytes += sent ?? 0
    return sent !== null
  }

  async #send(digest: string, bytes: Uint8Array): Promise<void> {
    const { registry, where, signal } = this.#to
    const sent = await registry.writeBlob(where, memoryBlob(digest, bytes), { signal })
    this.#sentBytes += sent
    if (sent === 0) this.#reusedBytes += bytes.length
  }

  async #sendManifest(
    index: DiskIndex,
    { metadata, scanned }: { metadata: string; scanned: ScannedFolder },
  ): Promise<Pick<PushedImage, 'digest' | 'failedTags'>> {
    const indexBytes = encodeIndex(index)
    const { created } = JSON.parse(metadata) as { created?: unknown }
    const made = makeManifest({
      index: { digest: digestOf(indexBytes), sizeBytes: indexBytes.length },
      packs: index.packs,
      annotations: {
        [annotations.title]: this.#options.title ?? this.#to.where.repository.split('/').at(-1) ?? '',
        ...(typeof created === 'string' ? { [annotations.created]: created } : {}),
        [annotations.metadata]: metadata,
        [annotations.sizeBytes]: String(scanned.sizeBytes),
        [annotations.dataBytes]: String(scanned.dataBytes),
      },
    })
    await this.#send(digestOf(indexBytes), indexBytes)
    await this.#send(digestOf(made.config), made.config)
    const manifest = { bytes: made.bytes, mediaType: mediaTypes.manifest }
    return { digest: digestOf(made.bytes), failedTags: await writeTags(this.#to, manifest, this.#options.tags ?? []) }
  }
}

interface LoadedBase {
  readonly where: Repository
  readonly index: DiskIndex
}

/** Packs are numbered in the order in which chunks need them. */
function indexOf({ files, chunks }: ScannedFolder, frames: ReadonlyMap<string, KnownFrame>, chunkBytes: number): DiskIndex {
  const numbers = new Map<string, number>()
  const packs: { digest: string; sizeBytes: number }[] = []
  const packed = chunks.map(({ digest }) => {
    const frame = frames.get(digest)
    if (frame === undefined) throw new CideryError('INTERNAL', `no pack holds the chunk ${digest}`)
    const number = numbers.get(frame.pack.digest) ?? packs.push(frame.pack) - 1
    numbers.set(frame.pack.digest, number)
    return { digest, pack: number, offset: frame.offset, length: frame.length }
  })
  return { chunkBytes, packs, chunks: packed, files }
}
