import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { day, formatDuration, hour, minute, parseDuration, second } from './instant.ts'

describe('a duration', () => {
  it.each([
    ['0s', 0],
    ['250ms', 250],
    ['90s', 90 * second],
    ['5m', 5 * minute],
    ['1h30m', 90 * minute],
    ['7d', 7 * day],
    ['1d2h3m4s5ms', day + 2 * hour + 3 * minute + 4 * second + 5],
    ['10s10s', 20 * second],
  ])('is read from %s', (text, ms) => {
    expect(parseDuration(text)).toBe(ms)
  })

  it.each(['', 's', '5', '5x', '-5s', '1.5h', '5 m', ' 5m', '5m ', '1h-5m', '5ms!', `${'9'.repeat(20)}d`])(
    'is not read from %j',
    (text) => {
      expect(parseDuration(text)).toBeUndefined()
    },
  )

  it.each([
    [-5, '0ms'],
    [0, '0ms'],
    [0.6, '1ms'],
    [999, '999ms'],
    [1000, '1s'],
    [59_999, '59s'],
    [60_000, '1m'],
    [61_000, '1m1s'],
    [3_600_000, '1h'],
    [3_601_000, '1h1s'],
    [5_400_000, '1h30m'],
    [5_461_000, '1h31m'],
    [day + hour + minute + second, '1d1h'],
    [400 * day, '400d'],
  ])('of %d ms is written %s, with its two largest units', (ms, text) => {
    expect(formatDuration(ms)).toBe(text)
  })

  it('of whole seconds below a minute is read back as it was written', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3599 }), (seconds) => {
        expect(parseDuration(formatDuration(seconds * second))).toBe(seconds * second)
      }),
    )
  })
})
