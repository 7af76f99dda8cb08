import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { CideryError } from '../../../model/errors.ts'
import { parseImageReference, type ImageReference } from '../../../model/image/reference.ts'
import type { ImageMetadata, StoredImage } from '../../../model/image/stored.ts'
import type { ImageStore, PushReport, PushTarget, TransferOptions } from '../../../ports/images.ts'
import type { Log } from '../../../ports/log.ts'
import type { Registry } from '../../../ports/registry.ts'
import { allocatedBytes, sumFaults, sumsOf } from '../image-files.ts'
import { isRunning, type RecordStore } from '../records.ts'
import type { Turns } from '../turns.ts'
import type { Around } from './door.ts'
import { endPull, lookAhead, pullImage } from './image-pull.ts'
import { pushImage } from './image-push.ts'
import { imageDirectory, isMachine, machineDirectory, machineParts, storedImage, type ImageRecord } from './image-record.ts'
import { removeBytes, removeMachineFolder } from './image-removing.ts'
import { storedRecord } from './images.ts'
import { verifyCachedImage } from './oci/verify-cached.ts'
import type { OwnNames } from './own-names.ts'
import type { MachineRecord } from './record.ts'

export interface ImageStoreParts extends Around {
  readonly log: Log | null
  readonly names: OwnNames
  readonly machines: RecordStore<MachineRecord>
  readonly images: RecordStore<ImageRecord>
  readonly turns: Turns
}

/** Builds of this host: images of Tart's cache, and machines of Tart that never run; a record says of each what it is. */
export class TartImageStore implements ImageStore {
  readonly #parts: ImageStoreParts

  constructor(parts: ImageStoreParts) {
    this.#parts = parts
  }

  list(): Promise<readonly StoredImage[]> {
    const { config, images } = this.#parts
    const whole = images.list().filter(({ phase }) => phase === 'whole')
    return Promise.resolve(whole.map((record) => storedImage(config, record, this.#users(record.id))))
  }

  async describe(from: ImageReference & { readonly digest: string }, signal: AbortSignal): Promise<ImageMetadata | null> {
    return (await lookAhead(this.#registry(), from, signal)).metadata
  }

  pull(id: string, from: ImageReference & { readonly digest: string }, options: TransferOptions): Promise<StoredImage> {
    const { config, images, turns } = this.#parts
    this.#tellOfBandwidth(options, { image: id })
    return turns.take(turnOf(id), async () => {
      images.prepare()
      const record = await pullImage({ ...this.#parts, registry: this.#registry() }, { id, from }, options)
      return storedImage(config, record, this.#users(id))
    })
  }

  push(id: string, to: PushTarget, options: TransferOptions): Promise<PushReport> {
    this.#tellOfBandwidth(options, { image: id })
    const { config, images, turns } = this.#parts
    return turns.take(turnOf(id), () =>
      pushImage({ config, images, registry: this.#registry(), signal: options.signal }, this.#mustHave(id), to),
    )
  }

  async verify(id: string, signal: AbortSignal): Promise<readonly string[]> {
    const { config } = this.#parts
    const record = this.#mustHave(id)
    const directory = imageDirectory(config, record)
    if (record.sums !== null)
      return existsSync(directory) ? sumFaults(record.sums, await sumsOf(directory, machineParts)) : ['it is not there']
    return verifyCachedImage(directory, parseImageReference(record.name).digest ?? '', { signal })
  }

  remove(id: string): Promise<void> {
    const { config, images, log, turns } = this.#parts
    return turns.take(turnOf(id), async () => {
      if (config.images.has(id)) throw new CideryError('CONFLICT', `the image ${id} is the operator's: agent.yaml names it`)
      const record = this.#mustHave(id)
      const users = this.#users(id)
      if (users.length > 0) throw new CideryError('CONFLICT', `the image ${id} is in use: ${users.join(', ')}`)
      // Between the look at who uses it and this nothing else happens: no machine is made of it from here on.
      images.put({ ...record, phase: 'going' })
      if (!(await removeBytes(this.#parts, record)))
        log?.info('an image stays in the cache of Tart: somebody else wants it too', { image: id, name: record.name })
      images.remove(id)
    })
  }

  async room(): Promise<{ readonly usedBytes: number; readonly freeBytes: number; readonly totalBytes: number }> {
    const { config, images, names } = this.#parts
    mkdirSync(config.home, { recursive: true })
    const { blocks, bavail, bsize } = await statfs(config.home)
    const local = machineNames(config.home)
      .filter((name) => names.isStored(name))
      .map((name) => machineDirectory(config, name))
    const cached = images.list().flatMap((record) => (record.kind === 'cached' ? [imageDirectory(config, record)] : []))
    const folders = [...new Set([...local, ...cached])].filter((folder) => existsSync(folder))
    const usedBytes = folders.reduce((sum, folder) => sum + allocatedBytes(folder), 0)
    return { usedBytes, freeBytes: bavail * bsize, totalBytes: blocks * bsize }
  }

  async sweep(keep: ReadonlySet<string>): Promise<readonly string[]> {
    const { config, images, names, turns } = this.#parts
    const removed: string[] = []
    images.removeParts()
    for (const { id } of images.list()) {
      if (keep.has(id) || turns.busy().includes(turnOf(id))) continue
      if (await turns.take(turnOf(id), () => this.#finish(id))) removed.push(id)
    }
    // A record is written before its machine has its name.
    const known = new Set(images.list().map(({ name }) => name))
    for (const name of machineNames(config.home)) {
      if (!(isLeftPart(names, name) || (name.startsWith(names.image('')) && !known.has(name)))) continue
      await removeMachineFolder(this.#parts, name)
      removed.push(name)
    }
    if (!turns.busy().some((turn) => turn.startsWith(turnOf('')))) rmSync(`${config.stateDir}/scratch`, { recursive: true, force: true })
    return removed
  }

  /** Ends what a process that is gone left half done of an image; false where all is well. */
  async #finish(id: string): Promise<boolean> {
    const { config, images } = this.#parts
    const record = images.get(id)
    if (record === null || record.phase === 'whole') return false
    if (record.kind === 'local' && record.phase === 'coming' && isMachine(imageDirectory(config, record))) {
      // Its last step was taken, and not written down.
      images.put({ ...record, phase: 'whole' })
      return false
    }
    await endPull(record)
    await removeBytes(this.#parts, record)
    images.remove(id)
    return true
  }

  #tellOfBandwidth({ bandwidth }: TransferOptions, facts: Readonly<Record<string, unknown>>): void {
    if (bandwidth === undefined) return
    this.#parts.log?.warn('Tart takes all the bandwidth that there is: the limit of a transfer is not kept', { ...facts, bandwidth })
  }

  #registry(): Registry {
    const { registry } = this.#parts.config
    if (registry !== null) return registry
    throw new CideryError('UNSUPPORTED', 'this engine was given no registry to bring images from')
  }

  #mustHave(id: string): ImageRecord {
    const record = storedRecord(this.#parts, id)
    if (record !== null) return record
    throw new CideryError('NOT_FOUND', `this host has no image ${id}`, { hint: 'cidery image ls' })
  }

  /**
   * Machines that were made of an image, from before they are cloned until they are gone. Their disks would outlive it, as a clone shares nothing that can be taken
   * away; but what runs on a host can be proved, and made again, only from what it is a clone of.
   */
  #users(id: string): readonly string[] {
    return this.#parts.machines.list().flatMap(({ id: user, image }) => (image === id ? [user] : []))
  }
}

/** One thing at a time is done with an image. */
export const turnOf = (id: string): string => `image ${id}`

function machineNames(home: string): readonly string[] {
  return existsSync(`${home}/vms`) ? readdirSync(`${home}/vms`) : []
}

/** Whether it is a part, and nobody makes anything of it any more. */
function isLeftPart(names: OwnNames, name: string): boolean {
  const pid = names.partMaker(name)
  if (pid === null) return false
  if (pid === process.pid) return !names.isBeingMade(name)
  return !isRunning(pid)
}
