import type { Clock, Timers } from '../../src/ports/time.ts'
import { localClock, virtualTime as simulatedTime } from '../../src/simulate/virtual-time.ts'

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
 * The virtual time of simulations, moved by a test.
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
  /** The machine sleeps: both clocks go on, and no timer falls due meanwhile. */
  sleepMachine(ms: number): void
  /** Milliseconds that passed since the start, on steady time. */
  elapsed(): number
  /** Timers that are set. */
  pending(): number
}

const defaultStart = 1_790_000_000_000

export function virtualTime({ startAt = defaultStart, turns = 1 }: VirtualTimeOptions = {}): VirtualTime {
  const time = simulatedTime({ startAt, turn: settle })
  let slept = 0
  const clock = localClock(time.clock)

  async function settle(): Promise<void> {
    for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => void setImmediate(resolve))
  }

  return {
    clock: { now: clock.now, steady: () => clock.steady() + slept },
    timers: time.timers,
    settle,
    async advance(ms) {
      await time.runTo(time.elapsed() + ms)
      await settle()
    },
    async until(condition, limitMs) {
      await time.runTo(time.elapsed() + limitMs, condition)
      await settle()
      if (!condition()) throw new Error(`not so within ${limitMs} ms of virtual time: ${String(condition)}`)
    },
    jumpWall: clock.jump,
    sleepMachine(ms) {
      slept += ms
      clock.jump(ms)
    },
    elapsed: time.elapsed,
    pending: time.pending,
  }
}
