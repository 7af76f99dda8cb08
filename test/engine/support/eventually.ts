import { setTimeout as sleep } from 'node:timers/promises'

/** Tries until it does not throw; after the deadline (20 s) it throws what the last try threw. */
export async function eventually<T>(look: () => T | Promise<T>, deadlineMs = 20_000): Promise<T> {
  const start = performance.now()
  for (;;) {
    try {
      return await look()
    } catch (error) {
      if (performance.now() - start > deadlineMs) throw error
      await sleep(20)
    }
  }
}
