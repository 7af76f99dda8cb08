import type { Random } from '../../ports/random.ts'

/**
 * Randomness that repeats from its seed (xoshiro128**), for tests and the simulator. Never for keys or tokens.
 *
 * @example createSeededRandom(7).fraction() === createSeededRandom(7).fraction() // true
 */
export function createSeededRandom(seed: number): Random {
  const state = seedState(seed)

  function next(): number {
    const [a, b, c, d] = state as unknown as [number, number, number, number]
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0
    const shifted = b << 9
    state[2] = c ^ a
    state[3] = d ^ b
    state[1] = b ^ (c ^ a)
    state[0] = a ^ (d ^ b)
    state[2] = c ^ a ^ shifted
    state[3] = rotate(d ^ b, 11)
    return result
  }

  return {
    bytes(count) {
      const bytes = new Uint8Array(count)
      for (let i = 0; i < count; i += 1) bytes[i] = next() & 255
      return bytes
    },
    fraction: () => next() / 2 ** 32,
  }
}

function rotate(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by))
}

/** Spreads one number over the state (splitmix32), so that near seeds give unlike streams and the state is never all zero. */
function seedState(seed: number): Uint32Array {
  const state = new Uint32Array(4)
  let value = seed >>> 0
  for (let i = 0; i < 4; i += 1) {
    value = (value + 0x9e3779b9) >>> 0
    let mixed = value
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad)
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
    state[i] = (mixed ^ (mixed >>> 15)) >>> 0
  }
  return state
}
