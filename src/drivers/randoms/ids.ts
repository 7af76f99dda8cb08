import { formatId, type Id, type IdKind } from '../../model/id.ts'
import type { Ids, Random } from '../../ports/random.ts'
import type { Clock } from '../../ports/time.ts'

const digits = 16
const base = 32

/**
 * Ids that sort by the time they were made, within this process without exception: a second id of the same millisecond, or of a
 * clock that was set back, is the one before plus one.
 */
export function createIds(clock: Clock, random: Random): Ids {
  let lastMs = 0
  let tail = new Uint8Array(digits)

  return {
    next<K extends IdKind>(kind: K): Id<K> {
      const now = Math.floor(clock.now())
      if (now > lastMs) {
        lastMs = now
        tail = random.bytes(digits).map((byte) => byte % base)
      } else if (!increment(tail)) {
        lastMs += 1
        tail = random.bytes(digits).map((byte) => byte % base)
      }
      return formatId(kind, lastMs, tail)
    },
  }
}

/** Adds one; false when it was the highest. */
function increment(tail: Uint8Array): boolean {
  for (let i = tail.length - 1; i >= 0; i -= 1) {
    const digit = (tail[i] ?? 0) + 1
    tail[i] = digit % base
    if (digit < base) return true
  }
  return false
}
