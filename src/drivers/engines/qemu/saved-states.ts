import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { must } from '../commands.ts'
import { isAlive } from '../process-table.ts'
import { waitUntil } from '../wait.ts'
import { hearFrom, ownUid, startMachine } from './boot.ts'
import { makeDisks } from './disks.ts'
import { GuestControl } from './guest-control.ts'
import type { Image } from './images.ts'
import { saveState } from './monitor.ts'
import { endProcess } from './processes.ts'
import type { Accelerator } from './qemu-words.ts'
import { machineFiles, type MachineFiles, type MachineRecord } from './record.ts'
import type { QemuEngineConfig } from './settings.ts'

/** What a state fits: a machine that differs in any of it cannot start from it. */
export interface StateOf {
  readonly image: Image
  readonly record: MachineRecord
  readonly accelerator: Accelerator
  readonly version: string
}

/** A state takes some hundred MiB to write. */
const saveMs = 120_000

/**
 * States of machines that have booted and wait to be told who they are, for the next to start from: the disk as it was, and the memory. Kept below
 * `states`, the most recently used ones only; one that a machine's disk is a clone of stays.
 */
export class SavedStates {
  readonly #config: QemuEngineConfig
  readonly #making = new Map<string, Promise<void>>()

  constructor(config: QemuEngineConfig) {
    this.#config = config
  }

  /** Names of machines that boot to be saved now; no record speaks of them. */
  making(): readonly string[] {
    return [...this.#making.keys()].map((key) => makerName(key))
  }

  /** The key of a state that fits, made now when there is none. */
  async ensure(wanted: StateOf): Promise<string> {
    const key = keyOf(wanted)
    if (!existsSync(this.memory(key))) {
      const making = this.#making.get(key) ?? this.#make(key, wanted).finally(() => this.#making.delete(key))
      this.#making.set(key, making)
      await making
    }
    const now = new Date()
    utimesSync(this.#folder(key), now, now)
    return key
  }

  /** The file that a machine's memory is read from. */
  memory(key: string): string {
    return `${this.#folder(key)}/memory`
  }

  /** Gives a machine the disks that go with a state. */
  async cloneDisks(key: string, files: MachineFiles): Promise<void> {
    rmSync(files.root, { force: true })
    await must(['qemu-img', 'create', '-q', '-f', 'qcow2', '-b', `${this.#folder(key)}/root.qcow2`, '-F', 'qcow2', files.root])
    await must(['cp', '--sparse=always', '--reflink=auto', `${this.#folder(key)}/data.raw`, files.data])
  }

  /** Removes one that does not work, and those beyond the limit that were used longest ago. */
  prune(inUse: ReadonlySet<string>, broken?: string): void {
    if (broken !== undefined) rmSync(this.memory(broken), { force: true })
    const folder = `${this.#config.stateDir}/states`
    const names = existsSync(folder) ? readdirSync(folder) : []
    const free = names.filter((name) => !inUse.has(name) && !this.#making.has(name.replace(/\.part$/, '')))
    const used = (name: string): number => statSync(`${folder}/${name}`).mtimeMs
    const whole = free.filter((name) => existsSync(this.memory(name))).toSorted((a, b) => used(b) - used(a))
    const kept = new Set(whole.slice(0, Math.max(0, this.#config.savedStates - (names.length - free.length))))
    for (const name of free) if (!kept.has(name)) rmSync(`${folder}/${name}`, { recursive: true, force: true })
  }

  /** Removes those whose disk is a clone of this one: it is going. */
  dropOf(disk: string): void {
    const folder = `${this.#config.stateDir}/states`
    for (const name of existsSync(folder) ? readdirSync(folder) : []) {
      if (diskOf(`${folder}/${name}`) === disk) rmSync(`${folder}/${name}`, { recursive: true, force: true })
    }
  }

  #folder(key: string): string {
    return `${this.#config.stateDir}/states/${key}`
  }

  async #make(key: string, { image, record, accelerator }: StateOf): Promise<void> {
    const part = `${this.#folder(key)}.part`
    const files = machineFiles(this.#config.stateDir, makerName(key))
    for (const directory of [part, files.directory]) rmSync(directory, { recursive: true, force: true })
    mkdirSync(part, { recursive: true, mode: 0o700 })
    await makeDisks(files, image, record.shape.diskMiB)
    // Its UID is one that no machine has.
    const maker = { ...record, id: makerName(key), folder: makerName(key), slot: this.#config.slots + 1 }
    const holder = await startMachine({ config: this.#config, record: maker, image, accelerator, state: 'save' }, files)
    let control: GuestControl | undefined
    try {
      control = await GuestControl.open(files.control, 20_000)
      await hearFrom(control, holder, { word: 'waiting', limitMs: this.#config.bootMs })
      const uid = ownUid(this.#config, maker)
      await saveState({ monitor: files.monitor, file: `${part}/memory`, uid, limitMs: saveMs })
      await waitUntil(() => !isAlive(holder), 20_000)
      writeFileSync(`${part}/disk-of`, image.disk, { mode: 0o600 })
      for (const name of ['root', 'data'] as const) renameSync(files[name], `${part}/${name === 'root' ? 'root.qcow2' : 'data.raw'}`)
      rmSync(this.#folder(key), { recursive: true, force: true })
      renameSync(part, this.#folder(key))
    } finally {
      control?.close()
      await endProcess(holder, 0)
      for (const directory of [part, files.directory]) rmSync(directory, { recursive: true, force: true })
    }
  }
}

/** The disk of the image that a state began with. */
function diskOf(folder: string): string | null {
  try {
    return readFileSync(`${folder}/disk-of`, 'utf8')
  } catch {
    return null
  }
}

function makerName(key: string): string {
  return `state-${key}`
}

function keyOf({ image, record, accelerator, version }: StateOf): string {
  const files = [image.kernel, image.initramfs, image.disk].map((path) => [path, statSync(path).mtimeMs, statSync(path).size])
  const { shape, network } = record
  return createHash('sha256')
    .update(JSON.stringify([files, shape, network, accelerator, version]))
    .digest('hex')
    .slice(0, 16)
}
