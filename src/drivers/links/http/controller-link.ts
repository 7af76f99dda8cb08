import { z } from 'zod'
import { UploadView } from '../../../model/api.ts'
import { CideryError } from '../../../model/errors.ts'
import type { EnrolResponse, SyncResponse } from '../../../model/sync.ts'
import type { ControllerLink } from '../../../ports/agent.ts'
import { createControllers } from './controllers.ts'
import { call, callJson, type Call } from './exchange.ts'
import { attach } from './stream-socket.ts'
import type { TrustOptions } from './trust.ts'

export interface HttpLinkOptions extends TrustOptions {
  /** The host's key, asked for each request, so that it can be changed under way. */
  readonly key: () => string
}

export interface HttpLink extends ControllerLink {
  close(): void
}

const api = '/api/v1'
const shortMs = 30_000
/** Above the time that a poll is parked. */
const syncMs = 15_000
/** One request of an upload carries this much: small enough to be repeated, large enough not to wait for answers. */
const uploadPiece = 4 * 1024 ** 2
const uploadMs = 120_000
const mostTurns = 5

const Length = z.looseObject({ length: z.number() })
const Secrets = z.record(z.string(), z.string())
const Enrolled = z.looseObject({ hostId: z.string(), name: z.string(), pool: z.string() })
/** What the loop reads without looking; the rest is the controller's word. */
const SyncAnswer = z.looseObject({
  epoch: z.number(),
  generation: z.number(),
  controllerTime: z.number(),
  desired: z
    .looseObject({
      attempts: z.array(z.unknown()),
      operations: z.array(z.unknown()),
      sandboxes: z.array(z.string()),
      streams: z.array(z.unknown()),
      settings: z.looseObject({}),
    })
    .nullable(),
  acknowledged: z.looseObject({ attempts: z.array(z.unknown()), operations: z.array(z.unknown()) }),
})

/** The agent's way to its controllers: HTTPS with a pinned CA, or plain HTTP on loopback. Everything is outbound, and every call may be repeated. */
export function createHttpLink(options: HttpLinkOptions): HttpLink {
  const controllers = createControllers(options)

  function json(path: string, request: Omit<Call, 'path' | 'key' | 'limitMs'> & { readonly limitMs?: number }): Promise<unknown> {
    const asked = { limitMs: shortMs, ...request, path: `${api}${path}` }
    return controllers.reach((trust) => callJson(trust, { ...asked, key: options.key() }), request.signal)
  }

  function checked<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
    const result = schema.safeParse(value)
    if (result.success) return result.data
    throw new CideryError('UNREACHABLE', `the answer to ${what} is not one of a controller`, { cause: result.error })
  }

  async function uploadRest(digest: string, sizeBytes: number, read: (offset: number) => AsyncIterable<Uint8Array>): Promise<void> {
    const begun = checked(UploadView, await json('/agent/uploads', { method: 'POST', json: { sizeBytes, digest } }), 'an upload')
    if (begun.complete) return
    let { offset } = begun
    for await (const bytes of pieces(read(offset))) {
      const view = checked(
        UploadView,
        await json(`/agent/uploads/${begun.id}?offset=${offset}`, { method: 'PATCH', bytes, limitMs: uploadMs }),
        'an upload',
      )
      offset += bytes.length
      if (view.offset !== offset) throw new CideryError('OFFSET_MISMATCH', `the upload stands at ${view.offset} and not at ${offset}`)
    }
    await json(`/agent/uploads/${begun.id}/finish`, { method: 'POST', json: {}, limitMs: uploadMs })
  }

  return {
    async enrol(request) {
      const asked = { method: 'POST', path: `${api}/agent/enrol`, json: request, limitMs: shortMs } as const
      const answer = await controllers.reach((trust) => callJson(trust, asked))
      return checked(Enrolled, answer, 'an enrolment') as EnrolResponse
    },
    async sync(request, signal) {
      const answer = await json('/agent/sync', { method: 'POST', json: request, limitMs: request.waitMs + syncMs, signal })
      return checked(SyncAnswer, answer, 'a sync') as unknown as SyncResponse
    },
    async appendLog(attemptId, offset, bytes) {
      const answer = await json(`/agent/attempts/${attemptId}/log?offset=${offset}`, { method: 'PUT', bytes, limitMs: uploadMs })
      return checked(Length, answer, 'a piece of log').length
    },
    async appendBuildLog(buildId, offset, bytes) {
      const answer = await json(`/agent/builds/${buildId}/log?offset=${offset}`, { method: 'PUT', bytes, limitMs: uploadMs })
      return checked(Length, answer, 'a piece of log').length
    },
    async finishLog(attemptId, length) {
      await json(`/agent/attempts/${attemptId}/log/finish`, { method: 'POST', json: { length } })
    },
    async uploadBlob(digest, sizeBytes, read) {
      for (let turn = 1; ; turn += 1) {
        try {
          await uploadRest(digest, sizeBytes, read)
          return
        } catch (error) {
          // The answer to a piece was lost, or another upload of the same bytes went on: the controller says where to continue.
          if (!(error instanceof CideryError) || error.code !== 'OFFSET_MISMATCH' || turn >= mostTurns) throw error
        }
      }
    },
    async downloadBlob(digest, offset) {
      const range: Readonly<Record<string, string>> = offset === 0 ? {} : { range: `bytes=${offset}-` }
      const headers = { accept: 'application/octet-stream', ...range }
      const asked = { method: 'GET', path: `${api}/agent/blobs/${digest}`, headers, limitMs: shortMs } as const
      const response = await controllers.reach((trust) => call(trust, { ...asked, key: options.key() }))
      return whole(response, Number(response.headers['content-length'] ?? Number.NaN))
    },
    async fetchSecrets(attemptId) {
      return checked(Secrets, await json(`/agent/attempts/${attemptId}/secrets`, { method: 'GET' }), 'a question for secrets')
    },
    async rotateKey(keyHash) {
      await json('/agent/key', { method: 'POST', json: { keyHash } })
    },
    async health(timeoutMs) {
      try {
        const response = await controllers.reach((trust) => call(trust, { method: 'GET', path: '/healthz', limitMs: timeoutMs }))
        response.resume()
        return true
      } catch (error) {
        // Waiting does not make a stranger the controller.
        if (error instanceof CideryError && error.details?.['pinned'] !== undefined) throw error
        // Whatever else it is that fails: the controller cannot be used now. The sync that follows says what.
        return false
      }
    },
    // Only the controller that the person is connected to has the other end.
    attachStream: (streamId, peer) =>
      controllers.search((trust) => attach(trust, { path: `${api}/agent/streams/${streamId}`, key: options.key() }, peer)),
    close: controllers.close,
  }
}

/** Pieces of a size that is worth a request. */
async function* pieces(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let held: Uint8Array[] = []
  let size = 0
  for await (const piece of bytes) {
    held.push(piece)
    size += piece.length
    if (size < uploadPiece) continue
    yield Buffer.concat(held)
    held = []
    size = 0
  }
  if (size > 0) yield Buffer.concat(held)
}

/** A body that broke off is UNREACHABLE, so that the reader takes it up again where it is. */
async function* whole(body: AsyncIterable<Uint8Array>, expected: number): AsyncGenerator<Uint8Array> {
  let size = 0
  try {
    for await (const piece of body) {
      size += piece.length
      yield piece
    }
  } catch (cause) {
    throw new CideryError('UNREACHABLE', `a download broke off after ${size} bytes`, { cause })
  }
  if (!Number.isNaN(expected) && size !== expected)
    throw new CideryError('UNREACHABLE', `a download ended after ${size} of ${expected} bytes`)
}
