import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { effort } from '../../test/decide/effort.ts'
import { compareText, emptySorted, firstValue, sortedFrom, visit, withEntry, withoutEntry, type SortedMap } from './sorted-map.ts'

const key = fc.integer({ min: 0, max: 400 }).map((number) => `k${number}`)
const action = fc.record({ key, value: fc.nat(), remove: fc.boolean() })

function expectSame(map: SortedMap<number>, model: ReadonlyMap<string, number>): void {
  const expected = [...model].sort((a, b) => compareText(a[0], b[0]))
  expect([...map]).toEqual(expected)
  expect(map.size).toBe(model.size)
}

describe('a sorted map', () => {
  it('holds what an ordinary map would hold, in the order of its keys', () => {
    fc.assert(
      fc.property(fc.array(action, { minLength: 300, maxLength: 1500 }), (actions) => {
        const model = new Map<string, number>()
        let map = emptySorted<number>()
        for (const { key, value, remove } of actions) {
          if (remove) model.delete(key)
          else model.set(key, value)
          map = remove ? withoutEntry(map, key) : withEntry(map, key, value)
          expect(map.get(key)).toBe(model.get(key))
          expect(map.has(key)).toBe(model.has(key))
        }
        expectSame(map, model)
        for (const leaf of map.leaves) expect(leaf.keys.length).toBeGreaterThan(0)
      }),
      { numRuns: effort(20, 3) },
    )
  })

  it('never changes a map that was made before', () => {
    const before = sortedFrom(Array.from({ length: 300 }, (_, index) => [`k${String(index).padStart(3, '0')}`, index] as const))
    const seen = [...before]
    withEntry(before, 'k100', -1)
    withEntry(before, 'k1005', -1)
    withoutEntry(before, 'k007')
    expect([...before]).toEqual(seen)
    expect(before.size).toBe(300)
  })

  it('copies one leaf per change and shares all others', () => {
    let map = emptySorted<number>()
    for (let index = 0; index < 10_000; index += 1) map = withEntry(map, String(index).padStart(6, '0'), index)
    const changed = withEntry(map, '005000', -1)
    const kept = new Set(map.leaves)
    expect(changed.leaves.filter((leaf) => !kept.has(leaf))).toHaveLength(1)
    expect(changed.leaves.every((leaf) => leaf.keys.length <= 128)).toBe(true)
    const removed = withoutEntry(map, '005000')
    expect(removed.leaves.filter((leaf) => !kept.has(leaf))).toHaveLength(1)
  })

  it('fills its leaves when keys only go up, and splits at most one leaf', () => {
    let map = emptySorted<number>()
    for (let index = 0; index < 1120 + 16; index += 1) map = withEntry(map, String(index).padStart(6, '0'), index)
    expect(map.leaves.map((leaf) => leaf.keys.length)).toEqual([112, 112, 112, 112, 112, 112, 112, 112, 112, 128])
  })

  it('joins small neighbours, so that a map emptied at random does not end in crumbs', () => {
    let map = sortedFrom(Array.from({ length: 6400 }, (_, index) => [String(index).padStart(6, '0'), index] as const))
    expect(map.leaves.every((leaf) => leaf.keys.length === 64)).toBe(true)
    for (let index = 0; index < 6400; index += 1) if (index % 64 !== 0) map = withoutEntry(map, String(index).padStart(6, '0'))
    expect(map.size).toBe(100)
    expect(map.leaves.length).toBeLessThan(10)
  })

  it('joins two leaves only when one of 64 entries comes of it', () => {
    const entries = Array.from({ length: 128 }, (_, index) => [String(index).padStart(3, '0'), index] as const)
    let map = sortedFrom(entries)
    for (let index = 64; index < 96; index += 1) map = withoutEntry(map, String(index).padStart(3, '0'))
    for (let index = 0; index < 31; index += 1) map = withoutEntry(map, String(index).padStart(3, '0'))
    expect(map.leaves.map((leaf) => leaf.keys.length)).toEqual([33, 32])
    map = withoutEntry(map, '031')
    expect(map.leaves.map((leaf) => leaf.keys.length)).toEqual([64])
    expect([...map.values()]).toEqual([
      ...Array.from({ length: 32 }, (_, index) => index + 32),
      ...Array.from({ length: 32 }, (_, index) => index + 96),
    ])
  })

  it('joins with the leaf before when the one after is too large', () => {
    let map = sortedFrom(Array.from({ length: 192 }, (_, index) => [String(index).padStart(3, '0'), index] as const))
    for (let index = 0; index < 63; index += 1) map = withoutEntry(map, String(index).padStart(3, '0'))
    expect(map.leaves.map((leaf) => leaf.keys.length)).toEqual([1, 64, 64])
    map = withoutEntry(map, '100')
    expect(map.leaves.map((leaf) => leaf.keys.length)).toEqual([64, 64])
    expect([...map.values()].slice(0, 3)).toEqual([63, 64, 65])
    expect(map.size).toBe(128)
  })

  it('is the same map when nothing changes', () => {
    const map = sortedFrom([['a', 1]])
    expect(withEntry(map, 'a', 1)).toBe(map)
    expect(withoutEntry(map, 'b')).toBe(map)
    expect(withoutEntry(emptySorted<number>(), 'b').size).toBe(0)
    expect(emptySorted<number>().has('a')).toBe(false)
    expect(emptySorted<number>().get('a')).toBeUndefined()
  })

  it('takes entries in any order, the later of two with one key', () => {
    const map = sortedFrom([
      ['b', 2],
      ['a', 1],
      ['b', 3],
    ])
    expect([...map]).toEqual([
      ['a', 1],
      ['b', 3],
    ])
    expect([...map.keys()]).toEqual(['a', 'b'])
    expect([...map.values()]).toEqual([1, 3])
    expect([...map.entries()]).toEqual([...map])
    expect(firstValue(map)).toBe(1)
    expect(firstValue(emptySorted())).toBeUndefined()
  })

  it('is visited entry by entry, with itself at hand', () => {
    const map = sortedFrom([
      ['a', 1],
      ['b', 2],
    ])
    const seen: unknown[] = []
    map.forEach((value, name, whole) => seen.push([name, value, whole === map]))
    visit(map, (value, name) => seen.push([name, value]))
    expect(seen).toEqual([
      ['a', 1, true],
      ['b', 2, true],
      ['a', 1],
      ['b', 2],
    ])
  })

  it('takes an ordinary map for one of its own', () => {
    const plain = new Map([
      ['b', 2],
      ['a', 1],
    ])
    expect([...withEntry(plain, 'c', 3).keys()]).toEqual(['a', 'b', 'c'])
    expect([...withoutEntry(plain, 'b').keys()]).toEqual(['a'])
    expect(firstValue(plain)).toBe(1)
  })
})

it('compares texts by their code units', () => {
  expect(compareText('a', 'b')).toBe(-1)
  expect(compareText('b', 'a')).toBe(1)
  expect(compareText('a', 'a')).toBe(0)
  expect(compareText('Z', 'a')).toBe(-1)
})
