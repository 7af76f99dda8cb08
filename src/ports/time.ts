import type { Instant, Milliseconds } from '../model/instant.ts'

/** Wall time and steady time. Virtual in tests and in the simulator. */
export interface Clock {
  /** Wall clock; may jump. */
  now(): Instant
  /** Milliseconds since the machine started, sleep included: they only go up, also from one process to the next; for leases and time limits. */
  steady(): Milliseconds
}

export interface Timer {
  cancel(): void
}

/** The one way to wait. */
export interface Timers {
  /** Calls `run` once after `delay`. */
  after(delay: Milliseconds, run: () => void): Timer
  /** Resolves after `delay`; rejects with the signal's reason when it is aborted first. */
  sleep(delay: Milliseconds, signal?: AbortSignal): Promise<void>
}
