import { existsSync, readdirSync, statSync } from 'node:fs'
import { CideryError } from '../../../model/errors.ts'
import type { ImageMetadata, StoredImage } from '../../../model/image/stored.ts'
import type { BaseSource, ImageBuilder, StoredLayer } from '../../../ports/images.ts'
import { allocatedBytes, sumsOf } from '../image-files.ts'
import { cloneMs } from './cloning.ts'
import { isMachine, isSuspended, machineDirectory, machineParts, storedImage, type ImageRecord } from './image-record.ts'
import { removeMachineFolder } from './image-removing.ts'
import { turnOf, type ImageStoreParts } from './image-store.ts'
import { isAlive } from './processes.ts'
import type { MachineRecord } from './record.ts'
import { shutGuestDown } from './shutting-down.ts'

const whyNoBase: Readonly<Record<BaseSource['kind'], string>> = {
  ipsw: 'a macOS that comes from a restore image first asks for a language, an account and more on its screen, and nobody is there to answer',
  debian: 'Tart on Apple silicon boots no disk of packages',
}

type BuilderRecord = MachineRecord & { readonly builder: NonNullable<MachineRecord['builder']> }

/** Machines whose disk is kept. A layer, and a build, is a machine of Tart that never runs: a clone, which shares its blocks. */
export class TartBuilder implements ImageBuilder {
  readonly #parts: ImageStoreParts

  constructor(parts: ImageStoreParts) {
    this.#parts = parts
  }

  prepareBase({ kind }: BaseSource): Promise<StoredImage> {
    return Promise.reject(
      new CideryError('UNSUPPORTED', `the tart engine makes no base of kind ${kind}: ${whyNoBase[kind]}`, {
        hint: 'start from an image of a registry: base: { oci: ghcr.io/cirruslabs/macos-sequoia-base:latest }',
      }),
    )
  }

  shutDown(id: string, limitMs: number): Promise<void> {
    const { machines, turns } = this.#parts
    return turns.take(id, async () => {
      const record = this.#mustHave(id)
      const { door, builder } = record
      if (builder.closed) return
      if (door === null || !(await isAlive(record.run)))
        throw new CideryError('ENGINE_FAILED', 'the machine of the build went before it was shut down')
      await shutGuestDown(this.#parts, { record, door }, limitMs)
      machines.put({ ...record, builder: { ...builder, closed: true }, run: null, door: null })
    })
  }

  keepLayer(id: string, key: string): Promise<void> {
    const { names, turns } = this.#parts
    return turns.take(id, async () => {
      const record = this.#mustBeClosed(id)
      await turns.take(`layer ${key}`, async () => {
        const layer = names.layer(key)
        if (!existsSync(this.#directory(layer))) await this.#copy(record.name, layer)
      })
    })
  }

  layers(): Promise<readonly StoredLayer[]> {
    const { config, names } = this.#parts
    const vms = `${config.home}/vms`
    const layers = (existsSync(vms) ? readdirSync(vms) : []).flatMap((name) => {
      const [key, directory] = [names.layerKey(name), this.#directory(name)]
      if (key === null || !isMachine(directory)) return []
      return [{ key, sizeBytes: allocatedBytes(directory), lastUsedAt: Math.round(statSync(directory).mtimeMs) }]
    })
    return Promise.resolve(layers.toSorted((a, b) => (a.key < b.key ? -1 : 1)))
  }

  removeLayer(key: string): Promise<void> {
    const { machines, names, turns } = this.#parts
    return turns.take(`layer ${key}`, async () => {
      if (!existsSync(this.#directory(names.layer(key)))) throw new CideryError('NOT_FOUND', `this host has no layer ${key}`)
      const users = machines.list().flatMap(({ id, builder }) => (builder?.layer === key ? [id] : []))
      if (users.length > 0) throw new CideryError('CONFLICT', `the layer ${key} is in use: ${users.join(', ')}`)
      await removeMachineFolder(this.#parts, names.layer(key))
    })
  }

  seal(id: string, metadata: ImageMetadata): Promise<StoredImage> {
    const { config, images, names, turns } = this.#parts
    const { build } = metadata
    return turns.take(id, async () => {
      const { name } = this.#mustBeClosed(id)
      return turns.take(turnOf(build), async () => {
        images.prepare()
        const sealed = names.image(build)
        // A record that is not whole is what a try before this one left.
        if (images.get(build)?.phase === 'whole' || existsSync(this.#directory(sealed)))
          throw new CideryError('CONFLICT', `there is an image ${build} on this host already`)
        const record = await this.#copy(name, sealed, async (part) => {
          const sums = await sumsOf(this.#directory(part), machineParts)
          return images.put(sealedRecord(metadata, { name: sealed, sums }))
        })
        return storedImage(config, images.put({ ...record, phase: 'whole' }), [])
      })
    })
  }

  /** Copies a machine under another name and gives it its own once all of it is there: a crash leaves a part, never half of it. */
  async #copy<T = void>(from: string, to: string, beforeName?: (part: string) => Promise<T>): Promise<T> {
    const { names, tart } = this.#parts
    return names.withPart(async (part) => {
      try {
        await tart.must(['clone', from, part], cloneMs)
        const made = (await beforeName?.(part)) as T
        await tart.must(['rename', part, to])
        return made
      } catch (error) {
        await removeMachineFolder(this.#parts, part).catch(() => undefined)
        throw error
      }
    })
  }

  #directory(name: string): string {
    return machineDirectory(this.#parts.config, name)
  }

  #mustHave(id: string): BuilderRecord {
    const record = this.#parts.machines.get(id)
    if (record !== null && isBuilder(record)) return record
    throw new CideryError('NOT_FOUND', `no build has the machine ${id} on this host`)
  }

  /** A disk is kept only when the guest itself said that it is whole. */
  #mustBeClosed(id: string): BuilderRecord {
    const record = this.#mustHave(id)
    if (!record.builder.closed) throw new CideryError('CONFLICT', `the machine of build ${id} was not shut down`)
    if (isSuspended(this.#directory(record.name)))
      throw new CideryError('CONFLICT', `the machine of build ${id} is suspended: part of what is on its disk is in its memory`)
    return record
  }
}

function isBuilder(record: MachineRecord): record is BuilderRecord {
  return record.builder !== undefined
}

function sealedRecord(metadata: ImageMetadata, { name, sums }: Pick<ImageRecord, 'name' | 'sums'>): ImageRecord {
  const now = Date.now()
  return {
    id: metadata.build,
    kind: 'local',
    name,
    ours: true,
    phase: 'coming',
    puller: null,
    reference: null,
    metadata,
    sums,
    storedAt: now,
    lastUsedAt: now,
  }
}
