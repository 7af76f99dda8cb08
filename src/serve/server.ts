import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import cookie from '@fastify/cookie'
import websocket from '@fastify/websocket'
import Fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import { CideryError } from '../model/errors.ts'
import type { Timer } from '../ports/time.ts'
import { createGate } from './access/gate.ts'
import type { GateOptions } from './access/gate.ts'
import { checkHost, isLoopback } from './access/origin.ts'
import { createTokenUse } from './access/token-use.ts'
import { docsPath, mountDocs } from './docs-page.ts'
import { startHousekeeping } from './housekeeping.ts'
import type { Metrics } from './metrics.ts'
import { mountSocket } from './mount-socket.ts'
import { mountErrors, mountRoute } from './mount.ts'
import type { MountParts } from './mount.ts'
import { openApiRoutes } from './openapi-routes.ts'
import { describeApi } from './openapi.ts'
import { problemOf } from './problem.ts'
import type { Route, SocketRoute } from './route.ts'
import { setSecurityHeaders } from './security-headers.ts'
import type { ServePorts } from './serve-ports.ts'
import { mountUnknownPaths } from './unknown-path.ts'
import { mountWeb } from './web.ts'

/** What the server proves itself with. `chain` is PEM: the server's certificate, then those that signed it. */
export interface ServerTls {
  readonly chain: string
  readonly key: string
}

export interface ServerOptions {
  readonly ports: ServePorts
  /** Mounted below `/api/v1`. */
  readonly routes: readonly Route[]
  /** Mounted at the root: health, metrics, CA. */
  readonly rootRoutes?: readonly Route[]
  readonly sockets?: readonly SocketRoute[]
  readonly version: string
  /** Null: plain HTTP, on loopback only. */
  readonly tls: ServerTls | null
  /** Development only: plain HTTP on any address. */
  readonly insecureHttp?: boolean
  /** Further host names and origins that are ours: behind a proxy, or a name in /etc/hosts. */
  readonly names?: readonly string[]
  readonly origins?: readonly string[]
  /** Directory of the built dashboard; null: a page that says so. */
  readonly webRoot?: string | null
  readonly metrics?: Metrics
  readonly requestsPerMinute?: GateOptions['requestsPerMinute']
}

export interface Server {
  readonly app: FastifyInstance
  /** Binds and answers. Resolves with the URL that reaches it. Throws TLS_REQUIRED for plain HTTP outside loopback. */
  listen(at: { readonly host: string; readonly port: number }): Promise<{ readonly url: string; readonly port: number }>
  /** New connections get the new certificate; present ones go on. */
  setCertificate(tls: ServerTls): void
  /** Ends event streams and parked requests, lets the others finish for so long, then closes every connection. */
  close(graceMs?: number): Promise<void>
}

const prefix = '/api/v1'
/** The polls that may be parked (20,000), and people beside them. */
const maxConnections = 25_000

/** The HTTP side of the controller: routes behind the gate, the API's description and the dashboard. Nothing is bound before `listen`. */
export async function createServer(options: ServerOptions): Promise<Server> {
  const { ports } = options
  const secure = options.tls !== null
  const stopping = new AbortController()
  const tokenUse = createTokenUse(ports)
  const gate = createGate({
    ports,
    tokenUse,
    secure,
    origins: new Set(options.origins ?? []),
    ...(options.requestsPerMinute === undefined ? {} : { requestsPerMinute: options.requestsPerMinute }),
  })
  const bound = { loopbackOnly: true }
  const app = newApp(options)
  app.server.maxConnections = maxConnections
  // Connections that are idle are closed when stopping begins, the others right after their answer: a kept one would hold the stop up.
  app.server.on('request', (request, response) => {
    response.once('close', () => {
      if (stopping.signal.aborted) request.socket.destroySoon()
    })
  })

  const names = new Set((options.names ?? []).map((name) => name.toLowerCase()))
  app.addHook('onRequest', async (request, reply) => {
    setSecurityHeaders(reply, { requestId: request.id, secure, docs: request.url.startsWith(docsPath) })
    checkHost(request, { loopbackOnly: bound.loopbackOnly, names })
  })
  await app.register(cookie)
  await app.register(websocket, { options: { maxPayload: 1024 * 1024, perMessageDeflate: false } })
  readBodies(app)
  mountErrors(app, ports)

  const parts: MountParts = { ports, gate, stopping: stopping.signal, answered: (answer) => options.metrics?.answered(answer) }
  const document = describeApi({ routes: options.routes, prefix, version: options.version })
  const rootRoutes = [...(options.rootRoutes ?? []), ...openApiRoutes(document)]
  for (const route of options.routes) mountRoute(app, route, { prefix, parts })
  for (const route of rootRoutes) mountRoute(app, route, { prefix: '', parts })
  for (const socket of options.sockets ?? []) mountSocket(app, socket, { prefix, parts })
  await mountDocs(app, document)
  const page = await mountWeb(app, options.webRoot ?? null)
  const paths = [...options.routes.map((route) => ({ method: route.method, path: prefix + route.path })), ...rootRoutes]
  mountUnknownPaths(app, paths, page)
  await app.ready()

  let stopHousekeeping: (() => void) | undefined

  async function listen(at: { readonly host: string; readonly port: number }): Promise<{ readonly url: string; readonly port: number }> {
    const loopback = isLoopback(at.host)
    if (!secure && !loopback && options.insecureHttp !== true) {
      throw new CideryError('TLS_REQUIRED', `plain HTTP on ${at.host} would show every credential to the network`, {
        hint: 'leave out --insecure-http=… and let cidery make its certificate, or listen on 127.0.0.1',
      })
    }
    bound.loopbackOnly = loopback
    await app.listen({ host: at.host, port: at.port })
    stopHousekeeping = startHousekeeping(ports)
    const address = app.server.address()
    const port = typeof address === 'object' && address !== null ? address.port : at.port
    const shown = at.host.includes(':') ? `[${at.host}]` : at.host
    return { url: `${secure ? 'https' : 'http'}://${shown}:${port}`, port }
  }

  function setCertificate(tls: ServerTls): void {
    const server = app.server as unknown as { setSecureContext?: (context: { cert: string; key: string }) => void }
    server.setSecureContext?.({ cert: tls.chain, key: tls.key })
  }

  async function close(graceMs = 5_000): Promise<void> {
    stopHousekeeping?.()
    stopping.abort(new CideryError('UNAVAILABLE', 'the controller is stopping'))
    const timer: Timer = ports.timers.after(graceMs, () => app.server.closeAllConnections())
    try {
      await app.close()
    } finally {
      timer.cancel()
      await tokenUse.flush()
    }
  }

  return { app, listen, setCertificate, close }
}

function newApp(options: ServerOptions): FastifyInstance {
  const { ports, tls } = options
  const common = {
    logger: false,
    bodyLimit: 1024 * 1024,
    // A request's head must come within 15 s and all of it within 5 min; an idle connection is closed after 72 s. Streams stay open.
    requestTimeout: 300_000,
    keepAliveTimeout: 72_000,
    forceCloseConnections: 'idle' as const,
    exposeHeadRoutes: false,
    onProtoPoisoning: 'error' as const,
    onConstructorPoisoning: 'error' as const,
    routerOptions: { maxParamLength: 512, ignoreTrailingSlash: false, caseSensitive: true },
    genReqId: () => `req_${Buffer.from(ports.random.bytes(12)).toString('hex')}`,
    requestIdHeader: false as const,
    frameworkErrors: (error: Error, _request: unknown, reply: { raw: ServerResponse }) => answerRaw(reply.raw, error),
    clientErrorHandler: answerBrokenRequest,
  }
  const http = { headersTimeout: 15_000, connectionsCheckingInterval: 5_000, maxHeaderSize: 16_384, keepAlive: true }
  if (tls === null) return Fastify({ ...common, http })
  const https = { ...http, cert: tls.chain, key: tls.key, minVersion: 'TLSv1.2' as const }
  return Fastify({ ...common, https })
}

/** JSON and octet-streams are read, nothing else: a form of another site cannot even send a body. */
function readBodies(app: FastifyInstance): void {
  const parseJson = app.getDefaultJsonParser('error', 'error')
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (request.routeOptions.config.bytes === true)
      done(new CideryError('UNSUPPORTED_MEDIA_TYPE', 'this route reads application/octet-stream'))
    else if (body === '') done(null, undefined)
    else void parseJson(request, String(body), done)
  })
  app.addContentTypeParser('application/octet-stream', (request, _payload, done) => {
    if (request.routeOptions.config.bytes === true) done(null)
    else done(new CideryError('UNSUPPORTED_MEDIA_TYPE', 'this route reads application/json'))
  })
}

/** Answers what the router refused before any route was found. */
function answerRaw(response: ServerResponse, error: Error): void {
  const body = JSON.stringify(problemOf(new CideryError('INVALID_INPUT', 'the path is not a valid URL path', { cause: error })))
  response
    .writeHead(400, { 'content-type': 'application/problem+json; charset=utf-8', 'content-length': Buffer.byteLength(body) })
    .end(body)
}

/** Answers what is not even HTTP, or came too slowly, and closes the connection. */
function answerBrokenRequest(error: Error & { code?: string }, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const slow = error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
  const large = error.code === 'HPE_HEADER_OVERFLOW'
  const shown = slow
    ? new CideryError('REQUEST_TIMEOUT', 'the request did not arrive in time')
    : large
      ? new CideryError('PAYLOAD_TOO_LARGE', 'the head of the request is too large')
      : new CideryError('INVALID_INPUT', 'the request is not valid HTTP')
  const body = JSON.stringify(problemOf(shown))
  const head = [
    `HTTP/1.1 ${shown.status} ${shown.code}`,
    'content-type: application/problem+json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
    '',
    '',
  ]
  socket.end(head.join('\r\n') + body)
}
