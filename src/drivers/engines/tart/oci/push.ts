import { lstatSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { CideryError } from '../../../../model/errors.ts'
import type { Registry, Repository } from '../../../../ports/registry.ts'
import { bringBlob, digestOf, fileBlob, memoryBlob, sendTogether, writeTags, type Destination, type FailedTags } from '../../oci-blobs.ts'
import { rangeBytes as standardRangeBytes, tartAnnotations, tartTypes } from './format.ts'
import { readTartManifest, type TartDiskLayer } from './manifest.ts'
import { rangeThreads, type RangeThreads } from './range-threads.ts'

export interface TartPushOptions {
  readonly signal: AbortSignal
  /** ISO 8601; it becomes part of the manifest. */
  readonly uploadTime: string
  /** Images whose packed layers are used again where a piece of the disk is the same. */
  readonly bases?: readonly { readonly where: Repository; readonly digest: string }[]
  /** The first must be written; the others may fail. */
  readonly tags?: readonly string[]
  readonly labels?: Readonly<Record<string, string>>
  /** Where changed pieces lie while they are packed, up to a few times 512 MiB; removed at the end. */
  readonly scratch?: string
  /** Bytes of a piece; other than 512 MiB only in tests. */
  readonly rangeBytes?: number
}

export interface PushedTartImage {
  readonly digest: string
  readonly sentBytes: number
  /** Packed bytes of layers that the registry had, or took from the bases. */
  readonly reusedBytes: number
  readonly layers: { readonly reused: number; readonly made: number }
  readonly failedTags: FailedTags
  readonly leftOut: readonly { readonly digest: string; readonly reason: string }[]
}

/**
 * Pushes a machine's directory (config.json, disk.img, nvram.bin) as an image that Tart pulls. Pieces of the disk that a base has too keep the base's packed
 * layer: packed by anybody but Apple's library a piece has another digest, and every host would fetch it again. Killed and called again, it sends what is missing.
 *
 * Errors of the registry; INVALID_INPUT for a directory that is no machine; CONFLICT when the disk changed meanwhile.
 */
export async function pushTartImage(
  directory: string,
  to: { readonly registry: Registry; readonly where: Repository },
  options: TartPushOptions,
): Promise<PushedTartImage> {
  const machine = readMachine(directory)
  const scratch = mkdtempSync(join(options.scratch ?? tmpdir(), 'cidery-tart-push-'))
  const threads = rangeThreads()
  try {
    return await new TartPush({ to: { ...to, signal: options.signal }, options, threads, scratch }).run(machine)
  } finally {
    await threads.close()
    rmSync(scratch, { recursive: true, force: true })
  }
}

interface Machine {
  readonly config: Buffer
  readonly nvram: Buffer
  readonly disk: string
  readonly diskBytes: number
  readonly os: string
  readonly arch: string
  readonly diskFormat: string
}

const configJson = z.object({ os: z.enum(['darwin', 'linux']), arch: z.string(), diskFormat: z.string().default('raw') })

function readMachine(directory: string): Machine {
  const read = (name: string): Buffer => {
    if (lstatSync(join(directory, name), { throwIfNoEntry: false })?.isFile() !== true) {
      throw new CideryError('INVALID_INPUT', `${join(directory, name)} is not a file: this is not the directory of a machine of Tart`)
    }
    return name === 'disk.img' ? Buffer.alloc(0) : readFileSync(join(directory, name))
  }
  read('disk.img')
  const [config, nvram, disk] = [read('config.json'), read('nvram.bin'), join(directory, 'disk.img')]
  const parsed = configJson.safeParse(jsonOf(config))
  const { size: diskBytes } = lstatSync(disk)
  if (!parsed.success) {
    throw new CideryError(
      'INVALID_INPUT',
      `${join(directory, 'config.json')} is not the configuration of a machine of Tart: ${z.prettifyError(parsed.error)}`,
    )
  }
  if (diskBytes === 0) throw new CideryError('INVALID_INPUT', `${disk} is empty`)
  return { config, nvram, disk, diskBytes, ...parsed.data }
}

function jsonOf(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown
  } catch {
    // Said by the caller, with the name of the file.
    return null
  }
}

/** A piece of the disk as a layer. */
interface Layer {
  readonly digest: string
  readonly sizeBytes: number
  readonly rawBytes: number
  readonly rawDigest: string
}

interface KnownLayer extends TartDiskLayer {
  readonly where: Repository
}

interface PushWork {
  readonly to: Destination
  readonly options: TartPushOptions
  readonly threads: RangeThreads
  readonly scratch: string
}

class TartPush {
  readonly #work: PushWork
  #sentBytes = 0
  #reusedBytes = 0
  #reused = 0
  #made = 0

  constructor(work: PushWork) {
    this.#work = work
  }

  async run(machine: Machine): Promise<PushedTartImage> {
    const { to, options } = this.#work
    const { known, leftOut } = await this.#loadBases()
    const layers = await this.#sendDisk(machine, known)
    await this.#sendBytes(machine.config)
    await this.#sendBytes(machine.nvram)
    const ociConfig = sortedJson({
      architecture: machine.arch,
      config: { Labels: { ...options.labels, [tartAnnotations.diskFormat]: machine.diskFormat } },
      os: machine.os,
    })
    await this.#sendBytes(ociConfig)
    const bytes = manifestOf({ machine, layers, ociConfig }, options.uploadTime)
    const failedTags = await writeTags(to, { bytes, mediaType: tartTypes.manifest }, options.tags ?? [])
    const counts = { reused: this.#reused, made: this.#made }
    return { digest: digestOf(bytes), sentBytes: this.#sentBytes, reusedBytes: this.#reusedBytes, layers: counts, failedTags, leftOut }
  }

  async #loadBases(): Promise<{ known: ReadonlyMap<string, KnownLayer>; leftOut: PushedTartImage['leftOut'] }> {
    const { to, options } = this.#work
    const known = new Map<string, KnownLayer>()
    const leftOut: { digest: string; reason: string }[] = []
    for (const { where, digest } of options.bases ?? []) {
      try {
        const { bytes } = await to.registry.readManifest(where, digest, to.signal)
        for (const layer of readTartManifest(bytes).disk) if (!known.has(layer.rawDigest)) known.set(layer.rawDigest, { ...layer, where })
      } catch (error) {
        const usable = error instanceof CideryError && ['NOT_FOUND', 'INVALID_INPUT', 'UNSUPPORTED', 'DIGEST_MISMATCH'].includes(error.code)
        if (!usable) throw error
        leftOut.push({ digest, reason: error.message })
      }
    }
    return { known, leftOut }
  }

  async #sendDisk({ disk, diskBytes }: Machine, known: ReadonlyMap<string, KnownLayer>): Promise<readonly Layer[]> {
    const step = this.#work.options.rangeBytes ?? standardRangeBytes
    const ranges = Array.from({ length: Math.ceil(diskBytes / step) }, (_, number) => ({
      number,
      from: number * step,
      length: Math.min(step, diskBytes - number * step),
    }))
    const layers: Layer[] = []
    await sendTogether(ranges, async ({ number, from, length }) => {
      const { digest: rawDigest } = await this.#work.threads.run('hashRange', { path: disk, from, length })
      const piece = { path: disk, from, length, rawDigest }
      layers[number] = (await this.#reuse(known.get(rawDigest))) ?? (await this.#make(piece, join(this.#work.scratch, String(number))))
    })
    return layers
  }

  async #reuse(known: KnownLayer | undefined): Promise<Layer | null> {
    if (known === undefined) return null
    const { digest, sizeBytes, where: from, rawBytes, rawDigest } = known
    const sent = await bringBlob(this.#work.to, { digest, sizeBytes, from })
    if (sent === null) return null
    this.#sentBytes += sent
    this.#reusedBytes += sent === 0 ? sizeBytes : 0
    this.#reused += 1
    return { digest, sizeBytes, rawBytes, rawDigest }
  }

  async #make(
    piece: { readonly path: string; readonly from: number; readonly length: number; readonly rawDigest: string },
    target: string,
  ): Promise<Layer> {
    const { registry, where, signal } = this.#work.to
    const { path, from, length, rawDigest } = piece
    const packed = await this.#work.threads.run('packRange', { path, from, length, target })
    if (packed.rawDigest !== rawDigest) {
      throw new CideryError('CONFLICT', `${path} changed while it was read, between bytes ${from} and ${from + length}`, {
        hint: 'push a machine that is stopped',
      })
    }
    const sent = await registry.writeBlob(where, fileBlob(target, packed), { signal })
    rmSync(target)
    this.#sentBytes += sent
    this.#reusedBytes += sent === 0 ? packed.sizeBytes : 0
    this.#made += 1
    return { digest: packed.digest, sizeBytes: packed.sizeBytes, rawBytes: length, rawDigest }
  }

  async #sendBytes(bytes: Uint8Array): Promise<void> {
    const { registry, where, signal } = this.#work.to
    this.#sentBytes += await registry.writeBlob(where, memoryBlob(digestOf(bytes), bytes), { signal })
  }
}

interface Parts {
  readonly machine: Machine
  readonly layers: readonly Layer[]
  readonly ociConfig: Uint8Array
}

function manifestOf({ machine, layers, ociConfig }: Parts, uploadTime: string): Uint8Array {
  const blob = (mediaType: string, bytes: Uint8Array): object => ({ mediaType, digest: digestOf(bytes), size: bytes.length })
  return sortedJson({
    schemaVersion: 2,
    mediaType: tartTypes.manifest,
    config: blob(tartTypes.ociConfig, ociConfig),
    layers: [
      blob(tartTypes.config, machine.config),
      ...layers.map(({ digest, sizeBytes, rawBytes, rawDigest }) => ({
        mediaType: tartTypes.disk,
        digest,
        size: sizeBytes,
        annotations: { [tartAnnotations.uncompressedSize]: String(rawBytes), [tartAnnotations.uncompressedDigest]: rawDigest },
      })),
      blob(tartTypes.nvram, machine.nvram),
    ],
    annotations: { [tartAnnotations.diskSize]: String(machine.diskBytes), [tartAnnotations.uploadTime]: uploadTime },
  })
}

/** JSON with the keys of every object in order, as Tart writes manifests. */
function sortedJson(value: object): Uint8Array {
  const sorted = (_: string, each: unknown): unknown => {
    if (typeof each !== 'object' || each === null || Array.isArray(each)) return each
    return Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1)))
  }
  return Buffer.from(JSON.stringify(value, sorted))
}
