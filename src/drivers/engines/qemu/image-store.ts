import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { CideryError } from '../../../model/errors.ts'
import { formatImageReference, parseImageReference, type ImageReference } from '../../../model/image/reference.ts'
import { ImageMetadata, type StoredImage } from '../../../model/image/stored.ts'
import type { ImageStore, PushReport, PushTarget, TransferOptions } from '../../../ports/images.ts'
import type { Registry } from '../../../ports/registry.ts'
import { allocatedBytes, sumFaults, sumsOf } from '../image-files.ts'
import type { RecordStore } from '../records.ts'
import type { Turns } from '../turns.ts'
import { aboutOf, forgetAbout, jsonOf, noteAbout, removeFolder, removeParts, storedImages, touch } from './image-folders.ts'
import { imageFolder, imagesDirectory } from './images.ts'
import { layersDirectory, storedLayers } from './layers.ts'
import { annotations } from './oci/format.ts'
import { readDiskManifest } from './oci/manifest.ts'
import { pullImage } from './oci/pull.ts'
import { pushImage, type BaseImage } from './oci/push.ts'
import { verifyImage } from './oci/verify.ts'
import type { MachineRecord } from './record.ts'
import type { QemuEngineConfig } from './settings.ts'

/** Notes that a machine is made of a stored image now: those that nobody uses are the first to go. */
export function noteUse(config: QemuEngineConfig, id: string): void {
  if (!config.images.has(id)) touch(imageFolder(config, id))
}

export interface ImageStoreParts {
  readonly config: QemuEngineConfig
  readonly records: RecordStore<MachineRecord>
  readonly turns: Turns
  /** No machine is given an image while this works. */
  readonly underLock: <T>(work: () => Promise<T>) => Promise<T>
  /** Removes what was saved of machines of this disk; none of them is in use. */
  readonly dropStates: (disk: string) => void
}

/** Builds of this host, a folder each: `vmlinuz`, `initramfs`, `disk.raw`, and `image.json` that says what it is. */
export class QemuImageStore implements ImageStore {
  readonly #parts: ImageStoreParts

  constructor(parts: ImageStoreParts) {
    this.#parts = parts
  }

  list(): Promise<readonly StoredImage[]> {
    return Promise.resolve(storedImages(this.#parts.config, this.#users()))
  }

  async describe(
    { registry, repository, digest }: ImageReference & { readonly digest: string },
    signal: AbortSignal,
  ): Promise<ImageMetadata | null> {
    const { bytes } = await this.#registry().readManifest({ registry, repository }, digest, signal)
    const text = readDiskManifest(bytes).annotations[annotations.metadata]
    const read = ImageMetadata.safeParse(text === undefined ? null : jsonOf(text))
    return read.success ? read.data : null
  }

  pull(id: string, from: ImageReference & { readonly digest: string }, options: TransferOptions): Promise<StoredImage> {
    const { config, turns } = this.#parts
    return turns.take(`pull ${id}`, async () => {
      mkdirSync(imagesDirectory(config), { recursive: true, mode: 0o700 })
      const { signal, onProgress, bandwidth } = options
      const { registry, repository, digest } = from
      const source = { registry: this.#registry(), where: { registry, repository }, digest }
      await pullImage(source, imageFolder(config, id), {
        signal,
        localSources: this.#likely(id),
        bytesPerSecond: bandwidth ?? null,
        onProgress: ({ doneBytes, totalBytes, networkBytes }) =>
          onProgress?.({ done: doneBytes, total: totalBytes, network: networkBytes }),
      })
      noteAbout(config, id, { reference: formatImageReference(from), sums: null })
      return this.#mustHave(id)
    })
  }

  push(id: string, to: PushTarget, { signal }: TransferOptions): Promise<PushReport> {
    const { config, turns } = this.#parts
    return turns.take(`push ${id}`, async () => {
      this.#mustHave(id)
      const where = { registry: to.registry, repository: to.repository }
      const bases = this.#bases(where.registry)
      const pushed = await pushImage(imageFolder(config, id), { registry: this.#registry(), where }, { signal, bases, tags: to.tags })
      const [tag = null] = to.tags
      noteAbout(config, id, { reference: formatImageReference({ ...where, tag, digest: pushed.digest }) })
      return pushed
    })
  }

  async verify(id: string, signal: AbortSignal): Promise<readonly string[]> {
    const { config } = this.#parts
    const { reference } = this.#mustHave(id)
    const folder = imageFolder(config, id)
    const { sums } = aboutOf(config, id)
    if (sums === null) {
      const digest = reference === null ? null : parseImageReference(reference).digest
      return verifyImage(folder, { signal, ...(digest === null ? {} : { digest }) })
    }
    return sumFaults(sums, await sumsOf(folder))
  }

  remove(id: string): Promise<void> {
    const { config, dropStates } = this.#parts
    return this.#parts.underLock(() => {
      if (config.images.has(id)) throw new CideryError('CONFLICT', `the image ${id} is the operator's: agent.yaml names it`)
      const { users } = this.#mustHave(id)
      if (users.length > 0) throw new CideryError('CONFLICT', `the image ${id} is in use: ${users.join(', ')}`)
      const folder = imageFolder(config, id)
      dropStates(`${folder}/disk.raw`)
      removeFolder(folder)
      forgetAbout(config, id)
      return Promise.resolve()
    })
  }

  async room(): Promise<{ readonly usedBytes: number; readonly freeBytes: number; readonly totalBytes: number }> {
    const { config } = this.#parts
    mkdirSync(imagesDirectory(config), { recursive: true, mode: 0o700 })
    const { blocks, bavail, bsize } = await statfs(imagesDirectory(config))
    const folders = [imagesDirectory(config), layersDirectory(config)].filter((folder) => existsSync(folder))
    const usedBytes = folders.reduce((sum, folder) => sum + allocatedBytes(folder), 0)
    return { usedBytes, freeBytes: bavail * bsize, totalBytes: blocks * bsize }
  }

  sweep(keep: ReadonlySet<string>): Promise<readonly string[]> {
    const { config, turns } = this.#parts
    const removed = [imagesDirectory(config), layersDirectory(config)].flatMap((folder) => removeParts(folder))
    const parent = imagesDirectory(config)
    for (const name of existsSync(parent) ? readdirSync(parent) : []) {
      const id = /^([^.].*)\.part$/.exec(name)?.[1]
      if (id === undefined || keep.has(id) || turns.busy().includes(`pull ${id}`)) continue
      rmSync(`${parent}/${name}`, { recursive: true, force: true })
      removed.push(name)
    }
    return Promise.resolve(removed)
  }

  #registry(): Registry {
    const { registry } = this.#parts.config
    if (registry !== null) return registry
    throw new CideryError('UNSUPPORTED', 'this engine was given no registry to bring images from')
  }

  #mustHave(id: string): StoredImage {
    const found = storedImages(this.#parts.config, this.#users()).find((image) => image.id === id)
    if (found === undefined) throw new CideryError('NOT_FOUND', `this host has no image ${id}`, { hint: 'cidery image ls' })
    return found
  }

  /** Folders whose bytes a build may share, the newest first. */
  #likely(id: string): readonly string[] {
    const { config } = this.#parts
    const others = storedImages(config, new Map()).filter((image) => image.id !== id && image.problems.length === 0)
    return others.toSorted((a, b) => b.storedAt - a.storedAt).map((image) => imageFolder(config, image.id))
  }

  /** What of this host's builds is in a registry already. */
  #bases(registry: string): readonly BaseImage[] {
    const references = storedImages(this.#parts.config, new Map()).flatMap(({ reference }) =>
      reference === null ? [] : [parseImageReference(reference)],
    )
    return references.flatMap((each) =>
      each.digest === null || each.registry !== registry ? [] : [{ where: { registry, repository: each.repository }, digest: each.digest }],
    )
  }

  /** Machines and layers by the image that they stand on; a warm machine is nobody's, and still a clone. */
  #users(): ReadonlyMap<string, readonly string[]> {
    const { config, records } = this.#parts
    const users = new Map<string, string[]>()
    const add = (image: string, user: string): void => void users.set(image, [...(users.get(image) ?? []), user])
    for (const { id, image } of records.list()) add(image, id)
    for (const { image, key } of storedLayers(config)) add(image, `layer ${key}`)
    return users
  }
}
