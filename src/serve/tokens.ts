import { z } from 'zod'
import { PageQuery, TokenCreate, TokenCreated, TokenView, pageOf } from '../model/api.ts'
import { CideryError } from '../model/errors.ts'
import { allows } from '../model/identity.ts'
import type { ApiToken } from '../model/identity.ts'
import { pageOfRows, readCursor } from '../record/pages.ts'
import { insertToken, listTokens, requireToken, revokeToken } from '../record/tokens.ts'
import { callerOf, personOf } from './access/caller.ts'
import { credentialHash, newCredential } from './access/credential.ts'
import { requireQueues, requireScope } from './access/require.ts'
import { eventBy } from './actor.ts'
import { route } from './route.ts'
import type { Route, RouteContext } from './route.ts'
import type { ServePorts } from './serve-ports.ts'

/** Routes for API tokens: everyone manages their own, `people` everybody's. */
export function tokenRoutes(ports: ServePorts): readonly Route[] {
  return [
    route({
      method: 'GET',
      path: '/tokens',
      summary: 'API tokens: your own, or everybody’s with the scope people',
      tag: 'people',
      access: 'signedIn',
      query: PageQuery,
      response: pageOf(TokenView),
      handler: async (context, { query }) => {
        const userId = allows(context.principal, 'people') ? null : personOf(context).id
        const after = query.cursor === undefined ? null : readCursor(query.cursor).id
        const rows = await ports.store.read((db) => listTokens(db, { userId, after, limit: query.limit + 1 }))
        return pageOfRows(rows, query.limit, {
          item: ({ token, owner }) => viewOf(token, owner),
          cursor: ({ token }) => ({ at: token.createdAt, id: token.id }),
        })
      },
    }),
    route({
      method: 'POST',
      path: '/tokens',
      summary: 'Makes an API token of your own; its secret is in this answer only',
      tag: 'people',
      access: 'signedIn',
      body: TokenCreate,
      response: TokenCreated,
      status: 201,
      idempotent: true,
      handler: async (context, { body }) => createToken(ports, context, body),
    }),
    route({
      method: 'DELETE',
      path: '/tokens/:id',
      summary: 'Revokes an API token: your own, or anybody’s with the scope people',
      tag: 'people',
      access: 'signedIn',
      params: z.strictObject({ id: z.string().max(100) }),
      response: 'empty',
      handler: async (context, { params }) => {
        await context.write(async (tx) => {
          const token = await requireToken(tx, params.id)
          if (token.userId !== personOf(context).id) requireScope(context.principal, 'people')
          const at = ports.clock.now()
          await revokeToken(tx, token.id, at)
          const data = { name: token.name, owner: token.userId }
          await ports.append(tx, [eventBy(context, { kind: 'token.revoked', at, subject: `token/${token.id}`, data })])
        })
      },
    }),
  ]
}

async function createToken(
  ports: ServePorts,
  context: RouteContext,
  body: z.infer<typeof TokenCreate>,
): Promise<z.infer<typeof TokenCreated>> {
  const { principal } = context
  const owner = personOf(context)
  for (const scope of body.scopes) requireScope(principal, scope)
  const queues = body.queues.length === 0 ? principal.queues : body.queues
  requireQueues(principal, queues)
  const at = ports.clock.now()
  const secret = newCredential(ports, 'token')
  const token: ApiToken = {
    id: ports.ids.next('tok'),
    name: body.name,
    userId: owner.id,
    scopes: [...new Set(body.scopes)],
    queues,
    createdAt: at,
    expiresAt: endOf(context, at + body.ttlS * 1000),
    lastUsedAt: null,
    revokedAt: null,
  }
  return context.write(async (tx) => {
    await insertToken(tx, token, credentialHash(ports, secret))
    const data = { name: token.name, scopes: token.scopes, queues, expiresAt: token.expiresAt }
    await ports.append(tx, [eventBy(context, { kind: 'token.created', at, subject: `token/${token.id}`, data })])
    return { ...viewOf(token, owner.name), token: secret }
  })
}

/** A token made by a token ends with it at the latest: else whoever stole one could renew it for ever. */
function endOf(context: RouteContext, asked: number): number {
  const { principal, expiresAt } = callerOf(context)
  if (principal.kind !== 'token' || expiresAt === null || asked <= expiresAt) return asked
  throw new CideryError('FORBIDDEN', 'a token cannot make one that outlives it', {
    hint: 'ask for a shorter time, or sign in',
    details: { expiresAt },
  })
}

function viewOf(token: ApiToken, owner: string): z.infer<typeof TokenView> {
  const { userId: _userId, scopes, queues, ...rest } = token
  return { ...rest, user: owner, scopes: [...scopes], queues: [...queues] }
}
