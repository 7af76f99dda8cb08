import { z } from 'zod'
import { LoginRequest, SessionView } from '../../model/api.ts'
import { CideryError } from '../../model/errors.ts'
import { scopesOfRole } from '../../model/identity.ts'
import type { User } from '../../model/identity.ts'
import { findUser, findUserById, requireUser, updateUser } from '../../record/people.ts'
import { findSession, insertSession, removeSession, removeSessionsOf } from '../../record/sessions.ts'
import { eventBy } from '../actor.ts'
import { route } from '../route.ts'
import type { Route, RouteContext } from '../route.ts'
import type { ServePorts } from '../serve-ports.ts'
import { callerOf } from './caller.ts'
import { clearSessionCookie, sessionMs, setSessionCookie } from './cookie.ts'
import { credentialHash, isCredential, newCredential } from './credential.ts'
import { csrfTokenOf, userPrincipal } from './identify.ts'
import type { LoginGuard } from './login-guard.ts'

export interface SessionParts {
  readonly ports: ServePorts
  readonly guard: LoginGuard
  /** The server speaks TLS, so cookies are Secure. */
  readonly secure: boolean
}

type View = z.infer<typeof SessionView>

const PasswordChange = z.strictObject({ currentPassword: z.string().max(256), newPassword: z.string().min(12).max(256) })
const Redeem = z.strictObject({ code: z.string().max(100) })

/** Signing in and out: the routes of the browser session. */
export function sessionRoutes(parts: SessionParts): readonly Route[] {
  const { ports } = parts
  return [
    route({
      method: 'POST',
      path: '/session',
      summary: 'Signs in with name and password; sets the session cookie',
      tag: 'session',
      access: 'public',
      body: LoginRequest,
      response: SessionView,
      handler: async (context, { body }) => signIn(parts, context, body),
    }),
    route({
      method: 'POST',
      path: '/session/redeem',
      summary: 'Signs in with a one-time code that `cidery up` printed',
      tag: 'session',
      access: 'public',
      body: Redeem,
      response: SessionView,
      handler: async (context, { body }) => redeem(parts, context, body.code),
    }),
    route({
      method: 'GET',
      path: '/session',
      summary: 'Who you are and what you may do',
      tag: 'session',
      access: 'signedIn',
      response: SessionView,
      handler: async (context) => viewOfCaller(context),
    }),
    route({
      method: 'DELETE',
      path: '/session',
      summary: 'Signs out',
      tag: 'session',
      access: 'signedIn',
      response: 'empty',
      handler: async (context) => {
        const { session } = callerOf(context)
        if (session === null) throw new CideryError('CONFLICT', 'an API token has no session to end', { hint: 'cidery token revoke' })
        await context.write(async (tx) => {
          await removeSession(tx, session.idHash)
          await ports.append(tx, [
            eventBy(context, { kind: 'user.logout', at: ports.clock.now(), subject: `user/${context.principal.name}` }),
          ])
        })
        clearSessionCookie(context.reply, parts.secure)
      },
    }),
    route({
      method: 'POST',
      path: '/session/password',
      summary: 'Changes your own password; ends your other sessions',
      tag: 'session',
      access: 'signedIn',
      body: PasswordChange,
      response: 'empty',
      handler: async (context, { body }) => changePassword(parts, context, body),
    }),
  ]
}

async function signIn(parts: SessionParts, context: RouteContext, body: z.infer<typeof LoginRequest>): Promise<View> {
  const { ports, guard } = parts
  const found = await ports.store.read((db) => findUser(db, body.name))
  const right = await guard.check({
    name: body.name,
    origin: context.origin,
    password: body.password,
    passwordHash: found?.passwordHash ?? null,
  })
  if (found === undefined || !right || found.user.disabled) {
    await recordFailure(ports, context, { user: found?.user, reason: found?.user.disabled === true ? 'disabled' : 'password' })
    throw new CideryError('UNAUTHENTICATED', 'name or password is wrong')
  }
  return openSession(parts, context, { user: found.user, how: 'password' })
}

/** A name that is no user's is not written down: it may be a password typed into the wrong field. */
async function recordFailure(
  ports: ServePorts,
  context: RouteContext,
  failure: { readonly user: User | undefined; readonly reason: string },
): Promise<void> {
  const { user, reason } = failure
  const subject = user === undefined ? 'user/unknown' : `user/${user.name}`
  const event = eventBy(context, { kind: 'user.loginFailed', at: ports.clock.now(), subject, result: 'refused', data: { reason } })
  await ports.store.write((tx) => ports.append(tx, [event]))
}

async function openSession(
  parts: SessionParts,
  context: RouteContext,
  login: { readonly user: User; readonly how: string; readonly codeHash?: string },
): Promise<View> {
  const { ports } = parts
  const { user, how, codeHash } = login
  const secret = newCredential(ports, 'session')
  const at = ports.clock.now()
  const session = {
    idHash: credentialHash(ports, secret),
    userId: user.id,
    createdAt: at,
    expiresAt: at + sessionMs,
    origin: context.origin,
  }
  await context.write(async (tx) => {
    if (codeHash !== undefined) {
      // Asked again inside the transaction: of two that redeem a code at once, one is late.
      if ((await findSession(tx, codeHash, at)) === undefined) throw wrongCode()
      await removeSession(tx, codeHash)
    }
    await insertSession(tx, session)
    const principal = userPrincipal(user)
    await ports.append(tx, [
      eventBy({ principal, origin: context.origin }, { kind: 'user.login', at, subject: `user/${user.name}`, data: { how } }),
    ])
  })
  setSessionCookie(context.reply, secret, parts.secure)
  return viewOf(user, { csrfToken: csrfTokenOf(ports, secret), expiresAt: session.expiresAt })
}

async function redeem(parts: SessionParts, context: RouteContext, code: string): Promise<View> {
  const { ports, guard } = parts
  guard.takeCodeTry(context.origin)
  const codeHash = credentialHash(ports, code)
  const user = isCredential(code, 'code') ? await userOfCode(ports, codeHash) : undefined
  if (user === undefined) {
    await recordFailure(ports, context, { user: undefined, reason: 'code' })
    throw wrongCode()
  }
  const view = await openSession(parts, context, { user, how: 'code', codeHash })
  guard.giveBackCodeTry(context.origin)
  return view
}

function wrongCode(): CideryError {
  return new CideryError('UNAUTHENTICATED', 'the login code is wrong, used or expired', {
    hint: 'sign in with name and password, or start cidery up again for a new code',
  })
}

async function userOfCode(ports: ServePorts, codeHash: string): Promise<User | undefined> {
  return ports.store.read(async (db) => {
    const session = await findSession(db, codeHash, ports.clock.now())
    const user = session === undefined ? undefined : await findUserById(db, session.userId)
    return user?.disabled === true ? undefined : user
  })
}

async function changePassword(parts: SessionParts, context: RouteContext, body: z.infer<typeof PasswordChange>): Promise<void> {
  const { ports, guard } = parts
  const { session, user } = callerOf(context)
  if (session === null || user === null)
    throw new CideryError('FORBIDDEN', 'only a browser session can change its password', { hint: 'sign in first' })
  const { passwordHash } = await ports.store.read((db) => requireUser(db, user.name))
  const right = await guard.check({ name: user.name, origin: context.origin, password: body.currentPassword, passwordHash })
  if (!right) throw new CideryError('FORBIDDEN', 'the current password is wrong')
  const nextHash = await ports.hasher.hash(body.newPassword)
  await context.write(async (tx) => {
    const before = (await requireUser(tx, user.name)).user
    await updateUser(tx, { ...before, generation: before.generation + 1 }, nextHash)
    await removeSessionsOf(tx, before.id, session.idHash)
    const event = eventBy(context, {
      kind: 'user.changed',
      at: ports.clock.now(),
      subject: `user/${user.name}`,
      data: { passwordChanged: true },
    })
    await ports.append(tx, [event])
  })
}

function viewOf(user: User, session: { readonly csrfToken: string | null; readonly expiresAt: number | null }): View {
  return { user: user.name, role: user.role, scopes: [...scopesOfRole[user.role]], queues: [...user.queues], ...session }
}

function viewOfCaller(context: RouteContext): View {
  const { principal, user, session, expiresAt } = callerOf(context)
  if (user === null) throw new CideryError('FORBIDDEN', 'a host has no session')
  return {
    user: user.name,
    role: user.role,
    scopes: [...principal.scopes],
    queues: [...principal.queues],
    csrfToken: session?.csrfToken ?? null,
    expiresAt,
  }
}

/** How long a printed login code may be redeemed. */
export const loginCodeMs = 600_000

/** Makes a one-time code that signs a user in, for the terminal of whoever started the controller. */
export async function createLoginCode(ports: ServePorts, userName: string): Promise<string> {
  const code = newCredential(ports, 'code')
  const at = ports.clock.now()
  await ports.store.write(async (tx) => {
    const { user } = await requireUser(tx, userName)
    await insertSession(tx, {
      idHash: credentialHash(ports, code),
      userId: user.id,
      createdAt: at,
      expiresAt: at + loginCodeMs,
      origin: 'login-code',
    })
  })
  return code
}
