import { setTimeout as sleep } from 'node:timers/promises'

/** Looks every few milliseconds until `done` says true or the time (ms) is over; returns the last answer. */
export async function waitUntil(done: () => boolean, timeoutMs: number): Promise<boolean> {
  const start = performance.now()
  let pause = 2
  for (;;) {
    if (done()) return true
    const left = timeoutMs - (performance.now() - start)
    if (left <= 0) return false
    await sleep(Math.min(pause, left))
    pause = Math.min(pause * 2, 50)
  }
}
