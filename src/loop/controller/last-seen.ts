import { minute, type Instant, type Milliseconds } from '../../model/instant.ts'
import type { Change } from '../../model/world.ts'
import type { Store } from '../../ports/store.ts'
import type { Clock } from '../../ports/time.ts'
import { hostsWithAttempts } from '../../record/attempts.ts'
import { system, type Recorder } from '../../record/commit.ts'
import { recordLastSeen } from '../../record/hosts.ts'
import { announceHeard } from '../../record/touched.ts'

/** Last receipts per host: kept in memory, since a sync that brings no news is no event, and written in one batch now and then. */
export interface LastSeen {
  /** A host was heard of. */
  note(hostId: string, at: Instant): void
  get(hostId: string): Instant | undefined
  /** What was noted since the last call, for the world that decisions are made over. */
  changes(): readonly Change[]
  /** Writes what was noted since the last flush; what fails to be written stays to be written. */
  flush(): Promise<void>
  /**
   * Writes it of hosts that run something: a lease counts from there when this controller is no more. Of the others a minute's worth together: nothing
   * but what people read hangs on it, and that comes from memory.
   */
  flushDue(): Promise<void>
  /** Tells the other controllers of whom this one heard since the last call. What could not be told is told with the next. */
  share(): Promise<void>
  close(): void
}

export interface LastSeenPorts {
  readonly recorder: Recorder
  readonly store: Store
  readonly clock: Clock
}

const idleFlushEvery: Milliseconds = minute

export function createLastSeen({ recorder, store, clock }: LastSeenPorts): LastSeen {
  const seen = new Map<string, Instant>()
  const unwritten = new Set<string>()
  const untold = new Set<string>()
  const unshared = new Set<string>()
  let flushedAt = Number.NEGATIVE_INFINITY
  /** Hosts that run something; null: not known. */
  let busy: readonly string[] | null = null
  let changes = 0
  const stopNotices = recorder.onTouched(({ rows, everything }) => {
    if (!everything && !rows.has('attempt')) return
    changes += 1
    busy = null
  })
  // The moment is when the word came, by this clock: those of other controllers may be wrong.
  const stopWord = recorder.onHeardOf((hostIds) => {
    for (const id of hostIds) {
      seen.set(id, clock.now())
      untold.add(id)
    }
  })

  async function flushDue(): Promise<void> {
    if (unwritten.size === 0) return
    if (clock.steady() - flushedAt >= idleFlushEvery) return flush()
    const busy = await busyHosts()
    await write(busy.filter((id) => unwritten.has(id)))
  }

  /** Read again after a change of some attempt. A notice that got lost makes no more than a minute of difference. */
  async function busyHosts(): Promise<readonly string[]> {
    if (busy !== null) return busy
    const before = changes
    const found = await store.read(hostsWithAttempts)
    if (changes === before) busy = found
    return found
  }

  async function flush(): Promise<void> {
    const at = clock.steady()
    await write([...unwritten])
    flushedAt = at
  }

  async function write(ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return
    const batch = new Map<string, Instant>()
    for (const id of ids) {
      batch.set(id, seen.get(id) ?? 0)
      unwritten.delete(id)
    }
    try {
      await recorder.write(system, (tx) => recordLastSeen(tx.db, batch))
    } catch (error) {
      for (const id of batch.keys()) unwritten.add(id)
      throw error
    }
  }

  return {
    note(hostId, at) {
      if ((seen.get(hostId) ?? 0) >= at) return
      seen.set(hostId, at)
      unwritten.add(hostId)
      untold.add(hostId)
      unshared.add(hostId)
    },
    get: (hostId) => seen.get(hostId),
    changes() {
      const ids = [...untold].toSorted()
      untold.clear()
      return ids.map((id): Change => ({ of: 'lastSeen', id, at: seen.get(id) ?? 0 }))
    },
    flush,
    flushDue,
    async share() {
      const ids = [...unshared]
      unshared.clear()
      try {
        await announceHeard(store, ids)
      } catch (error) {
        for (const id of ids) unshared.add(id)
        throw error
      }
    },
    close() {
      stopWord()
      stopNotices()
    },
  }
}
