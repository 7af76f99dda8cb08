import type { SealedEvent } from '../model/event.ts'
import type { Timer } from '../ports/time.ts'
import { listEvents, readJournalBounds } from '../record/journal.ts'
import type { ServePorts } from './serve-ports.ts'

/**
 * The end of the sealed journal, read once for all who follow it. Followers that are further back read the store themselves.
 */
export interface EventTail {
  /** Number of the last sealed event that was seen; null before the first look. */
  readonly head: () => number | null
  /** Events after a number: from memory when they are all there, else from the store. At most `limit`. */
  after(number: number, limit: number): Promise<readonly SealedEvent[]>
  /** Resolves when there may be events after a number, or when the signal is aborted. */
  changed(number: number, signal: AbortSignal): Promise<void>
  /** Stops looking. */
  close(): void
}

/** A commit is only a hint that something was sealed; without one the journal is looked at this often. */
const pollMs = 2_000
/** Hints come with every commit, many a second: one look serves all that came meanwhile. */
const gatherMs = 50
const kept = 1_000
const page = 500

/** Starts to follow the journal when the first follower asks, and stops with the last: an idle controller reads nothing. */
export function createEventTail(ports: ServePorts): EventTail {
  let recent: readonly SealedEvent[] = []
  let head: number | null = null
  let looking = false
  let timer: Timer | null = null
  let stopHints: (() => void) | null = null
  const waiting = new Set<() => void>()

  async function look(): Promise<void> {
    timer = null
    if (looking) return
    looking = true
    try {
      await advance()
    } catch (error) {
      ports.log.warn('could not read the journal for the event stream; it is tried again', { error })
    } finally {
      looking = false
      plan(pollMs)
    }
  }

  async function advance(): Promise<void> {
    if (head === null) {
      head = (await ports.store.read(readJournalBounds)).last ?? 0
      wake()
      return
    }
    for (;;) {
      const after: number = head
      const events = await ports.store.read((db) => listEvents(db, { after, limit: page }))
      const last = events.at(-1)
      if (last === undefined) return
      recent = [...recent, ...events].slice(-kept)
      head = last.number
      wake()
    }
  }

  function plan(delay: number): void {
    if (waiting.size === 0) return
    timer?.cancel()
    timer = ports.timers.after(delay, () => void look())
  }

  function hint(): void {
    if (!looking) plan(gatherMs)
  }

  function wake(): void {
    for (const resolve of waiting) resolve()
  }

  async function after(number: number, limit: number): Promise<readonly SealedEvent[]> {
    if (head !== null && number >= head) return []
    const first = recent[0]
    if (first !== undefined && first.number <= number + 1) return recent.slice(Math.max(0, number + 1 - first.number)).slice(0, limit)
    return ports.store.read((db) => listEvents(db, { after: number, limit }))
  }

  function changed(number: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted || (head !== null && head > number)) return Promise.resolve()
    return new Promise((resolve) => {
      const done = (): void => {
        waiting.delete(done)
        signal.removeEventListener('abort', done)
        if (waiting.size === 0) rest()
        resolve()
      }
      waiting.add(done)
      signal.addEventListener('abort', done, { once: true })
      stopHints ??= ports.store.onCommit(hint)
      if (timer === null && !looking) plan(0)
    })
  }

  /** Nobody follows: what is in memory grows old, so it is dropped with the head. */
  function rest(): void {
    // A follower that was just woken comes back at once; only one that stays away ends the tail.
    timer?.cancel()
    timer = ports.timers.after(pollMs, () => {
      timer = null
      if (waiting.size > 0) return plan(0)
      close()
    })
  }

  function close(): void {
    timer?.cancel()
    timer = null
    stopHints?.()
    stopHints = null
    recent = []
    head = null
  }

  return { head: () => head, after, changed, close }
}
