import type { RecordStore } from '../records.ts'
import { qemuVersion, type Acceleration } from './acceleration.ts'
import { bootMachine, type Booted, type BootRequest } from './boot.ts'
import { makeDisks } from './disks.ts'
import { imageOf } from './images.ts'
import { filesOf, type MachineRecord } from './record.ts'
import { SavedStates } from './saved-states.ts'
import type { QemuEngineConfig } from './settings.ts'

export interface StartingParts {
  readonly config: QemuEngineConfig
  readonly records: RecordStore<MachineRecord>
  readonly acceleration: Acceleration
  readonly underLock: <T>(work: () => Promise<T>) => Promise<T>
}

/** How a machine comes up: from a saved state when it was never started before, else by booting from its own disks. */
export class Starting {
  readonly #parts: StartingParts
  readonly #states: SavedStates

  constructor(parts: StartingParts) {
    this.#parts = parts
    this.#states = new SavedStates(parts.config)
  }

  /** Names of machines that are no sandboxes: one that KVM is tried with, and those that are booted to be saved. */
  helpers(): readonly string[] {
    return ['trial', ...this.#states.making()]
  }

  /** Removes the states of machines of a disk. */
  dropStates(disk: string): void {
    this.#states.dropOf(disk)
  }

  async start(asked: MachineRecord): Promise<MachineRecord> {
    const { config, records, acceleration, underLock } = this.#parts
    // What a crash leaves from here on is no disk to keep.
    const record = asked.builder === undefined ? asked : records.put({ ...asked, builder: { ...asked.builder, closed: false } })
    const image = imageOf(config, record.image)
    const accelerator = await underLock(() => acceleration.choose(image))
    const request = { config, record, image, accelerator, underLock }
    const fresh = !record.started && config.savedStates > 0 && record.builder === undefined
    const resumed = fresh ? await this.#resume(request) : null
    const { holder, master, notes } = resumed !== null && 'holder' in resumed ? resumed : await bootMachine(request)
    const savedState = resumed === null ? record.savedState : 'holder' in resumed ? resumed.savedState : null
    const why = resumed !== null && 'problem' in resumed ? [`it was booted: ${resumed.problem}`] : []
    return records.put({ ...record, started: true, savedState, holder, master, notes: [...notes, ...why] })
  }

  /** When no state can be had or used, the machine has the image's disk again, and boots. */
  async #resume(request: BootRequest): Promise<(Booted & { readonly savedState: string }) | { readonly problem: string }> {
    const { config, records } = this.#parts
    const { image, record, accelerator } = request
    const files = filesOf(config, record)
    let key: string | undefined
    try {
      key = await this.#states.ensure({ image, record, accelerator, version: await qemuVersion() })
      // Before the disk refers to it: nobody removes a state that a record names.
      records.put({ ...record, savedState: key })
      await this.#states.cloneDisks(key, files)
      const booted = await bootMachine({ ...request, memory: this.#states.memory(key) })
      this.#states.prune(this.#inUse())
      return { ...booted, savedState: key }
    } catch (error) {
      records.put(record)
      this.#states.prune(this.#inUse(), key)
      await makeDisks(files, image, record.shape.diskMiB)
      return { problem: `no saved state could be used: ${(error as Error).message}`.slice(0, 400) }
    }
  }

  #inUse(): ReadonlySet<string> {
    return new Set(this.#parts.records.list().flatMap(({ savedState }) => savedState ?? []))
  }
}
