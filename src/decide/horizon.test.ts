import { expect, it } from 'vitest'
import { createHorizon } from './horizon.ts'

it('names the first moment after now, rounded up to a whole millisecond', () => {
  const horizon = createHorizon(100)
  expect(horizon.first()).toBeNull()
  horizon.note(100)
  horizon.note(50)
  horizon.note(Number.POSITIVE_INFINITY)
  expect(horizon.first()).toBeNull()
  horizon.note(300)
  horizon.note(200.2)
  horizon.note(250)
  expect(horizon.first()).toBe(201)
})
