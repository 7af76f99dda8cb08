import { describe, expect, it } from 'vitest'
import { retryAfter } from './problems.ts'

describe('Retry-After', () => {
  const clock = { now: () => Date.UTC(2026, 11, 1, 12, 0, 0), steady: () => 0 }

  it.each([
    ['120', 120_000],
    [' 7 ', 7000],
    ['0', 0],
    ['Tue, 01 Dec 2026 12:01:00 GMT', 60_000],
    ['Tue, 01 Dec 2026 11:00:00 GMT', 0],
    ['99999999999', 86_400_000],
    ['Fri, 31 Dec 9999 23:59:59 GMT', 86_400_000],
    ['soon', null],
    [undefined, null],
  ])('%j is %j ms', (header, expected) => {
    expect(retryAfter(header, clock)).toBe(expected)
  })
})
