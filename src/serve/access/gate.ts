import { timingSafeEqual } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { CideryError } from '../../model/errors.ts'
import { scopes } from '../../model/identity.ts'
import type { Principal, Scope } from '../../model/identity.ts'
import { eventBy } from '../actor.ts'
import type { RouteAccess } from '../route.ts'
import type { ServePorts } from '../serve-ports.ts'
import { keepCaller, stranger } from './caller.ts'
import type { Caller } from './caller.ts'
import { identify } from './identify.ts'
import { addressKey, createRateLimit, createTryLimit } from './limits.ts'
import { isOwnOrigin } from './origin.ts'
import { requireHost, requireScope } from './require.ts'
import type { TokenUse } from './token-use.ts'

export interface GateOptions {
  readonly ports: ServePorts
  readonly tokenUse: TokenUse
  /** The server speaks TLS. */
  readonly secure: boolean
  /** Further origins of our own page, behind a proxy. */
  readonly origins: ReadonlySet<string>
  readonly requestsPerMinute?: { readonly person: number; readonly host: number; readonly stranger: number }
}

/** What the gate needs to know of a route. */
export interface Door {
  readonly access: RouteAccess
  readonly method: string
  readonly path: string
}

/** Lets a request through to its route, or throws. */
export interface Gate {
  /** Who calls; UNAUTHENTICATED, FORBIDDEN or TOO_MANY_REQUESTS. */
  admit(request: FastifyRequest, door: Door): Promise<Caller>
  /** Writes a refusal into the journal. */
  recordDenial(request: FastifyRequest, door: Door, refusal: { readonly caller: Caller; readonly error: CideryError }): Promise<void>
}

/** Generous: they stop a loop gone wild and guessing, not work. */
const defaultRates = { person: 12_000, host: 60_000, stranger: 600 } as const
/** Denials in the journal per caller and minute: a client that hammers must not fill it. */
const denialsPerMinute = 30
const failedCredentialsPerMinute = 60

export function createGate(options: GateOptions): Gate {
  const { ports } = options
  const rates = options.requestsPerMinute ?? defaultRates
  const limits = {
    person: createRateLimit({ clock: ports.clock, perMinute: rates.person }),
    host: createRateLimit({ clock: ports.clock, perMinute: rates.host }),
    stranger: createRateLimit({ clock: ports.clock, perMinute: rates.stranger }),
  }
  const badCredentials = createTryLimit({ clock: ports.clock, tries: failedCredentialsPerMinute, windowMs: 60_000 })
  const denials = createTryLimit({ clock: ports.clock, tries: denialsPerMinute, windowMs: 60_000 })

  async function admit(request: FastifyRequest, door: Door): Promise<Caller> {
    const caller = door.access === 'public' ? stranger : await knownCaller(request)
    keepCaller(request, caller)
    limitRate(request, caller)
    try {
      checkOrigin(request, door, caller)
      checkAccess(request, door.access, caller.principal)
    } catch (error) {
      if (error instanceof CideryError && error.code === 'FORBIDDEN') await recordDenial(request, door, { caller, error })
      throw error
    }
    return caller
  }

  async function knownCaller(request: FastifyRequest): Promise<Caller> {
    const address = addressKey(request.ip)
    const waitMs = badCredentials.wait(address)
    if (waitMs > 0) throw tooMany('too many requests with a bad credential came from this address', waitMs)
    try {
      const caller = await identify(options, request)
      if (caller !== null) return caller
    } catch (error) {
      if (error instanceof CideryError && error.code === 'UNAUTHENTICATED') badCredentials.take(address)
      throw error
    }
    throw new CideryError('UNAUTHENTICATED', 'this needs a credential', { hint: 'sign in, or send an API token: cidery token create' })
  }

  function limitRate(request: FastifyRequest, caller: Caller): void {
    const { kind, id } = caller.principal
    const limit = kind === 'host' ? limits.host : kind === 'system' ? limits.stranger : limits.person
    const waitMs = limit.take(kind === 'system' ? addressKey(request.ip) : id)
    if (waitMs > 0) throw tooMany('this caller sends more requests than its limit allows', waitMs)
  }

  /** A browser session writes only with its CSRF token and from our own page; a page of another site never signs anybody in. */
  function checkOrigin(request: FastifyRequest, door: Door, caller: Caller): void {
    const isSocket = request.headers.upgrade !== undefined
    const writes = door.method !== 'GET' || isSocket
    if (!writes) return
    const own = isOwnOrigin(request, options)
    if (caller.session === null) {
      if (request.headers.origin !== undefined && !own && caller.user === null) throw foreignOrigin()
      return
    }
    if (!own) throw foreignOrigin()
    if (!isSocket && !sameText(request.headers['x-cidery-csrf'], caller.session.csrfToken)) {
      throw new CideryError('FORBIDDEN', 'the request has no valid X-Cidery-Csrf header', {
        hint: 'read csrfToken from GET /api/v1/session and send it with each write',
      })
    }
  }

  async function recordDenial(
    request: FastifyRequest,
    door: Door,
    refusal: { readonly caller: Caller; readonly error: CideryError },
  ): Promise<void> {
    const { caller, error } = refusal
    if (denials.take(caller.principal.kind === 'system' ? addressKey(request.ip) : caller.principal.id) > 0) return
    const by = { principal: caller.principal, origin: request.ip }
    const event = eventBy(by, {
      kind: 'access.denied',
      at: ports.clock.now(),
      subject: `${door.method} ${door.path}`,
      result: 'refused',
      data: { reason: error.message, url: pathOf(request.url) },
    })
    try {
      await ports.store.write((tx) => ports.append(tx, [event]))
    } catch (failure) {
      // The refusal stands all the same; a store that cannot write is told of by everything else too.
      ports.log.error('could not write a refusal into the journal', { error: failure, subject: event.subject, actor: event.actor })
    }
  }

  return { admit, recordDenial }
}

/** Without the query, which may hold what does not belong into a journal. */
function pathOf(url: string): string {
  return (url.split('?', 1)[0] ?? '').slice(0, 500)
}

function tooMany(message: string, waitMs: number): CideryError {
  const retryAfterS = Math.ceil(waitMs / 1000)
  return new CideryError('TOO_MANY_REQUESTS', message, { hint: `try again in ${retryAfterS} s`, details: { retryAfterS } })
}

function foreignOrigin(): CideryError {
  return new CideryError('FORBIDDEN', 'the request comes from a page that is not this controller’s')
}

function sameText(given: string | string[] | undefined, expected: string): boolean {
  if (typeof given !== 'string') return false
  const [one, other] = [Buffer.from(given), Buffer.from(expected)]
  return one.length === other.length && timingSafeEqual(one, other)
}

function isScope(access: RouteAccess): access is Scope {
  return (scopes as readonly string[]).includes(access)
}

function checkAccess(request: FastifyRequest, access: RouteAccess, principal: Principal): void {
  const params = request.params as Readonly<Record<string, string | undefined>>
  if (access === 'host') {
    if (principal.kind !== 'host') throw new CideryError('FORBIDDEN', 'only a host with its own key may do this')
    if (params['hostId'] !== undefined) requireHost(principal, params['hostId'])
  } else if (access === 'signedIn') {
    if (principal.kind === 'host') throw new CideryError('FORBIDDEN', 'only a person or an API token may do this')
  } else if (isScope(access)) {
    requireScope(principal, access, access === 'jobs' || access === 'secrets' ? params['queue'] : undefined)
  }
}
