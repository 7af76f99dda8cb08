import { describe, expect, it } from 'vitest'
import { createSlewingClock } from './slewing-clock.ts'

const hour = 3_600_000

/** A machine's clock that a test sets and lets go. */
function machine() {
  const at = { wall: 1_790_000_000_000, steady: 5000 }
  return {
    at,
    clock: createSlewingClock({ now: () => at.wall, steady: () => at.steady }),
    passes(ms: number) {
      at.wall += ms
      at.steady += ms
    },
  }
}

describe('a clock that never jumps', () => {
  it('tells the time of its machine, to the millisecond, while nobody sets it', () => {
    const { at, clock, passes } = machine()
    for (let i = 0; i < 1000; i += 1) {
      passes(i % 13)
      expect(clock.now()).toBe(at.wall)
    }
  })

  it.each([hour, -hour, 20, -20])(
    'goes after a clock that was set by %i ms, a twentieth faster or slower at most, and never back',
    (jump) => {
      const { at, clock, passes } = machine()
      at.wall += jump
      let last = clock.now()
      for (let i = 0; i < 25 * 60; i += 1) {
        passes(60_000)
        const now = clock.now()
        expect(now - last).toBeGreaterThanOrEqual(57_000 - 1)
        expect(now - last).toBeLessThanOrEqual(63_000 + 1)
        last = now
      }
      expect(Math.abs(last - at.wall)).toBeLessThanOrEqual(1)
    },
  )

  it('counts the sleep of its machine in full', () => {
    const { at, clock, passes } = machine()
    passes(8 * hour)
    expect(clock.now()).toBe(at.wall)
  })
})
