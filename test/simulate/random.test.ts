import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { moments, namedRandom, oneOf, seededIds, seededRandom, wholeBetween } from '../../src/simulate/random.ts'

const day = 86_400_000

function some(seed: number, name: string): readonly number[] {
  const random = namedRandom(seed, name)
  return Array.from({ length: 8 }, () => random.fraction())
}

const stream = fc.tuple(fc.nat(), fc.string())

describe('seeded randomness', () => {
  it('is the same for a seed and a name, and another for another of either', () => {
    fc.assert(
      fc.property(stream, stream, ([seed, name], [otherSeed, otherName]) => {
        expect(some(seed, name)).toEqual(some(seed, name))
        if (seed !== otherSeed || name !== otherName) expect(some(seed, name)).not.toEqual(some(otherSeed, otherName))
      }),
    )
  })

  it('does not depend on what other names have drawn', () => {
    const alone = some(1, 'jobs')
    const other = namedRandom(1, 'faults')
    for (let index = 0; index < 1000; index += 1) other.fraction()
    expect(some(1, 'jobs')).toEqual(alone)
  })

  it('gives the values that it always gave: scripts and hashes of long ago count on them', () => {
    const random = seededRandom(42)
    expect([random.fraction(), random.fraction(), random.fraction()]).toEqual([0.6011037519201636, 0.44829055899754167, 0.8524657934904099])
  })

  it('draws whole numbers from the first to the last, and each of a few things', () => {
    const random = seededRandom(3)
    const drawn = new Set(Array.from({ length: 400 }, () => wholeBetween(random, 2, 5)))
    expect([...drawn].toSorted((one, other) => one - other)).toEqual([2, 3, 4, 5])
    expect(new Set(Array.from({ length: 100 }, () => oneOf(random, ['a', 'b', 'c'])))).toEqual(new Set(['a', 'b', 'c']))
  })

  it('makes ids that are ids', () => {
    const ids = seededIds(seededRandom(1), { now: () => 1_790_000_000_000, steady: () => 0 })
    expect(ids.next('job')).toMatch(/^job_[0-9a-hjkmnp-tv-z]{26}$/)
    expect(ids.next('job')).not.toBe(ids.next('job'))
  })
})

describe('moments', () => {
  it('come in order, before the end, about as often as they should', () => {
    const found = moments(seededRandom(5), 10, 200 * day)
    expect(found).toEqual(found.toSorted((one, other) => one - other))
    expect(found.length / 200).toBeGreaterThan(9)
    expect(found.length / 200).toBeLessThan(11)
    expect(Math.max(...found)).toBeLessThan(200 * day)
    // Not spread evenly: some come together, some days none.
    const gaps = found.slice(1).map((at, index) => at - (found[index] ?? 0))
    expect(Math.min(...gaps)).toBeLessThan(day / 1000)
    expect(Math.max(...gaps)).toBeGreaterThan(day / 3)
  })

  it('do not come where nothing comes', () => {
    expect(moments(seededRandom(5), 0, day)).toEqual([])
  })
})
