import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { refusal, send, type DoubleAnswer, type Visit } from './answer.ts'
import { createFaults, type Faults } from './faults.ts'
import { createGuard, type DoubleAuth } from './guard.ts'
import { bytesOf, carryOut, needsOf, routeOf, type Route } from './routes.ts'
import { createStorage, type Storage } from './storage.ts'

export interface RegistryDoubleOptions {
  readonly auth?: DoubleAuth
  /** Blobs are answered with the address of another port, which refuses requests that say who asks. */
  readonly redirectBlobs?: boolean
  /** Default true. False: an upload that was cut is gone, as with distribution 2.8.2. */
  readonly resumable?: boolean
  /** More requests than these are answered 429, and so are all in the seconds that it asks to wait. */
  readonly limit?: { readonly requests: number; readonly perMs: number; readonly retryAfterSeconds: number }
  readonly tls?: { readonly key: string; readonly cert: string }
}

/** A request as it was seen, in order of its coming. */
export interface SeenRequest {
  readonly method: string
  readonly path: string
  readonly authorization: 'none' | 'basic' | 'bearer'
  readonly range: string | undefined
  /** Milliseconds since the double started. */
  readonly at: number
  /** 0 until it is answered. */
  status: number
}

export interface RegistryDouble {
  readonly url: string
  readonly host: string
  readonly faults: Faults
  readonly requests: readonly SeenRequest[]
  readonly storage: Storage
  /** Requests at the other port that said who asks: must stay empty. */
  readonly leaks: readonly string[]
  endTokens(): void
  stop(): Promise<void>
}

/**
 * A registry of the distribution specification 1.1 that is stricter than most: it looks at every digest, range, state and media type, and answers with what
 * registries may answer. Faults are added under way. Blobs are files of a folder that goes with it.
 */
export async function startRegistryDouble(options: RegistryDoubleOptions = {}): Promise<RegistryDouble> {
  const folder = mkdtempSync(join(tmpdir(), 'cidery-registry-double-'))
  const storage = createStorage(folder)
  const faults = createFaults()
  const requests: SeenRequest[] = []
  const leaks: string[] = []
  const started = performance.now()
  let url = ''
  let elsewhere = ''
  const guard = createGuard(options.auth, () => `${url}/token`)
  const limited = limiter(options.limit)

  function note(request: IncomingMessage): SeenRequest {
    const { authorization, range } = request.headers
    const seen = {
      method: request.method ?? '',
      path: request.url ?? '',
      authorization: authorization === undefined ? 'none' : authorization.startsWith('Basic ') ? 'basic' : 'bearer',
      range,
      at: performance.now() - started,
      status: 0,
    } as const
    requests.push(seen)
    return seen
  }

  /** Null when there is nothing to answer any more. */
  async function answerTo(visit: Visit): Promise<DoubleAnswer | null> {
    const { fault, url: asked } = visit
    if (fault?.kind === 'status') return { status: fault.status, headers: fault.headers ?? {}, body: Buffer.from(fault.body ?? '') }
    if (fault?.kind === 'silent') return null
    if (asked.pathname === '/token') return token(visit)
    const route = routeOf(asked.pathname)
    if (route === null) return refusal(404, 'NAME_INVALID')
    const rules = { resumable: options.resumable ?? true, ...(options.redirectBlobs === true ? { blobsAt: otherPlace } : {}) }
    return refused(visit, route) ?? carryOut(storage, visit, { route, rules })
  }

  function refused(visit: Visit, route: Route): DoubleAnswer | null {
    const wait = limited(performance.now() - started)
    if (wait !== null) return { ...refusal(429, 'TOOMANYREQUESTS'), headers: { 'retry-after': String(wait) } }
    const refusing = guard.refuse(visit.request.headers.authorization, needsOf(route, visit))
    if (refusing === null) return null
    if (refusing.challenge === undefined) return refusal(403, 'DENIED', 'requested access to the resource is denied')
    return { ...refusal(401, 'UNAUTHORIZED'), headers: { 'www-authenticate': refusing.challenge } }
  }

  function token({ request, url: asked }: Visit): DoubleAnswer {
    const issued = guard.issue(request.headers.authorization, asked.searchParams.getAll('scope'))
    if (issued === null) return refusal(401, 'UNAUTHORIZED', 'authentication required')
    const body = JSON.stringify({ token: issued.token, expires_in: issued.expiresIn })
    return { status: 200, headers: { 'content-type': 'application/json' }, body: Buffer.from(body) }
  }

  function otherPlace(digest: string): string {
    return `${elsewhere}/bytes/${digest}?signature=${'s'.repeat(20)}`
  }

  /** The other port: bytes by digest, for whoever has the address. */
  function answerElsewhere(visit: Visit): DoubleAnswer {
    const { authorization } = visit.request.headers
    if (authorization !== undefined) {
      leaks.push(visit.url.pathname)
      return { status: 400, body: Buffer.from('only one way of authentication is allowed') }
    }
    if (visit.fault?.kind === 'status') return { status: visit.fault.status, headers: visit.fault.headers ?? {} }
    if (visit.url.searchParams.get('signature') === null) return { status: 403 }
    return bytesOf(storage, visit, visit.url.pathname.replace('/bytes/', ''))
  }

  function handler(
    answer: (visit: Visit) => Promise<DoubleAnswer | null> | DoubleAnswer,
  ): (request: IncomingMessage, response: ServerResponse) => void {
    return (request, response) => {
      const seen = note(request)
      request.on('error', () => undefined)
      response.on('error', () => undefined)
      const fault = faults.take(seen.method, seen.path)
      const visit = { request, response, url: new URL(seen.path, 'http://double'), fault }
      void (async () => {
        try {
          const given = await answer(visit)
          if (given === null) return
          seen.status = given.status
          await send(visit, given)
          if (fault?.kind === 'then') await fault.run()
        } catch (error) {
          response.destroy(error instanceof Error ? error : undefined)
        }
      })()
    }
  }

  const main = options.tls === undefined ? createServer(handler(answerTo)) : createSecureServer(options.tls, handler(answerTo))
  const other = createServer(handler(answerElsewhere))
  const port = await listen(main)
  url = `${options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`
  elsewhere = `http://127.0.0.1:${await listen(other)}`

  return {
    url,
    host: `127.0.0.1:${port}`,
    faults,
    requests,
    storage,
    leaks,
    endTokens: () => guard.endTokens(),
    async stop() {
      for (const server of [main, other]) await closed(server)
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function limiter(limit: RegistryDoubleOptions['limit']): (now: number) => number | null {
  let window: number[] = []
  let until = 0
  return (now) => {
    if (limit === undefined) return null
    window = [...window.filter((at) => now - at < limit.perMs), now]
    if (now >= until && window.length > limit.requests) until = now + limit.retryAfterSeconds * 1000
    return now < until ? limit.retryAfterSeconds : null
  }
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the double has no port')
  return address.port
}

async function closed(server: Server): Promise<void> {
  const over = new Promise<void>((resolve) => server.close(() => resolve()))
  server.closeAllConnections()
  await over
}
