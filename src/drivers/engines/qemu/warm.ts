import { randomBytes } from 'node:crypto'
import { totalmem } from 'node:os'
import type { SandboxRequest, WarmRequest } from '../../../ports/engine.ts'
import { isAlive } from '../process-table.ts'
import type { RecordStore } from '../records.ts'
import type { Turns } from '../turns.ts'
import { folderOf, hasOtherName, type MachineRecord } from './record.ts'

/** A machine that nobody took is made anew after this: its clock and its keys are not to grow old. */
const maxAgeMs = 6 * 3_600_000

/** Machines of this host together may have so much of its memory before warm ones have to go. */
const memoryShare = 0.9

/** What a warm machine has to have in common with a request. */
type Kind = Pick<SandboxRequest, 'image' | 'shape' | 'network' | 'blockedAddresses'>

interface WarmParts {
  readonly slots: number
  readonly records: RecordStore<MachineRecord>
  readonly turns: Turns
  /** Writes the record of a new machine; CONFLICT when no slot is free. */
  readonly write: (request: SandboxRequest, warm: boolean) => Promise<MachineRecord>
  /** Makes its disks and starts it. */
  readonly start: (record: MachineRecord) => Promise<MachineRecord>
  readonly remove: (record: MachineRecord) => Promise<number>
}

/** How a round is to be: it stops between two machines when it is told to, and passes over what `refuse` throws at. */
export interface Round {
  readonly signal: AbortSignal
  readonly refuse: (like: Kind) => void
}

/** Machines that were started before anybody asked for them, in slots that are free. The first request that is alike takes one as it is. */
export class WarmMachines {
  readonly #parts: WarmParts

  constructor(parts: WarmParts) {
    this.#parts = parts
  }

  /** Those that are no sandboxes yet, by the names of their records. */
  names(): readonly string[] {
    return this.#all().map(({ id }) => id)
  }

  /**
   * The machine of a request: a warm one that is alike, whole; else the record of a new one, for which warm ones make room. One request at a time, and not
   * while the keeper takes a slot: two that make room for themselves would each see the other's.
   */
  allocate(request: SandboxRequest): Promise<MachineRecord> {
    return this.#parts.turns.take('allocation', async () => {
      const taken = this.#take(request) ?? (await this.#makeRoom(request))
      return taken ?? this.#parts.write(request, false)
    })
  }

  /** Removes those that are not wanted, do not work or are old, then makes what is missing, one after another. Rejects with the first refusal at the end. */
  keep(wanted: readonly WarmRequest[], round: Round): Promise<void> {
    // A round that a caller gave up waiting for may still be under way.
    return this.#parts.turns.take('warm', async () => {
      const refusals: unknown[] = []
      const possible = wanted.filter(({ like }) => {
        try {
          round.refuse(like)
          return true
        } catch (error) {
          refusals.push(error)
          return false
        }
      })
      await this.#round(possible, round.signal)
      if (refusals.length > 0) throw refusals[0]
    })
  }

  /** Gives the oldest machine that is alike to the request's sandbox, or null. */
  #take(request: SandboxRequest): MachineRecord | null {
    const { records } = this.#parts
    // Its disk is kept, and its connection is root's.
    if (request.builder !== undefined) return null
    const found = this.#all().find((record) => isReady(record) && isAlike(record, request) && !hasOtherName(records.list(), record))
    if (found === undefined) return null
    const { id, jobId } = request
    // The files stay where they are: the processes of the machine were told of them.
    const taken = records.put({ ...found, id, jobId, warm: false, folder: folderOf(found), createdAt: Date.now() })
    records.remove(found.id)
    return taken
  }

  /** Takes warm machines away until there is a slot and memory. One that is just being made and is alike is waited for, and given. */
  async #makeRoom(request: SandboxRequest): Promise<MachineRecord | null> {
    for (const warm of this.#all()) {
      if (this.#hasRoom(request)) return null
      if (isAlike(warm, request)) {
        await this.#parts.turns.take(warm.id, () => Promise.resolve())
        const taken = this.#take(request)
        if (taken !== null) return taken
      }
      await this.#remove(warm.id)
    }
    return null
  }

  #hasRoom({ shape }: Pick<Kind, 'shape'>): boolean {
    const all = this.#parts.records.list()
    const memoryMiB = all.reduce((sum, record) => sum + record.shape.memoryMiB, shape.memoryMiB)
    return all.length < this.#parts.slots && memoryMiB * 1024 ** 2 <= totalmem() * memoryShare
  }

  async #round(wanted: readonly WarmRequest[], signal: AbortSignal): Promise<void> {
    const have = wanted.map(() => 0)
    for (const record of this.#all()) {
      const index = wanted.findIndex((one, at) => isAlike(record, one.like) && (have[at] ?? 0) < one.count)
      const good = isReady(record) && Date.now() - record.createdAt < maxAgeMs && !hasOtherName(this.#parts.records.list(), record)
      if (index >= 0 && good) have[index] = (have[index] ?? 0) + 1
      else await this.#remove(record.id)
    }
    for (const [index, one] of wanted.entries()) {
      for (let missing = one.count - (have[index] ?? 0); missing > 0 && !signal.aborted; missing -= 1) await this.#make(one)
    }
  }

  async #make({ like }: WarmRequest): Promise<void> {
    const { turns, write, records, start, remove } = this.#parts
    const id = `wrm_${randomBytes(13).toString('hex')}`
    const request = { ...like, id, jobId: id, mount: null }
    await turns.take(id, async () => {
      if ((await turns.take('allocation', async () => (this.#hasRoom(like) ? write(request, true) : null))) === null) return
      const record = records.get(id)
      if (record === null) return
      try {
        await start(record)
      } catch (error) {
        await remove(record)
        throw error
      }
    })
  }

  /** Waits for one that is being made. One that somebody took in the meantime is theirs. */
  async #remove(id: string): Promise<void> {
    await this.#parts.turns.take(id, async () => {
      const record = this.#parts.records.get(id)
      if (record !== null) await this.#parts.remove(record)
    })
  }

  #all(): readonly MachineRecord[] {
    return this.#parts.records
      .list()
      .filter(({ warm }) => warm === true)
      .toSorted((a, b) => a.createdAt - b.createdAt)
  }
}

function isReady({ phase, holder, master }: MachineRecord): boolean {
  return phase === 'ready' && holder !== null && master !== null && isAlive(holder) && isAlive(master)
}

function isAlike(record: MachineRecord, { image, shape, network, blockedAddresses }: Kind): boolean {
  return (
    record.image === image &&
    record.network === network &&
    record.shape.cpu === shape.cpu &&
    record.shape.memoryMiB === shape.memoryMiB &&
    record.shape.diskMiB === shape.diskMiB &&
    record.blockedAddresses.join(' ') === blockedAddresses.join(' ')
  )
}
