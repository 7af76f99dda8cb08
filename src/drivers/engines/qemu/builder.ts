import { copyFileSync, constants, existsSync, writeFileSync } from 'node:fs'
import { CideryError } from '../../../model/errors.ts'
import type { ImageMetadata, StoredImage } from '../../../model/image/stored.ts'
import type { BaseSource, ImageBuilder, StoredLayer } from '../../../ports/images.ts'
import { must } from '../commands.ts'
import { sumsOf } from '../image-files.ts'
import { isAlive } from '../process-table.ts'
import type { RecordStore } from '../records.ts'
import type { Turns } from '../turns.ts'
import { debianBaseKey, makeDebianBase } from './debian/base.ts'
import { closeDown } from './guest-control.ts'
import { fillFolder, forgetAbout, noteAbout, storedImages } from './image-folders.ts'
import { imageFolder, imageOf } from './images.ts'
import { keepLayer, removeLayer, storedLayers } from './layers.ts'
import { endProcess } from './processes.ts'
import { filesOf, type MachineRecord } from './record.ts'
import type { QemuEngineConfig } from './settings.ts'

export interface BuilderParts {
  readonly config: QemuEngineConfig
  readonly records: RecordStore<MachineRecord>
  readonly turns: Turns
  readonly underLock: <T>(work: () => Promise<T>) => Promise<T>
}

/** QEMU closes its disks within this. */
const closeMs = 20_000

/** A disk of some hundred gibibytes is read once. */
const convertMs = 60 * 60_000

/** Machines whose root disk is kept. */
export class QemuBuilder implements ImageBuilder {
  readonly #parts: BuilderParts

  constructor(parts: BuilderParts) {
    this.#parts = parts
  }

  prepareBase(
    source: BaseSource,
    options: { readonly signal: AbortSignal; readonly onLine: (line: string) => void },
  ): Promise<StoredImage> {
    if (source.kind !== 'debian') throw new CideryError('UNSUPPORTED', `the qemu engine makes no base of kind ${source.kind}`)
    const { config, turns } = this.#parts
    const id = `debian-${source.suite}-${debianBaseKey(source)}`
    return turns.take(id, async () => {
      const folder = imageFolder(config, id)
      if (!existsSync(folder)) {
        await fillFolder(folder, async (part) => {
          await makeDebianBase(source, part, options)
          writeFileSync(`${part}/image.json`, JSON.stringify(baseMetadata(id, source.suite)), { mode: 0o600 })
        })
      }
      return this.#stored(id)
    })
  }

  shutDown(id: string, limitMs: number): Promise<void> {
    return this.#parts.turns.take(id, async () => {
      const record = this.#mustHave(id)
      const { holder, master, builder } = record
      if (builder.closed) return
      if (holder === null || !isAlive(holder))
        throw new CideryError('ENGINE_FAILED', 'the machine of the build went before it was shut down')
      await closeDown(filesOf(this.#parts.config, record).control, limitMs)
      await endProcess(holder, closeMs)
      if (master !== null) await endProcess(master, 0)
      this.#parts.records.put({ ...record, builder: { ...builder, closed: true }, holder: null, master: null })
    })
  }

  keepLayer(id: string, key: string): Promise<void> {
    const { config, turns, underLock } = this.#parts
    return turns.take(id, async () => {
      const record = this.#mustBeClosed(id)
      const below = { image: record.image, parent: record.builder.layer }
      await underLock(async () => {
        await keepLayer(config, key, { root: filesOf(config, record).root, below })
        this.#parts.records.put({ ...record, builder: { layer: key, closed: true } })
      })
    })
  }

  layers(): Promise<readonly StoredLayer[]> {
    const layers = storedLayers(this.#parts.config)
    return Promise.resolve(layers.map(({ key, sizeBytes, lastUsedAt }) => ({ key, sizeBytes, lastUsedAt })))
  }

  removeLayer(key: string): Promise<void> {
    const { config, records, underLock } = this.#parts
    return underLock(() => {
      const above = storedLayers(config).flatMap((layer) => (layer.parent === key ? [`layer ${layer.key}`] : []))
      const machines = records.list().flatMap(({ id, builder }) => (builder?.layer === key ? [id] : []))
      removeLayer(config, key, [...above, ...machines])
      return Promise.resolve()
    })
  }

  seal(id: string, metadata: ImageMetadata): Promise<StoredImage> {
    const { config, turns } = this.#parts
    return turns.take(id, async () => {
      const record = this.#mustBeClosed(id)
      const folder = imageFolder(config, metadata.build)
      if (existsSync(folder)) throw new CideryError('CONFLICT', `there is an image ${metadata.build} on this host already`)
      const { kernel, initramfs } = imageOf(config, record.image)
      await fillFolder(folder, async (part) => {
        copyFileSync(kernel, `${part}/vmlinuz`, constants.COPYFILE_FICLONE)
        copyFileSync(initramfs, `${part}/initramfs`, constants.COPYFILE_FICLONE)
        const disk = `${part}/disk.raw`
        await must(['qemu-img', 'convert', '-O', 'raw', '-S', '4k', filesOf(config, record).root, disk], { timeoutMs: convertMs })
        // Nothing is mended: a file system that needs it was not left as it should have been.
        await must(['e2fsck', '-f', '-n', disk], { timeoutMs: convertMs })
        writeFileSync(`${part}/image.json`, JSON.stringify(metadata), { mode: 0o600 })
        noteAbout(config, metadata.build, { reference: null, sums: await sumsOf(part) })
      }).catch((error: unknown) => {
        forgetAbout(config, metadata.build)
        throw error
      })
      return this.#stored(metadata.build)
    })
  }

  #stored(id: string): StoredImage {
    const found = storedImages(this.#parts.config, new Map()).find((image) => image.id === id)
    if (found === undefined) throw new CideryError('ENGINE_FAILED', `the image ${id} went while it was looked at`)
    return found
  }

  #mustHave(id: string): BuilderRecord {
    const record = this.#parts.records.get(id)
    if (record !== null && isBuilder(record)) return record
    throw new CideryError('NOT_FOUND', `no build has the machine ${id} on this host`)
  }

  /** A disk is kept only when the guest itself said that it is whole. */
  #mustBeClosed(id: string): BuilderRecord {
    const record = this.#mustHave(id)
    if (record.builder.closed) return record
    throw new CideryError('CONFLICT', `the machine of build ${id} was not shut down`)
  }
}

type BuilderRecord = MachineRecord & { readonly builder: NonNullable<MachineRecord['builder']> }

function isBuilder(record: MachineRecord): record is BuilderRecord {
  return record.builder !== undefined
}

function baseMetadata(build: string, suite: string): ImageMetadata {
  return {
    build,
    image: null,
    name: build,
    engine: 'qemu',
    recipe: null,
    base: { reference: `debian:${suite}`, digest: null },
    productVersion: null,
    guest: { os: 'debian', release: suite, arch: 'x64' },
    builtAt: Date.now(),
    builtOn: '',
    tools: [],
    labels: {},
  }
}
