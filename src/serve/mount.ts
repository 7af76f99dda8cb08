import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { CideryError } from '../model/errors.ts'
import type { Timer } from '../ports/time.ts'
import { callerOf, stranger } from './access/caller.ts'
import type { Gate } from './access/gate.ts'
import { AnsweredBefore, idempotentRequest } from './idempotency.ts'
import type { IdempotentRequest } from './idempotency.ts'
import { presentableError, sendProblem } from './problem.ts'
import { checkLength, readBytes } from './read-bytes.ts'
import { readIfMatch, readInput, restName } from './read-input.ts'
import type { Route, RouteContext } from './route.ts'
import type { ServePorts } from './serve-ports.ts'

export interface MountParts {
  readonly ports: ServePorts
  readonly gate: Gate
  /** Aborted when the server stops. */
  readonly stopping: AbortSignal
  /** Told of each answered request, for the metrics. */
  readonly answered: (answer: {
    readonly route: string
    readonly method: string
    readonly status: number
    readonly seconds: number
  }) => void
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The handler reads the body itself. */
    bytes?: boolean
  }
}

const jsonLimit = 1024 * 1024
const bytesLimit = 64 * 1024 * 1024
/** How long a caller may take to send a JSON body. */
const bodyMs = 30_000
/** Bodies of refused requests above this are not read to their end. */
const drainBytes = 64 * 1024

/** Mounts one route below a prefix: who calls, what they send, what the handler does, what is answered. */
export function mountRoute(app: FastifyInstance, route: Route, mount: { readonly prefix: string; readonly parts: MountParts }): void {
  const { parts, prefix } = mount
  const path = prefix + route.path
  const bytes = route.body === 'bytes'
  const limit = route.bodyLimit ?? (bytes ? bytesLimit : jsonLimit)
  const door = { access: route.access, method: route.method, path }
  const startedAt = new WeakMap<FastifyRequest, number>()
  const bodyTimers = new WeakMap<FastifyRequest, Timer>()

  app.route({
    method: route.method,
    url: restName(route.path) === undefined ? path : path.replace(/\*\w*$/, '*'),
    bodyLimit: limit,
    config: { bytes },
    onRequest: async (request, reply) => {
      startedAt.set(request, parts.ports.clock.steady())
      try {
        checkLength(request, limit)
        await parts.gate.admit(request, door)
      } catch (error) {
        closeUnlessSmall(request, reply)
        throw error
      }
      if (!bytes)
        bodyTimers.set(
          request,
          parts.ports.timers.after(bodyMs, () => void refuseSlow(reply)),
        )
    },
    preValidation: async (request) => bodyTimers.get(request)?.cancel(),
    onResponse: async (request, reply) => {
      bodyTimers.get(request)?.cancel()
      const seconds = (parts.ports.clock.steady() - (startedAt.get(request) ?? parts.ports.clock.steady())) / 1000
      parts.answered({ route: path, method: route.method, status: reply.statusCode, seconds })
    },
    handler: async (request, reply) => {
      try {
        await answer({ route, parts, limit }, request, reply)
      } catch (error) {
        if (error instanceof CideryError && error.code === 'FORBIDDEN') {
          await parts.gate.recordDenial(request, door, { caller: callerOf({ request }) ?? stranger, error })
        }
        throw error
      }
      return reply
    },
  })
}

async function refuseSlow(reply: FastifyReply): Promise<void> {
  if (reply.sent) return
  reply.header('connection', 'close')
  await sendProblem(reply, new CideryError('REQUEST_TIMEOUT', `the body did not arrive within ${bodyMs / 1000} s`))
}

/** A refused upload is not read to its end: the connection is closed after the answer. */
export function closeUnlessSmall(request: FastifyRequest, reply: FastifyReply): void {
  const length = Number(request.headers['content-length'] ?? 0)
  if (request.headers['transfer-encoding'] !== undefined || length > drainBytes) reply.header('connection', 'close')
}

interface Serving {
  readonly route: Route
  readonly parts: MountParts
  readonly limit: number
}

async function answer(serving: Serving, request: FastifyRequest, reply: FastifyReply): Promise<void> {
  const { route, parts } = serving
  const ifMatch = readIfMatch(request.headers['if-match'], route.ifMatch === 'required')
  const input = readInput(route, request)
  const { principal } = callerOf({ request })
  const idempotent =
    route.idempotent === true
      ? idempotentRequest(parts.ports, principal, { key: singleHeader(request, 'idempotency-key'), what: fingerprint(request) })
      : null
  const context = contextOf(serving, { request, reply, ifMatch, idempotent })
  try {
    if (idempotent !== null) await parts.ports.store.read((db) => idempotent.check(db))
    const body = await route.handler(context, input)
    if (route.response === 'raw') return
    await keepIfForgotten(serving, idempotent, body)
    await sendBody(route, reply, body)
  } catch (error) {
    if (!(error instanceof AnsweredBefore)) throw error
    reply.header('idempotency-replayed', 'true').code(error.status)
    await (error.body === '' ? reply.send() : reply.type('application/json; charset=utf-8').send(error.body))
  }
}

function singleHeader(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name]
  return Array.isArray(value) ? value.join(',') : value
}

/** What must be the same for a repeated request to be the same one. */
function fingerprint(request: FastifyRequest): string {
  return `${request.method} ${request.url}\n${JSON.stringify(request.body ?? null)}`
}

function statusOf(route: Route): number {
  return route.status ?? (route.response === 'empty' ? 204 : 200)
}

/** A handler that wrote outside `context.write` still has its answer repeated, but not in one transaction with what it made: a fault of the route. */
async function keepIfForgotten(serving: Serving, idempotent: IdempotentRequest | null, body: unknown): Promise<void> {
  if (idempotent === null || idempotent.kept()) return
  serving.parts.ports.log.error('a route with idempotency keys wrote outside context.write', {
    method: serving.route.method,
    path: serving.route.path,
  })
  await serving.parts.ports.store.write((tx) => idempotent.keep(tx, statusOf(serving.route), checkedBody(serving.route, body)))
}

function contextOf(
  serving: Serving,
  about: {
    readonly request: FastifyRequest
    readonly reply: FastifyReply
    readonly ifMatch: number | null
    readonly idempotent: IdempotentRequest | null
  },
): RouteContext {
  const { route, parts, limit } = serving
  const { request, reply, ifMatch, idempotent } = about
  const { store } = parts.ports
  let signal: AbortSignal | undefined

  return {
    principal: callerOf({ request }).principal,
    origin: request.ip,
    ifMatch,
    get signal() {
      signal ??= AbortSignal.any([goneSignal(reply), parts.stopping])
      return signal
    },
    request,
    reply,
    bytes: () => readBytes(request, limit),
    write: async (work) => {
      if (idempotent === null) return store.write(work)
      return store.write(async (tx) => {
        await idempotent.check(tx)
        const body = await work(tx)
        await idempotent.keep(tx, statusOf(route), checkedBody(route, body))
        return body
      })
    },
  }
}

function goneSignal(reply: FastifyReply): AbortSignal {
  const gone = new AbortController()
  function leave(): void {
    // The end of every answer closes it too; then nobody went away, and an error with its stack is dear.
    if (!reply.raw.writableFinished) gone.abort(new CideryError('UNAVAILABLE', 'the caller went away'))
  }
  if (reply.raw.destroyed) leave()
  else reply.raw.once('close', leave)
  return gone.signal
}

/** The body as the route promises it; a handler that answers otherwise is a fault of ours. */
function checkedBody(route: Route, body: unknown): unknown {
  if (route.response === 'empty' || route.response === 'raw') return undefined
  const result = route.response.safeParse(body)
  if (result.success) return result.data
  throw new CideryError('INTERNAL', `the answer of ${route.method} ${route.path} is not what it promises: ${z.prettifyError(result.error)}`)
}

const withGeneration = z.looseObject({ generation: z.int() })

async function sendBody(route: Route, reply: FastifyReply, body: unknown): Promise<void> {
  reply.code(statusOf(route))
  if (route.response === 'empty') {
    await reply.send()
    return
  }
  const checked = checkedBody(route, body)
  const versioned = withGeneration.safeParse(checked)
  if (versioned.success) reply.header('etag', `"${versioned.data.generation}"`)
  await reply.type('application/json; charset=utf-8').send(JSON.stringify(checked))
}

/** Answers every error of every route as problem+json, and writes faults of ours into the log with the request id. */
export function mountErrors(app: FastifyInstance, ports: ServePorts): void {
  app.setErrorHandler(async (error, request, reply) => {
    const shown = presentableError(error, request.id)
    if (shown.code === 'INTERNAL') {
      const facts = { requestId: request.id, method: request.method, path: request.routeOptions.url ?? '', error }
      ports.log.error('a request failed for a fault of the controller', facts)
    }
    if (shown.code === 'PAYLOAD_TOO_LARGE') closeUnlessSmall(request, reply)
    if (reply.raw.headersSent) {
      // A stream broke in its middle: ending it cleanly would make the part look whole.
      reply.raw.destroy()
      return
    }
    await sendProblem(reply, shown)
  })
}
