import { existsSync, mkdirSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { CideryError } from '../../../model/errors.ts'
import type { StoredImage } from '../../../model/image/stored.ts'
import type { ImageStore } from '../../../ports/images.ts'
import type { RecordStore } from '../records.ts'
import { allocatedBytes, removeFolder, removeParts, storedImages, touch } from './image-folders.ts'
import { imageFolder, imagesDirectory } from './images.ts'
import { layersDirectory, storedLayers } from './layers.ts'
import type { MachineRecord } from './record.ts'
import type { QemuEngineConfig } from './settings.ts'

/** Notes that a machine is made of a stored image now: those that nobody uses are the first to go. */
export function noteUse(config: QemuEngineConfig, id: string): void {
  if (!config.images.has(id)) touch(imageFolder(config, id))
}

export interface ImageStoreParts {
  readonly config: QemuEngineConfig
  readonly records: RecordStore<MachineRecord>
  /** No machine is given an image while this works. */
  readonly underLock: <T>(work: () => Promise<T>) => Promise<T>
  /** Removes what was saved of machines of this disk; none of them is in use. */
  readonly dropStates: (disk: string) => void
}

/** Builds of this host, a folder each: `vmlinuz`, `initramfs`, `disk.raw`, and `image.json` that says what it is. */
export class QemuImageStore implements Pick<ImageStore, 'list' | 'remove' | 'room' | 'sweep'> {
  readonly #parts: ImageStoreParts

  constructor(parts: ImageStoreParts) {
    this.#parts = parts
  }

  list(): Promise<readonly StoredImage[]> {
    return Promise.resolve(storedImages(this.#parts.config, this.#users()))
  }

  remove(id: string): Promise<void> {
    const { config, dropStates } = this.#parts
    return this.#parts.underLock(() => {
      if (config.images.has(id)) throw new CideryError('CONFLICT', `the image ${id} is the operator's: agent.yaml names it`)
      const folder = imageFolder(config, id)
      if (!existsSync(folder)) throw new CideryError('NOT_FOUND', `this host has no image ${id}`)
      const users = this.#users().get(id) ?? []
      if (users.length > 0) throw new CideryError('CONFLICT', `the image ${id} is in use: ${users.join(', ')}`)
      dropStates(`${folder}/disk.raw`)
      removeFolder(folder)
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
    const { config } = this.#parts
    const removed = [imagesDirectory(config), layersDirectory(config)].flatMap((folder) => removeParts(folder))
    return Promise.resolve(removed.filter((name) => !keep.has(name)))
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
