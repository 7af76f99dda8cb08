import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { addressKey, createRateLimit, createTryLimit } from './limits.ts'

function manualClock() {
  let at = 5_000
  return { clock: { now: () => at, steady: () => at }, advance: (ms: number) => void (at += ms), at: () => at }
}

describe('a limit of tries', () => {
  it('never lets more through in any window, whatever the times of the tries', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 80 }), (pauses) => {
        const { clock, advance, at } = manualClock()
        const limit = createTryLimit({ clock, tries: 5, windowMs: 100 })
        const allowed: number[] = []
        for (const pause of pauses) {
          advance(pause)
          if (limit.take('a') === 0) allowed.push(at())
        }
        for (const start of allowed)
          expect(allowed.filter((moment) => moment >= start && moment < start + 100).length).toBeLessThanOrEqual(5)
      }),
    )
  })

  it('says exactly how long to wait', () => {
    const { clock, advance } = manualClock()
    const limit = createTryLimit({ clock, tries: 2, windowMs: 100 })
    expect(limit.take('a')).toBe(0)
    advance(30)
    expect(limit.take('a')).toBe(0)
    expect(limit.take('a')).toBe(70)
    expect(limit.wait('a')).toBe(70)
    expect(limit.take('b')).toBe(0)
    advance(69)
    expect(limit.take('a')).toBe(1)
    advance(1)
    expect(limit.take('a')).toBe(0)
  })

  it('gives a good try back', () => {
    const { clock } = manualClock()
    const limit = createTryLimit({ clock, tries: 1, windowMs: 100 })
    for (let i = 0; i < 10; i += 1) {
      expect(limit.take('a')).toBe(0)
      limit.giveBack('a')
    }
  })

  it('remembers a bounded number of keys, and forgets the one silent longest', () => {
    const { clock } = manualClock()
    const limit = createTryLimit({ clock, tries: 1, windowMs: 100, maxKeys: 2 })
    limit.take('a')
    limit.take('b')
    limit.take('c')
    expect([limit.wait('a'), limit.wait('b'), limit.wait('c')]).toEqual([0, 100, 100])
  })
})

describe('a rate limit', () => {
  it('allows a burst of a minute’s worth, then the steady rate', () => {
    const { clock, advance } = manualClock()
    const limit = createRateLimit({ clock, perMinute: 60 })
    for (let i = 0; i < 60; i += 1) expect(limit.take('a')).toBe(0)
    expect(limit.take('a')).toBe(1_000)
    advance(500)
    expect(limit.take('a')).toBe(500)
    advance(500)
    expect(limit.take('a')).toBe(0)
    expect(limit.take('b')).toBe(0)
    advance(3_600_000)
    for (let i = 0; i < 60; i += 1) expect(limit.take('a')).toBe(0)
    expect(limit.take('a')).toBeGreaterThan(0)
  })
})

describe('what an address counts as', () => {
  it.each([
    ['10.0.0.1', '10.0.0.1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
    ['2001:0db8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1', 'fe80:0:0:0::/64'],
  ])('%s is %s', (address, key) => {
    expect(addressKey(address)).toBe(key)
  })
})
