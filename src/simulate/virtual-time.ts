import { onAbort } from '../act/agent/on-abort.ts'
import { createHeap } from '../decide/heap.ts'
import type { Instant, Milliseconds } from '../model/instant.ts'
import type { Clock, Timer, Timers } from '../ports/time.ts'

interface Waiting {
  readonly at: Milliseconds
  readonly order: number
  run: () => void
  cancelled: boolean
}

export interface VirtualTimeOptions {
  /** Wall clock at the start. */
  readonly startAt?: Instant
  /** Lets everything run that is runnable now: a turn of the event loop, brought by `main`. */
  readonly turn: () => Promise<void>
}

/**
 * A clock and timers that move only when they are told to. Timers fire in order of time, then in the order they were set; between two of them everything
 * that is runnable runs first, so that a run depends on nothing but what was put into it.
 */
export interface VirtualTime {
  readonly clock: Clock
  readonly timers: Timers
  /** Milliseconds since the start. */
  elapsed(): Milliseconds
  /** Lets what is runnable run, without moving the clock. */
  settle(): Promise<void>
  /** Moves the clock to so long after the start, firing what falls due on the way; ends early when `until` holds. */
  runTo(at: Milliseconds, until?: () => boolean): Promise<void>
  /** Timers that are set. */
  pending(): number
  /** Timers that fired so far. */
  fired(): number
}

/** Some Monday at midnight, UTC. */
export const simulatedEpoch: Instant = Date.UTC(2026, 8, 21)
/** A machine does not start to count at zero. */
const steadyStart = 1_000_000

function nothing(): void {
  // What was cancelled does.
}

export function virtualTime(options: VirtualTimeOptions): VirtualTime {
  const startAt = options.startAt ?? simulatedEpoch
  const waiting = createHeap<Waiting>([], (a, b) => a.at - b.at || a.order - b.order)
  let elapsed = 0
  let order = 0
  let live = 0
  let fired = 0

  function after(delay: Milliseconds, run: () => void): Timer {
    order += 1
    const entry: Waiting = { at: elapsed + Math.max(0, delay), order, run, cancelled: false }
    waiting.push(entry)
    live += 1
    return {
      cancel() {
        if (entry.cancelled) return
        entry.cancelled = true
        // It stays in line until its moment comes: what it would have done must not stay with it.
        entry.run = nothing
        live -= 1
      },
    }
  }

  function sleep(delay: Milliseconds, signal?: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    if (signal === undefined) {
      after(delay, resolve)
      return promise
    }
    const timer = after(delay, () => {
      stopListening()
      resolve()
    })
    const stopListening = onAbort(signal, () => {
      timer.cancel()
      reject(signal.reason as Error)
    })
    return promise
  }

  /** The next timer that is due by a moment, taken out. */
  function takeDue(by: Milliseconds): Waiting | undefined {
    for (let first = waiting.peek(); first !== undefined; first = waiting.peek()) {
      if (!first.cancelled && first.at > by) return undefined
      waiting.pop()
      if (first.cancelled) continue
      // A fired timer that is cancelled later changes nothing.
      first.cancelled = true
      live -= 1
      return first
    }
    return undefined
  }

  async function runTo(at: Milliseconds, until: () => boolean = () => false): Promise<void> {
    await options.turn()
    for (;;) {
      if (until()) return
      const due = takeDue(at)
      if (due === undefined) break
      elapsed = Math.max(elapsed, due.at)
      fired += 1
      due.run()
      await options.turn()
    }
    elapsed = Math.max(elapsed, at)
  }

  return {
    // A wall clock tells whole milliseconds, however finely timers are set.
    clock: { now: () => Math.floor(startAt + elapsed), steady: () => steadyStart + elapsed },
    timers: { after, sleep },
    elapsed: () => elapsed,
    settle: options.turn,
    runTo,
    pending: () => live,
    fired: () => fired,
  }
}

/** The wall clock of one machine: what it is off by can jump and drift; its steady clock goes right. */
export interface LocalClock extends Clock {
  jump(by: Milliseconds): void
  /** From now on it gains so many millionths. */
  drift(partsPerMillion: number): void
}

export function localClock(clock: Clock): LocalClock {
  let offset = 0
  let partsPerMillion = 0
  let since = clock.steady()
  const gained = (): Milliseconds => offset + ((clock.steady() - since) * partsPerMillion) / 1_000_000
  return {
    now: () => Math.floor(clock.now() + gained()),
    steady: clock.steady,
    jump(by) {
      offset += by
    },
    drift(next) {
      offset = gained()
      since = clock.steady()
      partsPerMillion = next
    },
  }
}
