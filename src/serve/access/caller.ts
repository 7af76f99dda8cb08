import type { FastifyRequest } from 'fastify'
import { CideryError } from '../../model/errors.ts'
import type { Principal, Role } from '../../model/identity.ts'
import type { RouteContext } from '../route.ts'

/** Who sent a request, and by which credential. */
export interface Caller {
  readonly principal: Principal
  /** The person behind a session or API token; null for hosts and strangers. */
  readonly user: { readonly id: string; readonly name: string; readonly role: Role } | null
  /** The browser session that the cookie named; null for tokens and keys. */
  readonly session: { readonly idHash: string; readonly csrfToken: string; readonly expiresAt: number } | null
  /** When the credential ends; null: when it is revoked. */
  readonly expiresAt: number | null
}

/** Somebody without a credential: may call public routes only. */
export const stranger: Caller = {
  principal: { kind: 'system', id: 'anonymous', name: 'anonymous', scopes: [], queues: [] },
  user: null,
  session: null,
  expiresAt: null,
}

const callers = new WeakMap<FastifyRequest, Caller>()

/** Remembers who sent a request, for its handler. */
export function keepCaller(request: FastifyRequest, caller: Caller): void {
  callers.set(request, caller)
}

/** Who sent the request of a handler. */
export function callerOf(context: Pick<RouteContext, 'request'>): Caller {
  return callers.get(context.request) ?? stranger
}

/** The person who calls, by session or token. Throws FORBIDDEN for a host. */
export function personOf(context: Pick<RouteContext, 'request'>): { readonly id: string; readonly name: string; readonly role: Role } {
  const { user } = callerOf(context)
  if (user === null) throw new CideryError('FORBIDDEN', 'only a person or an API token of one may do this')
  return user
}
