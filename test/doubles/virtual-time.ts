import type { Clock, Timer, Timers } from '../../src/ports/time.ts'

interface Waiting {
  readonly at: number
  readonly order: number
  readonly run: () => void
}

export interface VirtualTimeOptions {
  /** Wall clock at the start, epoch ms. */
  readonly startAt?: number
  /**
   * How often the event loop is turned between two timers, so that promises and callbacks that are under way settle. One turn
   * empties the microtask queue; more turns let streams and other callbacks of the runtime through.
   */
  readonly turns?: number
}

/**
 * A clock and timers that move only when a test says so. Timers fire in order of time, then in the order they were set; between two
 * of them everything that is runnable runs first.
 *
 * @example await time.advance(60_000) // a minute passes, with all that falls due in it
 */
export interface VirtualTime {
  readonly clock: Clock
  readonly timers: Timers
  /** Lets what is runnable run, without moving the clock. */
  settle(): Promise<void>
  /** Moves the clock by `ms`, firing what falls due on the way. */
  advance(ms: number): Promise<void>
  /** Advances timer by timer until `condition` holds; throws when it does not within `limitMs` of virtual time. */
  until(condition: () => boolean, limitMs: number): Promise<void>
  /** The wall clock jumps; steady time does not. */
  jumpWall(ms: number): void
  /** The machine sleeps: both clocks count it, and timers stand still meanwhile. */
  sleepMachine(ms: number): void
  /** Milliseconds that passed since the start, on steady time, sleep left out. */
  elapsed(): number
  /** Timers that are set. */
  pending(): number
}

const defaultStart = 1_790_000_000_000
/** A machine does not start to count at zero. */
const steadyStart = 1_000_000

export function virtualTime(options: VirtualTimeOptions = {}): VirtualTime {
  const turns = options.turns ?? 1
  let steady = 0
  let wallOffset = options.startAt ?? defaultStart
  let slept = 0
  let order = 0
  const waiting = new Set<Waiting>()

  function after(delay: number, run: () => void): Timer {
    order += 1
    const entry: Waiting = { at: steady + Math.max(0, delay), order, run }
    waiting.add(entry)
    return { cancel: () => void waiting.delete(entry) }
  }

  function sleep(delay: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(signal.reason as Error)
        return
      }
      const timer = after(delay, () => {
        signal?.removeEventListener('abort', abort)
        resolve()
      })
      function abort(): void {
        timer.cancel()
        reject(signal?.reason as Error)
      }
      signal?.addEventListener('abort', abort, { once: true })
    })
  }

  async function settle(): Promise<void> {
    for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => void setImmediate(resolve))
  }

  function nextDue(limit: number): Waiting | undefined {
    let first: Waiting | undefined
    for (const entry of waiting) {
      if (entry.at > limit) continue
      if (first === undefined || entry.at < first.at || (entry.at === first.at && entry.order < first.order)) first = entry
    }
    return first
  }

  /** Fires one timer that is due by `limit`; false when there is none. */
  async function step(limit: number): Promise<boolean> {
    await settle()
    const due = nextDue(limit)
    if (due === undefined) return false
    waiting.delete(due)
    steady = Math.max(steady, due.at)
    due.run()
    return true
  }

  async function advance(ms: number): Promise<void> {
    const target = steady + ms
    while (await step(target));
    steady = target
    await settle()
  }

  async function until(condition: () => boolean, limitMs: number): Promise<void> {
    const target = steady + limitMs
    await settle()
    while (!condition()) {
      if (!(await step(target))) {
        steady = target
        await settle()
        if (condition()) return
        throw new Error(`not so within ${limitMs} ms of virtual time: ${String(condition)}`)
      }
      await settle()
    }
  }

  return {
    clock: { now: () => wallOffset + slept + steady, steady: () => steadyStart + slept + steady },
    timers: { after, sleep },
    settle,
    advance,
    until,
    jumpWall: (ms) => {
      wallOffset += ms
    },
    sleepMachine: (ms) => {
      slept += ms
    },
    elapsed: () => steady,
    pending: () => waiting.size,
  }
}
