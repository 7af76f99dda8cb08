import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { CideryError } from '../model/errors.ts'
import { inputProblems } from '../model/input-problems.ts'
import type { Route } from './route.ts'

const nothing = z.strictObject({})
const noBody = z.strictObject({}).nullish()

export interface CheckedInput {
  readonly params: unknown
  readonly query: unknown
  readonly body: unknown
}

/** Checks path, query and body of a request against its route. Throws INVALID_INPUT that names each wrong field and what is accepted. */
export function readInput(route: Route, request: FastifyRequest): CheckedInput {
  return {
    params: checked('path', route.params ?? nothing, paramsOf(route, request)),
    query: checked('query', route.query ?? nothing, request.query),
    body: route.body === 'bytes' ? undefined : checked('body', route.body ?? noBody, request.body),
  }
}

/** The router calls the rest of a path `*`; routes give it a name. */
function paramsOf(route: Route, request: FastifyRequest): unknown {
  const params = { ...(request.params as Record<string, string>) }
  const rest = restName(route.path)
  if (rest === undefined) return params
  const { '*': value = '', ...others } = params
  return { ...others, [rest]: value }
}

/** Name of the last part of a path such as `/explain/*subject`; `*` when it has none; undefined when the path takes no rest. */
export function restName(path: string): string | undefined {
  const match = /\/\*(\w*)$/.exec(path)
  if (match === null) return undefined
  return match[1] === '' ? '*' : match[1]
}

function checked(part: 'path' | 'query' | 'body', schema: z.ZodType, value: unknown): unknown {
  const result = schema.safeParse(value, { reportInput: true })
  if (result.success) return result.data
  const problems = inputProblems(result.error, schema)
  const [first] = problems
  const where =
    first === undefined || first.path === '' ? `the ${part}` : `${part === 'body' ? 'the field' : `the ${part} parameter`} ${first.path}`
  throw new CideryError('INVALID_INPUT', `${where} is not accepted: ${first?.message ?? 'unknown reason'}`, { problems })
}

/** Generation of an `If-Match` header: `"7"`; null without one. Throws INVALID_INPUT for anything else, PRECONDITION_REQUIRED when it must be there. */
export function readIfMatch(header: string | undefined, required: boolean): number | null {
  if (header === undefined) {
    if (!required) return null
    throw new CideryError('PRECONDITION_REQUIRED', 'the write needs an If-Match header with the generation that was read', {
      hint: 'GET the thing first and send its ETag as If-Match',
    })
  }
  const generation = /^"(\d{1,15})"$/.exec(header.trim())?.[1]
  if (generation === undefined) throw new CideryError('INVALID_INPUT', 'the If-Match header is not a generation in quotes, such as "7"')
  return Number.parseInt(generation, 10)
}
