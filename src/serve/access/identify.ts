import type { FastifyRequest } from 'fastify'
import { CideryError } from '../../model/errors.ts'
import { scopesOfRole } from '../../model/identity.ts'
import type { ApiToken, Principal, User } from '../../model/identity.ts'
import { findHostByKeyHash, promoteKey } from '../../record/host-keys.ts'
import { findUserById } from '../../record/people.ts'
import { findSession } from '../../record/sessions.ts'
import { findTokenByHash } from '../../record/tokens.ts'
import type { ServePorts } from '../serve-ports.ts'
import type { Caller } from './caller.ts'
import { sessionCookieNames } from './cookie.ts'
import { credentialHash, isCredential } from './credential.ts'
import { addressKey } from './limits.ts'
import type { TokenUse } from './token-use.ts'

export interface IdentifyParts {
  readonly ports: ServePorts
  readonly tokenUse: TokenUse
}

/**
 * Finds out who sends a request: by `Authorization: Bearer` (API token or host key), else by the session cookie. Null without a credential.
 * A credential that is unknown, expired, revoked or of a disabled user is UNAUTHENTICATED, never taken for none.
 */
export async function identify(parts: IdentifyParts, request: FastifyRequest): Promise<Caller | null> {
  const header = request.headers.authorization
  if (header !== undefined) return byHeader(parts, header, request)
  const secret = sessionSecret(request)
  return secret === undefined ? null : bySession(parts, secret)
}

async function byHeader(parts: IdentifyParts, header: string, request: FastifyRequest): Promise<Caller> {
  const secret = /^Bearer +(\S+)$/i.exec(header)?.[1]
  if (secret === undefined) throw new CideryError('UNAUTHENTICATED', 'the Authorization header is not "Bearer <token>"')
  if (isCredential(secret, 'token')) return byToken(parts, secret)
  if (isCredential(secret, 'key')) return byHostKey(parts, secret, request)
  throw new CideryError('UNAUTHENTICATED', 'the credential is neither an API token nor a host key', {
    hint: 'API tokens start with cidery_tok_: cidery token create',
  })
}

async function byToken(parts: IdentifyParts, secret: string): Promise<Caller> {
  const { ports } = parts
  const now = ports.clock.now()
  const hash = credentialHash(ports, secret)
  const found = await ports.store.read(async (db) => {
    const token = await findTokenByHash(db, hash)
    const user = token === undefined ? undefined : await findUserById(db, token.userId)
    return token === undefined || user === undefined ? undefined : { token, user }
  })
  if (found === undefined) throw new CideryError('UNAUTHENTICATED', 'the API token is not known', { hint: 'cidery token create' })
  const { token, user } = found
  if (token.revokedAt !== null) throw new CideryError('UNAUTHENTICATED', 'the API token was revoked', { hint: 'cidery token create' })
  if (token.expiresAt <= now) throw new CideryError('UNAUTHENTICATED', 'the API token has expired', { hint: 'cidery token create' })
  if (user.disabled) throw new CideryError('UNAUTHENTICATED', 'the owner of the API token is disabled')
  parts.tokenUse.note(token.id, now)
  return { principal: tokenPrincipal(token, user), user: personOfUser(user), session: null, expiresAt: token.expiresAt }
}

/** A token never does more than its owner may now: scopes and queues are cut to the owner's at each use. */
export function tokenPrincipal(token: ApiToken, user: User): Principal {
  const ofRole: readonly string[] = scopesOfRole[user.role]
  const queues = cutQueues(token.queues, user.queues)
  // No queue in common: an empty list would mean all of them, so what hangs on queues is dropped instead.
  const scopes = token.scopes.filter((scope) => ofRole.includes(scope) && (queues !== null || (scope !== 'jobs' && scope !== 'secrets')))
  return { kind: 'token', id: token.id, name: `${user.name}/${token.name}`, scopes, queues: queues ?? [] }
}

/** Queues that both allow, where an empty list means all; null when there is none. */
function cutQueues(one: readonly string[], other: readonly string[]): readonly string[] | null {
  if (one.length === 0) return other
  if (other.length === 0) return one
  const both = one.filter((queue) => other.includes(queue))
  return both.length === 0 ? null : both
}

export function userPrincipal(user: User): Principal {
  return { kind: 'user', id: user.id, name: user.name, scopes: scopesOfRole[user.role], queues: user.queues }
}

function personOfUser(user: User): NonNullable<Caller['user']> {
  return { id: user.id, name: user.name, role: user.role }
}

async function byHostKey(parts: IdentifyParts, secret: string, request: FastifyRequest): Promise<Caller> {
  const { ports } = parts
  const hash = credentialHash(ports, secret)
  const holder = await ports.store.read((db) => findHostByKeyHash(db, hash))
  if (holder === undefined)
    throw new CideryError('UNAUTHENTICATED', 'the host key is not known or was revoked', { hint: 'enrol the host again: cidery host add' })
  const principal: Principal = { kind: 'host', id: holder.hostId, name: holder.name, scopes: [], queues: [] }
  if (holder.isNext) await endOldKey(parts, { principal, hash, origin: addressKey(request.ip) })
  return { principal, user: null, session: null, expiresAt: null }
}

/** The first use of an announced key proves that the host has it: from now on the old one is refused. */
async function endOldKey(
  parts: IdentifyParts,
  use: { readonly principal: Principal; readonly hash: string; readonly origin: string },
): Promise<void> {
  const { ports } = parts
  const { principal, hash, origin } = use
  await ports.store.write(async (tx) => {
    const at = ports.clock.now()
    if (!(await promoteKey(tx, { hostId: principal.id, keyHash: hash, at }))) return
    await ports.append(tx, [
      { kind: 'host.keyRotated', at, actor: `host:${principal.name}`, subject: `host/${principal.name}`, origin, result: 'ok', data: {} },
    ])
  })
}

function sessionSecret(request: FastifyRequest): string | undefined {
  for (const name of sessionCookieNames) {
    const value = request.cookies[name]
    if (value !== undefined && value !== '') return value
  }
  return undefined
}

async function bySession(parts: IdentifyParts, secret: string): Promise<Caller | null> {
  const { ports } = parts
  // A cookie that is no session is one that ended: the person signs in again, and public pages still work.
  if (!isCredential(secret, 'session')) return null
  const idHash = credentialHash(ports, secret)
  const found = await ports.store.read(async (db) => {
    const session = await findSession(db, idHash, ports.clock.now())
    const user = session === undefined ? undefined : await findUserById(db, session.userId)
    return session === undefined || user === undefined ? undefined : { session, user }
  })
  if (found === undefined || found.user.disabled) return null
  const { session, user } = found
  return {
    principal: userPrincipal(user),
    user: personOfUser(user),
    session: { idHash, csrfToken: csrfTokenOf(ports, secret), expiresAt: session.expiresAt },
    expiresAt: session.expiresAt,
  }
}

/** Follows from the session's secret, which scripts cannot read, and tells nothing of it. */
export function csrfTokenOf(ports: Pick<ServePorts, 'digests'>, sessionSecret: string): string {
  return ports.digests.sha256(`csrf/${sessionSecret}`)
}
