import { formatId } from '../model/id.ts'
import type { Ids, Random } from '../ports/random.ts'
import type { Clock } from '../ports/time.ts'

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

/** A stream of its own per name, so that what one part draws, or draws no more, moves nothing of the others (FNV-1a over name and seed). */
export function namedRandom(seed: number, name: string): Random {
  let hash = 0x811c9dc5 ^ seed
  for (let at = 0; at < name.length; at += 1) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193)
  return seededRandom(hash ^ Math.imul(seed + 1, 0x9e3779b1))
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

export function between(random: Random, from: number, to: number): number {
  return from + random.fraction() * (to - from)
}

export function wholeBetween(random: Random, from: number, to: number): number {
  return Math.floor(between(random, from, to + 1))
}

export function oneOf<T>(random: Random, items: readonly [T, ...T[]] | readonly T[]): T {
  return items[Math.floor(random.fraction() * items.length)] as T
}

/** Moments of something that happens so often a day, in order, each drawn on its own (exponential gaps). */
export function moments(random: Random, perDay: number, untilMs: number): readonly number[] {
  const found: number[] = []
  if (perDay <= 0) return found
  for (let at = 0; ;) {
    at += (-Math.log(1 - random.fraction()) * 86_400_000) / perDay
    if (at >= untilMs) return found
    found.push(Math.floor(at))
  }
}
