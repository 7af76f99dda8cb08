import { CideryError } from '../../model/errors.ts'
import { formatDuration, type Milliseconds } from '../../model/instant.ts'
import type { Random } from '../../ports/random.ts'
import type { Clock, Timers } from '../../ports/time.ts'
import { onAbort } from './on-abort.ts'

export interface Deadline {
  readonly ms: Milliseconds
  /** What is waited for, for the error: `the check`. */
  readonly what: string
  /** Rejects with its reason as soon as it is aborted. */
  readonly signal?: AbortSignal
}

/** Waits for `work` at most `ms`, then throws UNAVAILABLE; the work itself goes on and its late failure is dropped. */
export async function withDeadline<T>(timers: Timers, work: Promise<T>, limit: Deadline): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  const { ms, what, signal } = limit
  const timer = timers.after(ms, () => reject(new CideryError('UNAVAILABLE', `${what} took longer than ${formatDuration(ms)}`)))
  const stopListening = signal === undefined ? null : onAbort(signal, () => reject(signal.reason as Error))
  work.then(resolve, reject)
  try {
    return await promise
  } finally {
    timer.cancel()
    stopListening?.()
  }
}

/** Rejects as soon as the signal is aborted, with its reason. */
export async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  const stopListening = onAbort(signal, () => reject(signal.reason as Error))
  // After an abort it is too late to matter.
  work.then(resolve, reject)
  try {
    return await promise
  } finally {
    stopListening()
  }
}

/** Whether doing the same again can help: faults on the way to the controller and of the controller itself. */
export function isPassing(error: unknown): boolean {
  return error instanceof CideryError && error.retry === 'soon' && error.code !== 'OFFSET_MISMATCH'
}

export interface Patience {
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  readonly signal: AbortSignal
  /** Gives up after this long without success. */
  readonly limitMs: Milliseconds
}

const firstPause = 250
const longestPause = 10_000

/** Repeats `work` while it fails with faults that pass, with growing, jittered pauses. */
export async function patiently<T>(patience: Patience, work: () => Promise<T>): Promise<T> {
  const giveUpAt = patience.clock.steady() + patience.limitMs
  for (let pause = firstPause; ; pause = Math.min(longestPause, pause * 2)) {
    try {
      return await orAborted(work(), patience.signal)
    } catch (error) {
      if (patience.signal.aborted || !isPassing(error) || patience.clock.steady() >= giveUpAt) throw error
      await patience.timers.sleep(pause * (0.5 + patience.random.fraction() / 2), patience.signal)
    }
  }
}
