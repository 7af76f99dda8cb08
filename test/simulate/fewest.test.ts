import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { fewest } from '../../src/simulate/fewest.ts'

const list = fc.uniqueArray(fc.nat(60), { maxLength: 30 })

/** Fails when it holds one whole of several sets: not monotone, as real runs are not. */
const predicate = fc.array(fc.uniqueArray(fc.nat(60), { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 3 })

function failsBy(sets: readonly (readonly number[])[]): (items: readonly number[]) => Promise<boolean> {
  return async (items) => sets.some((set) => set.every((item) => items.includes(item)))
}

it('leaves a part that still fails, and of which nothing can be left out', async () => {
  await fc.assert(
    fc.asyncProperty(list, predicate, async (items, sets) => {
      const all = [...new Set([...items, ...(sets[0] ?? [])])]
      const fails = failsBy(sets)
      const left = await fewest(all, fails)
      expect(await fails(left)).toBe(true)
      expect(left).toEqual(all.filter((item) => left.includes(item)))
      for (const item of left) expect(await fails(left.filter((other) => other !== item))).toBe(false)
    }),
  )
})

it('holds also when a part fails that the whole of its neighbours does not', async () => {
  await fc.assert(
    fc.asyncProperty(list, fc.nat(6), async (items, parity) => {
      // An odd sum, and at least so many: leaving out two at once may do what leaving out one does not.
      const fails = async (rest: readonly number[]): Promise<boolean> =>
        rest.length >= parity && rest.reduce((sum, item) => sum + item, 0) % 2 === 1
      if (!(await fails(items))) return
      const left = await fewest(items, fails)
      expect(await fails(left)).toBe(true)
      for (const item of left) expect(await fails(left.filter((other) => other !== item))).toBe(false)
    }),
  )
})

it('needs few tries when only one of many matters', async () => {
  let tries = 0
  const items = Array.from({ length: 1024 }, (_, index) => index)
  const left = await fewest(items, async (rest) => {
    tries += 1
    return rest.includes(700)
  })
  expect(left).toEqual([700])
  expect(tries).toBeLessThan(40)
})

it('leaves nothing where nothing is needed, and nothing of nothing', async () => {
  expect(await fewest([1, 2, 3], async () => true)).toEqual([])
  expect(await fewest([], async () => true)).toEqual([])
})
