import { describe, expect, it } from 'vitest'
import { AttemptId, HostId, JobId } from '../../model/id.ts'
import { createIds } from './ids.ts'
import { createSystemRandom } from './system-random.ts'

const random = createSystemRandom()

describe('ids', () => {
  it('are what the model calls an id', () => {
    const ids = createIds({ now: () => 1_790_000_000_000, steady: () => 0 }, random)
    for (const [kind, schema] of [
      ['job', JobId],
      ['att', AttemptId],
      ['host', HostId],
    ] as const)
      expect(schema.parse(ids.next(kind))).toMatch(new RegExp(`^${kind}_`))
  })

  it('sort by when they were made, within a millisecond and when the clock is set back', () => {
    let now = 1_790_000_000_000
    const ids = createIds({ now: () => now, steady: () => 0 }, random)
    const made: string[] = []
    for (let i = 0; i < 5000; i += 1) {
      if (i % 100 === 50) now -= 1000
      if (i % 100 === 99) now += 1500
      made.push(ids.next('job'))
    }
    expect([...made].sort((a, b) => (a < b ? -1 : 1))).toEqual(made)
    expect(new Set(made).size).toBe(made.length)
  })

  it('go on when the highest of a millisecond was given out', () => {
    const ids = createIds({ now: () => 1000, steady: () => 0 }, { bytes: (count) => new Uint8Array(count).fill(31), fraction: () => 0 })
    const made = [ids.next('job'), ids.next('job'), ids.next('job')]
    expect(new Set(made).size).toBe(3)
    expect([...made].sort((a, b) => (a < b ? -1 : 1))).toEqual(made)
  })

  it('of two processes differ though the clock is the same', () => {
    const clock = { now: () => 1_790_000_000_000, steady: () => 0 }
    const made = Array.from({ length: 1000 }, () => createIds(clock, random).next('job'))
    expect(new Set(made).size).toBe(1000)
  })
})

describe('the randomness of the system', () => {
  it('gives as many bytes as asked and fractions below one', () => {
    expect(random.bytes(33)).toHaveLength(33)
    expect(random.bytes(32)).not.toEqual(random.bytes(32))
    for (let i = 0; i < 1000; i += 1) {
      const fraction = random.fraction()
      expect(fraction).toBeGreaterThanOrEqual(0)
      expect(fraction).toBeLessThan(1)
    }
  })
})
