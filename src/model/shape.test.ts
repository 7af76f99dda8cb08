import { expect, it } from 'vitest'
import { expectHeld } from '../../test/model/hold-schema.ts'
import { Labels, Shape } from './shape.ts'

it('holds a shape to what machines can be', () => {
  expectHeld(Shape, {
    sample: { cpu: 0.5, memoryMiB: 1, diskMiB: 0 },
    good: { cpu: [1024, 0.001], memoryMiB: [16_777_216], diskMiB: [1_073_741_824] },
    bad: { cpu: [0, -1, 1024.1], memoryMiB: [0, 0.5, 16_777_217], diskMiB: [-1, 0.5, 1_073_741_825] },
  })
})

it('takes labels of any text under keys that are plain', () => {
  const ok = (labels: unknown) => Labels.safeParse(labels).success
  for (const key of ['a', '7', 'xcode', 'team/site.x_y-z', 'a'.repeat(63)]) expect(ok({ [key]: '' })).toBe(true)
  for (const key of ['', 'A', '-a', 'a-', '/a', 'a b', 'a=b', 'a,b', 'a'.repeat(64)]) expect([key, ok({ [key]: '' })]).toEqual([key, false])
  expect([ok({ a: 'x'.repeat(128) }), ok({ a: 'x'.repeat(129) }), ok({ a: 1 }), ok('a')]).toEqual([true, false, false, false])
})
