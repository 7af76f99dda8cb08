import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Looks again and again until `look` gives something, and gives that. Throws after the deadline with what it waited for and what it saw
 * last: a test never guesses how long a thing takes.
 */
export async function waitFor<T>(
  what: string,
  look: () => Promise<T | undefined | null | false> | T | undefined | null | false,
  deadlineMs = 60_000,
): Promise<T> {
  const end = Date.now() + deadlineMs
  let last: unknown
  for (;;) {
    try {
      const seen = await look()
      if (seen !== undefined && seen !== null && seen !== false) return seen
      last = seen
    } catch (error) {
      last = error
    }
    if (Date.now() > end) throw new Error(`waited ${deadlineMs / 1000} s for ${what}`, { cause: last })
    await sleep(50)
  }
}
