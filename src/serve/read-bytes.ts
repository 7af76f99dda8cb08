import type { FastifyRequest } from 'fastify'
import { CideryError } from '../model/errors.ts'

/** The body of a request as it comes in, cut with PAYLOAD_TOO_LARGE above a limit in bytes. */
export async function* readBytes(request: FastifyRequest, limit: number): AsyncGenerator<Uint8Array> {
  let length = 0
  for await (const chunk of request.raw as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > limit) throw tooLarge(limit)
    yield chunk
  }
}

/** Refuses a request whose announced length is above the limit, before a byte of it is read. */
export function checkLength(request: FastifyRequest, limit: number): void {
  const length = Number(request.headers['content-length'] ?? 0)
  if (length > limit) throw tooLarge(limit)
}

function tooLarge(limit: number): CideryError {
  return new CideryError('PAYLOAD_TOO_LARGE', `the body is larger than ${limit} bytes`, { details: { limitBytes: limit } })
}
