import { formatId } from '../../src/model/id.ts'
import type { Ids, Random } from '../../src/ports/random.ts'
import type { Clock } from '../../src/ports/time.ts'

/** Repeatable randomness (mulberry32): the same seed gives the same values on every machine. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  function fraction(): number {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  return { fraction, bytes: (count) => Uint8Array.from({ length: count }, () => Math.floor(fraction() * 256)) }
}

/** Ids from seeded randomness and a clock. */
export function seededIds(random: Random, clock: Clock): Ids {
  return {
    next: (kind) =>
      formatId(
        kind,
        clock.now(),
        random.bytes(16).map((byte) => byte & 31),
      ),
  }
}
