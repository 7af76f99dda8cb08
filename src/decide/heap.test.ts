import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createHeap } from './heap.ts'

it('gives its items smallest first, whether they came at the start or later', () => {
  fc.assert(
    fc.property(fc.array(fc.integer()), fc.array(fc.integer()), (first, later) => {
      const heap = createHeap([...first], (a, b) => a - b)
      for (const item of later) heap.push(item)
      expect(heap.size).toBe(first.length + later.length)
      const sorted = [...first, ...later].sort((a, b) => a - b)
      expect(heap.peek()).toBe(sorted[0])
      const given: number[] = []
      for (let item = heap.pop(); item !== undefined; item = heap.pop()) given.push(item)
      expect(given).toEqual(sorted)
      expect(heap.size).toBe(0)
    }),
  )
})

it('makes no more comparisons than a heap needs', () => {
  let comparisons = 0
  const items = Array.from({ length: 1024 }, (_, index) => (index * 7919) % 1024)
  const heap = createHeap(items, (a, b) => {
    comparisons += 1
    return a - b
  })
  expect(comparisons).toBeLessThan(2 * 1024)
  comparisons = 0
  heap.pop()
  expect(comparisons).toBeLessThanOrEqual(20)
  comparisons = 0
  heap.push(2000)
  expect(comparisons).toBe(1)
})
