import { CideryError } from '../../model/errors.ts'
import { formatDuration, type Milliseconds } from '../../model/instant.ts'
import type { Random } from '../../ports/random.ts'
import type { Clock, Timers } from '../../ports/time.ts'

/** Waits for `work` at most `ms`, then throws UNAVAILABLE; the work itself goes on and its late failure is dropped. */
export async function withDeadline<T>(
  timers: Timers,
  work: Promise<T>,
  limit: { readonly ms: Milliseconds; readonly what: string },
): Promise<T> {
  const control = new AbortController()
  const late = timers.sleep(limit.ms, control.signal).then(() => {
    throw new CideryError('UNAVAILABLE', `${limit.what} took longer than ${formatDuration(limit.ms)}`)
  })
  late.catch(() => {
    // Aborted because the work was done first, or thrown by the race below.
  })
  work.catch(() => {
    // Thrown by the race below, or too late to matter.
  })
  try {
    return await Promise.race([work, late])
  } finally {
    control.abort()
  }
}

/** Rejects as soon as the signal is aborted, with its reason. */
export async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let drop: () => void = () => undefined
  const aborted = new Promise<never>((_resolve, reject) => {
    function fail(): void {
      reject(signal.reason as Error)
    }
    if (signal.aborted) fail()
    signal.addEventListener('abort', fail, { once: true })
    drop = () => signal.removeEventListener('abort', fail)
  })
  aborted.catch(() => {
    // Thrown by the race below, or after the work was done.
  })
  work.catch(() => {
    // Thrown by the race below, or after the caller went away.
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    drop()
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
