import { setTimeout as sleep } from 'node:timers/promises'

/** Waits, after so many bytes came, until more may come. */
export type Pace = (bytes: number, signal: AbortSignal) => Promise<void>

/** Seconds of line that may be used at once after a pause. */
const burst = 0.1

/** A pace that all streams of a pull share; null is as fast as it goes. */
export function paced(bytesPerSecond: number | null): Pace {
  if (bytesPerSecond === null) return () => Promise.resolve()
  // Steady, in seconds: until when the bytes that came have used the line.
  let usedUntil = 0
  return async (bytes, signal) => {
    const now = performance.now() / 1000
    usedUntil = Math.max(usedUntil, now - burst) + bytes / bytesPerSecond
    if (usedUntil > now) await sleep((usedUntil - now) * 1000, undefined, { signal })
  }
}
