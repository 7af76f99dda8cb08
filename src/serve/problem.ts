import type { FastifyReply } from 'fastify'
import { z } from 'zod'
import type { Problem } from '../model/api.ts'
import { CideryError } from '../model/errors.ts'
import type { ErrorCode } from '../model/errors.ts'

/** What Fastify's own errors mean in our words; a code that is not here is a fault of ours. */
const frameworkErrors: Readonly<Record<string, { readonly code: ErrorCode; readonly message: string }>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: { code: 'PAYLOAD_TOO_LARGE', message: 'the body is larger than this route reads' },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: { code: 'UNSUPPORTED_MEDIA_TYPE', message: 'the body is of a type that this route does not read' },
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: { code: 'INVALID_INPUT', message: 'the body is not as long as Content-Length says' },
  FST_ERR_CTP_INVALID_JSON_BODY: { code: 'INVALID_INPUT', message: 'the body is not valid JSON' },
  FST_ERR_CTP_EMPTY_JSON_BODY: { code: 'INVALID_INPUT', message: 'the body is empty' },
  FST_ERR_BAD_URL: { code: 'INVALID_INPUT', message: 'the path is not a valid URL path' },
  FST_ERR_PARAM_LENGTH: { code: 'INVALID_INPUT', message: 'a part of the path is too long' },
  FST_ERR_ASYNC_CONSTRAINT: { code: 'INVALID_INPUT', message: 'the request cannot be routed' },
  FST_ERR_REOPENED_SERVER: { code: 'UNAVAILABLE', message: 'the controller is stopping' },
}

const badBody = new Set(['SyntaxError', 'FastifyError'])

/**
 * Turns whatever was thrown into a CideryError that may be shown to the caller. Anything unexpected becomes INTERNAL without its message,
 * which could hold a path, a query or a secret; the log has it under the request id.
 */
export function presentableError(error: unknown, requestId: string): CideryError {
  if (error instanceof CideryError) return error.code === 'INTERNAL' ? internal(requestId, error) : error
  if (!(error instanceof Error)) return internal(requestId, error)
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  const known = frameworkErrors[code]
  if (known !== undefined) return new CideryError(known.code, known.message, { cause: error })
  const status = 'statusCode' in error ? error.statusCode : undefined
  if (status === 400 && badBody.has(error.name)) return new CideryError('INVALID_INPUT', 'the body is not valid JSON', { cause: error })
  return internal(requestId, error)
}

function internal(requestId: string, cause: unknown): CideryError {
  return new CideryError('INTERNAL', 'a fault of the controller stopped this request', {
    hint: `look for ${requestId} in the controller's log, then try again`,
    details: { requestId },
    cause,
  })
}

/** The `application/problem+json` body of an error. */
export function problemOf(error: CideryError): Problem {
  return {
    type: error.docs,
    title: error.code.toLowerCase().replaceAll('_', ' '),
    status: error.status,
    code: error.code,
    detail: error.message,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    ...(error.problems === undefined
      ? {}
      : { problems: error.problems.map((problem) => ({ ...problem, accepted: copyOf(problem.accepted) })) }),
    ...(error.details === undefined ? {} : { details: { ...error.details } }),
  }
}

function copyOf(accepted: readonly string[] | undefined): string[] | undefined {
  return accepted === undefined ? undefined : [...accepted]
}

const retryAfter = z.looseObject({ retryAfterS: z.number().positive() })

/** Sends an error as problem+json with the headers that belong to its status. */
export async function sendProblem(reply: FastifyReply, error: CideryError): Promise<void> {
  if (error.status === 401) reply.header('www-authenticate', 'Bearer realm="cidery"')
  if (error.status === 429 || error.status === 503 || error.status === 507) {
    const told = retryAfter.safeParse(error.details)
    reply.header('retry-after', String(told.success ? Math.ceil(told.data.retryAfterS) : 1))
  }
  reply.removeHeader('content-disposition')
  await reply
    .code(error.status)
    .type('application/problem+json; charset=utf-8')
    .header('cache-control', 'no-store')
    .send(JSON.stringify(problemOf(error)))
}
