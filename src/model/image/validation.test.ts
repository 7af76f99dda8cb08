import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Flakiness, ImageCheck, judgeFlakiness, Validation } from './validation.ts'

const round = (passed: boolean) =>
  new Map([
    ['clang', true],
    ['bun', passed],
  ])

describe('rounds of checks', () => {
  it.each([
    [[true, true, true], true],
    [[true, true, false], false],
    [[true, true], false],
    [[], false],
  ])('at 3 rounds and 0.8: %j is promoted: %s', (rounds, promoted) => {
    expect(judgeFlakiness(Flakiness.parse({}), rounds.map(round)).promoted).toBe(promoted)
  })

  it('count the passes of each check', () => {
    expect([...judgeFlakiness(Flakiness.parse({}), [true, false, true].map(round)).passes]).toEqual([
      ['clang', 3],
      ['bun', 2],
    ])
  })

  it('are held to the share that is set, whatever the number of rounds', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 1, maxLength: 50 }), fc.integer({ min: 0, max: 100 }), (results, percent) => {
        const verdict = judgeFlakiness({ rounds: results.length, threshold: percent / 100 }, results.map(round))
        expect(verdict.passedRounds).toBe(results.filter(Boolean).length)
        expect(verdict.promoted).toBe(results.filter(Boolean).length / results.length >= percent / 100)
      }),
    )
  })

  it('without a single check prove nothing', () => {
    expect(judgeFlakiness({ rounds: 1, threshold: 0.1 }, [new Map()]).promoted).toBe(false)
  })
})

describe('a validation', () => {
  it('asks for a path and a port that can be', () => {
    expect(Validation.parse({ health: { port: 8080 } }).health).toEqual({ port: 8080, path: '/health', status: 200, timeout: 60_000 })
    for (const health of [{ port: 0 }, { port: 8080, path: 'health' }, { port: 8080, status: 1 }])
      expect(Validation.safeParse({ health }).success).toBe(false)
    expect(ImageCheck.safeParse({ name: 'a\nb', run: 'true' }).success).toBe(false)
  })
})
