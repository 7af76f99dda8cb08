import { z } from 'zod'
import { PageQuery, UserCreate, UserPatch, UserView, pageOf } from '../model/api.ts'
import { CideryError } from '../model/errors.ts'
import type { User } from '../model/identity.ts'
import type { Writer } from '../ports/store.ts'
import { pageOfRows, readCursor } from '../record/pages.ts'
import { insertUser, listUsers, removeUser, requireAnotherAdmin, requireUser, updateUser } from '../record/people.ts'
import { removeSessionsOf } from '../record/sessions.ts'
import { requireAtLeast } from './access/require.ts'
import { eventBy } from './actor.ts'
import { route } from './route.ts'
import type { Route, RouteContext } from './route.ts'
import type { ServePorts } from './serve-ports.ts'

const byName = z.strictObject({ name: z.string().max(100) })
type Patch = z.infer<typeof UserPatch>

/** Routes that manage the people of the fleet. */
export function peopleRoutes(ports: ServePorts): readonly Route[] {
  return [
    route({
      method: 'GET',
      path: '/users',
      summary: 'All users, in order of name',
      tag: 'people',
      access: 'people',
      query: PageQuery,
      response: pageOf(UserView),
      handler: async (_context, { query }) => {
        const after = query.cursor === undefined ? null : readCursor(query.cursor).id
        const rows = await ports.store.read((db) => listUsers(db, { after, limit: query.limit + 1 }))
        return pageOfRows(rows, query.limit, { item: (user) => user, cursor: (user) => ({ at: user.name, id: user.name }) })
      },
    }),
    route({
      method: 'POST',
      path: '/users',
      summary: 'Adds a user',
      tag: 'people',
      access: 'people',
      body: UserCreate,
      response: UserView,
      status: 201,
      idempotent: true,
      handler: async (context, { body }) => {
        requireAtLeast(context.principal, body.role, body.queues)
        const passwordHash = await ports.hasher.hash(body.password)
        const at = ports.clock.now()
        const { name, role, queues } = body
        const user: User = { id: ports.ids.next('usr'), name, role, queues, createdAt: at, disabled: false, generation: 1 }
        return context.write(async (tx) => {
          await insertUser(tx, user, passwordHash)
          await ports.append(tx, [eventBy(context, { kind: 'user.created', at, subject: `user/${name}`, data: { role, queues } })])
          return user
        })
      },
    }),
    route({
      method: 'PATCH',
      path: '/users/:name',
      summary: 'Changes role, queues or password of a user, or disables one',
      tag: 'people',
      access: 'people',
      params: byName,
      body: UserPatch,
      response: UserView,
      ifMatch: 'required',
      handler: async (context, { params, body }) => changeUser(ports, context, { name: params.name, patch: body }),
    }),
    route({
      method: 'DELETE',
      path: '/users/:name',
      summary: 'Removes a user with all sessions and API tokens',
      tag: 'people',
      access: 'people',
      params: byName,
      response: 'empty',
      ifMatch: 'required',
      handler: async (context, { params }) => {
        await context.write(async (tx) => {
          const user = await readForChange(tx, context, params.name)
          await requireAnotherAdmin(tx, user)
          await removeUser(tx, user.id)
          await ports.append(tx, [eventBy(context, { kind: 'user.removed', at: ports.clock.now(), subject: `user/${user.name}` })])
        })
      },
    }),
  ]
}

/** The user to be changed, as it was when the caller read it, and not above the caller. */
async function readForChange(tx: Writer, context: RouteContext, name: string): Promise<User> {
  const { user } = await requireUser(tx, name)
  if (user.generation !== context.ifMatch) {
    throw new CideryError('STALE_GENERATION', `the user ${name} changed since it was read`, {
      hint: 'read it again',
      details: { generation: user.generation },
    })
  }
  // Who may not make such a user may not take one over either, by a new password.
  requireAtLeast(context.principal, user.role, user.queues)
  return user
}

async function changeUser(
  ports: ServePorts,
  context: RouteContext,
  change: { readonly name: string; readonly patch: Patch },
): Promise<User> {
  const { name, patch } = change
  const passwordHash = patch.password === undefined ? undefined : await ports.hasher.hash(patch.password)
  return context.write(async (tx) => {
    const before = await readForChange(tx, context, name)
    const { role = before.role, queues = before.queues, disabled = before.disabled } = patch
    requireAtLeast(context.principal, role, queues)
    if (before.role === 'admin' && (role !== 'admin' || disabled)) await requireAnotherAdmin(tx, before)
    const after: User = { ...before, role, queues, disabled, generation: before.generation + 1 }
    await updateUser(tx, after, passwordHash)
    if (passwordHash !== undefined || disabled) await removeSessionsOf(tx, before.id)
    const data = { role, queues, disabled, passwordChanged: passwordHash !== undefined }
    await ports.append(tx, [eventBy(context, { kind: 'user.changed', at: ports.clock.now(), subject: `user/${name}`, data })])
    return after
  })
}
