import type { z } from 'zod'
import type { InputProblem } from './errors.ts'

/** An issue as zod reports it, with what it leaves out of the public type. */
type Issue = z.core.$ZodIssue

/**
 * Says what is wrong with an input, one entry per field: the path, what would be accepted, and the nearest accepted word for a mistyped one.
 *
 * @example inputProblems(Pool.safeParse({ hots: [] }).error, Pool)[0].message // 'unknown field "hots"; did you mean "hosts"?'
 */
export function inputProblems(error: z.ZodError, schema: z.ZodType): readonly InputProblem[] {
  return error.issues.flatMap((issue) => problemsOf(issue, schema, []))
}

function problemsOf(issue: Issue, schema: z.ZodType, prefix: readonly PropertyKey[]): readonly InputProblem[] {
  const path = [...prefix, ...issue.path]
  switch (issue.code) {
    case 'unrecognized_keys': {
      const accepted = fieldsAt(schema, path)
      return issue.keys.map((key) => ({
        path: pathText([...path, key]),
        message: `unknown field "${key}"${didYouMean(key, accepted)}`,
        accepted,
      }))
    }
    case 'invalid_value': {
      const accepted = issue.values.map(String)
      const given = 'input' in issue && typeof issue.input === 'string' ? didYouMean(issue.input, accepted) : ''
      return [{ path: pathText(path), message: `accepted: ${accepted.join(', ')}${given}`, accepted }]
    }
    case 'invalid_key':
      return issue.issues.map((inner) => ({ path: pathText(path), message: `this name is not accepted: ${inner.message}` }))
    case 'invalid_element':
      return issue.issues.flatMap((inner) => problemsOf(inner, schema, path))
    case 'invalid_union':
      return unionProblems(issue, schema, path)
    default:
      return [{ path: pathText(path), message: issue.message }]
  }
}

function unionProblems(issue: z.core.$ZodIssueInvalidUnion, schema: z.ZodType, path: readonly PropertyKey[]): readonly InputProblem[] {
  // The alternative with the fewest complaints is most likely the one that was meant.
  const nearest = [...issue.errors].sort((one, other) => one.length - other.length)[0]
  if (nearest === undefined || nearest.length === 0) return [{ path: pathText(path), message: issue.message }]
  return nearest.flatMap((inner) => problemsOf(inner, schema, path))
}

/** Writes a path as people do: `queues.default.pools[0]`. */
export function pathText(path: readonly PropertyKey[]): string {
  let text = ''
  for (const part of path) text += typeof part === 'number' ? `[${part}]` : `${text === '' ? '' : '.'}${String(part)}`
  return text
}

interface Inside {
  readonly shape?: Readonly<Record<string, z.ZodType>>
  readonly innerType?: z.ZodType
  readonly valueType?: z.ZodType
  readonly keyType?: z.ZodType
  readonly entries?: Readonly<Record<string, string | number>>
  readonly element?: z.ZodType
  readonly in?: z.ZodType
  readonly getter?: () => z.ZodType
}

/** The schema behind defaults, optionals and pipes. */
function unwrapped(schema: z.ZodType): z.ZodType {
  const inside = schema.def as Inside
  const inner = inside.innerType ?? inside.in ?? inside.getter?.()
  return inner === undefined ? schema : unwrapped(inner)
}

/** Names of the fields that an object takes at a path of a schema; empty when it is no object. */
export function fieldsAt(schema: z.ZodType, path: readonly PropertyKey[]): readonly string[] {
  let at = unwrapped(schema)
  for (const part of path) {
    const inside = at.def as Inside
    const next = inside.shape?.[String(part)] ?? inside.valueType ?? inside.element
    if (next === undefined) return []
    at = unwrapped(next)
  }
  const { shape, keyType } = at.def as Inside
  const keys = keyType === undefined ? {} : ((unwrapped(keyType).def as Inside).entries ?? {})
  return [...Object.keys(shape ?? {}), ...Object.values(keys).map(String)]
}

/** `; did you mean "hosts"?` for the nearest candidate when it is near enough, else nothing. */
export function didYouMean(word: string, candidates: readonly string[]): string {
  const nearest = nearestWord(word, candidates)
  return nearest === undefined ? '' : `; did you mean "${nearest}"?`
}

/** The candidate with the fewest changed letters, at most a third of the word (and at least one); undefined when none is near. */
export function nearestWord(word: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined
  let bestDistance = Math.max(1, Math.floor(word.length / 3)) + 1
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase())
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance]
  }
  return best
}

/** Letters to insert, remove, replace or swap with a neighbour to get from one word to the other. */
function editDistance(one: string, other: string): number {
  const costs = new Map<string, number>()
  const at = (row: number, column: number): number => costs.get(`${row},${column}`) ?? Math.max(row, column)
  for (let row = 1; row <= one.length; row += 1) {
    for (let column = 1; column <= other.length; column += 1) {
      const change = one[row - 1] === other[column - 1] ? 0 : 1
      const swapped = row > 1 && column > 1 && one[row - 1] === other[column - 2] && one[row - 2] === other[column - 1]
      const swap = swapped ? at(row - 2, column - 2) + 1 : Number.POSITIVE_INFINITY
      costs.set(`${row},${column}`, Math.min(at(row - 1, column) + 1, at(row, column - 1) + 1, at(row - 1, column - 1) + change, swap))
    }
  }
  return at(one.length, other.length)
}
