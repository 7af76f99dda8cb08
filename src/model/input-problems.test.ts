import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { didYouMean, fieldsAt, inputProblems, nearestWord, pathText } from './input-problems.ts'

const Shape = z.strictObject({ cpu: z.number().optional(), memory: z.number().default(1) })
const Schema = z.strictObject({
  name: z.string(),
  shape: Shape.prefault({}),
  byName: z.record(z.string(), Shape).default({}),
  byKind: z.partialRecord(z.enum(['user', 'qemu']), Shape).default({}),
  list: z.array(Shape).default([]),
  either: z
    .union([
      z.strictObject({ kind: z.literal('a'), one: z.number() }),
      z.strictObject({ kind: z.literal('b'), two: z.number(), three: z.number() }),
    ])
    .optional(),
})

function problemsOf(value: unknown) {
  const result = Schema.safeParse(value, { reportInput: true })
  return result.success ? [] : inputProblems(result.error, Schema)
}

describe('inputProblems', () => {
  it('finds nothing wrong with what is right', () => {
    expect(problemsOf({ name: 'x', list: [{}], either: { kind: 'a', one: 1 } })).toEqual([])
  })

  it('gives an unknown field its path, the fields there are, and the nearest of them', () => {
    expect(problemsOf({ name: 'x', nam: 1 })).toMatchObject([
      { path: 'nam', message: 'unknown field "nam"; did you mean "name"?', accepted: Object.keys(Schema.shape) },
    ])
    expect(problemsOf({ name: 'x', shape: { memmory: 1 } })).toMatchObject([{ path: 'shape.memmory', accepted: ['cpu', 'memory'] }])
    expect(
      problemsOf({ name: 'x', byName: { a: { cup: 1 } }, list: [{}, { cup: 1 }] }).map((problem) => [problem.path, problem.message]),
    ).toEqual([
      ['byName.a.cup', 'unknown field "cup"; did you mean "cpu"?'],
      ['list[1].cup', 'unknown field "cup"; did you mean "cpu"?'],
    ])
  })

  it('names the keys that a record takes', () => {
    expect(problemsOf({ name: 'x', byKind: { usr: {} } })).toMatchObject([{ path: 'byKind.usr', accepted: ['user', 'qemu'] }])
  })

  it('speaks of the alternative that comes nearest', () => {
    expect(problemsOf({ name: 'x', either: { kind: 'b', two: 2 } })).toMatchObject([{ path: 'either.three' }])
  })

  it('keeps the words of other mistakes', () => {
    expect(problemsOf({ name: 1 })).toMatchObject([{ path: 'name', message: expect.stringContaining('string') }])
    expect(problemsOf(null)).toMatchObject([{ path: '' }])
  })
})

describe('nearestWord', () => {
  it.each([
    ['hots', ['hosts', 'labels'], 'hosts'],
    ['maxrunnig', ['maxRunning', 'maxQueued'], 'maxRunning'],
    ['pulos', ['pools'], undefined],
    ['qeueus', ['queues', 'queue'], 'queues'],
    ['x', ['y'], 'y'],
    ['x', ['abc'], undefined],
    ['', ['a'], 'a'],
    ['word', [], undefined],
  ])('of %j among %j is %j', (word, candidates, nearest) => {
    expect(nearestWord(word, candidates)).toBe(nearest)
  })

  it('takes two swapped letters for one mistake', () => {
    expect(nearestWord('abdc', ['abcd', 'abxx'])).toBe('abcd')
  })
})

describe('the small parts', () => {
  it('write a path as people do', () => {
    expect(pathText(['queues', 'ci', 'pools', 0, 'x'])).toBe('queues.ci.pools[0].x')
    expect(pathText([])).toBe('')
    expect(pathText([0, 'a'])).toBe('[0].a')
  })

  it('know the fields at a path, and none where there are none', () => {
    expect(fieldsAt(Schema, ['shape'])).toEqual(['cpu', 'memory'])
    expect(fieldsAt(Schema, ['list', 3])).toEqual(['cpu', 'memory'])
    expect(fieldsAt(Schema, ['name'])).toEqual([])
    expect(fieldsAt(Schema, ['name', 'deeper'])).toEqual([])
    expect(
      fieldsAt(
        z.lazy(() => Shape),
        [],
      ),
    ).toEqual(['cpu', 'memory'])
  })

  it('ask nothing when no word is near', () => {
    expect(didYouMean('zzzz', ['hosts'])).toBe('')
  })
})
