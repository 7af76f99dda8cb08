import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { inputProblems, nearestWord } from './input-problems.ts'

function problems(schema: z.ZodType, value: unknown) {
  const found = schema.safeParse(value, { reportInput: true })
  return found.success ? [] : inputProblems(found.error, schema)
}

describe('an input that is not accepted', () => {
  const engine = z.strictObject({ engine: z.enum(['user', 'qemu', 'tart']) })

  it('names the words that are, and the one that was meant', () => {
    const accepted = ['user', 'qemu', 'tart']
    expect(problems(engine, { engine: 'usr' })).toEqual([
      { path: 'engine', message: 'accepted: user, qemu, tart; did you mean "user"?', accepted },
    ])
    expect(problems(engine, { engine: 'docker' })).toEqual([{ path: 'engine', message: 'accepted: user, qemu, tart', accepted }])
    expect(problems(engine, { engine: 5 })).toEqual([{ path: 'engine', message: 'accepted: user, qemu, tart', accepted }])
  })

  it('names keys that a record does not take', () => {
    const record = z.record(z.string().regex(/^[a-z]+$/, 'lower-case letters'), z.number())
    expect(problems(record, { 'a b': 1 })).toEqual([{ path: 'a b', message: 'this name is not accepted: lower-case letters' }])
  })

  it('names what is wrong inside a set', () => {
    expect(problems(z.map(z.string(), z.number()), new Map([['a', 'x']]))).toMatchObject([{ path: 'a' }])
  })

  it('says what zod says when no alternative comes near', () => {
    const either = z.discriminatedUnion('kind', [z.strictObject({ kind: z.literal('a') }), z.strictObject({ kind: z.literal('b') })])
    expect(problems(either, { kind: 'c' })).toEqual([{ path: 'kind', message: "Invalid discriminator value. Expected 'a' | 'b'" }])
  })
})

describe('letters that changed places', () => {
  it.each([
    ['ab', ['ba'], 'ba'],
    ['abcdef', ['bacdfe'], 'bacdfe'],
    ['abc', ['cab'], undefined],
    ['aab', ['bba'], undefined],
    ['abcd', ['badc'], undefined],
    ['xyab', ['abxy'], undefined],
    ['acb', ['abd'], undefined],
    ['bca', ['dcb'], undefined],
  ])('of %j make it near to %j: %j', (word, candidates, nearest) => {
    expect(nearestWord(word, candidates)).toBe(nearest)
  })
})
