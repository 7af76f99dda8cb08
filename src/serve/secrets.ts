import { z } from 'zod'
import { PageQuery, SecretSet, SecretView, pageOf } from '../model/api.ts'
import { CideryError } from '../model/errors.ts'
import { Name } from '../model/id.ts'
import { didYouMean } from '../model/input-problems.ts'
import type { Spec } from '../model/spec.ts'
import { pageOfRows, readCursor } from '../record/pages.ts'
import { listSecrets, removeSecret, setSecret } from '../record/secrets.ts'
import { actorOf, eventBy } from './actor.ts'
import { route } from './route.ts'
import type { Route } from './route.ts'
import type { ServePorts } from './serve-ports.ts'

const SecretName = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,127}$/, 'a name of letters, digits, "_", "." and "-", starting with a letter or "_"')
const ofQueue = z.strictObject({ queue: Name })
const named = z.strictObject({ queue: Name, name: SecretName })

export interface SecretParts {
  readonly ports: ServePorts
  /** The spec in force: secrets belong to queues that exist. */
  readonly spec: () => Promise<Spec>
}

/** Routes for the secrets of queues. No route gives a value back. */
export function secretRoutes({ ports, spec }: SecretParts): readonly Route[] {
  return [
    route({
      method: 'GET',
      path: '/queues/:queue/secrets',
      summary: 'Names of the secrets of a queue; never a value',
      tag: 'secrets',
      access: 'secrets',
      params: ofQueue,
      query: PageQuery,
      response: pageOf(SecretView),
      handler: async (_context, { params, query }) => {
        requireQueue(await spec(), params.queue)
        const after = query.cursor === undefined ? null : readCursor(query.cursor).id
        const rows = await ports.store.read((db) => listSecrets(db, params.queue, { after, limit: query.limit + 1 }))
        return pageOfRows(rows, query.limit, { item: (secret) => secret, cursor: (secret) => ({ at: secret.name, id: secret.name }) })
      },
    }),
    route({
      method: 'PUT',
      path: '/queues/:queue/secrets/:name',
      summary: 'Sets a secret of a queue; jobs that start from now on get the new value',
      tag: 'secrets',
      access: 'secrets',
      params: named,
      body: SecretSet,
      // A value may be all control characters, which JSON writes with six bytes each.
      bodyLimit: 8 * 1024 * 1024,
      response: SecretView,
      handler: async (context, { params, body }) => {
        requireQueue(await spec(), params.queue)
        const at = ports.clock.now()
        const secret = { ...params, setBy: actorOf(context.principal), setAt: at }
        await context.write(async (tx) => {
          await setSecret(tx, { ...secret, value: body.value }, ports.box)
          await ports.append(tx, [eventBy(context, { kind: 'secret.set', at, subject: `secret/${params.queue}/${params.name}` })])
        })
        return secret
      },
    }),
    route({
      method: 'DELETE',
      path: '/queues/:queue/secrets/:name',
      summary: 'Removes a secret of a queue',
      tag: 'secrets',
      access: 'secrets',
      params: named,
      response: 'empty',
      handler: async (context, { params }) => {
        await context.write(async (tx) => {
          await removeSecret(tx, params.queue, params.name)
          await ports.append(tx, [
            eventBy(context, { kind: 'secret.removed', at: ports.clock.now(), subject: `secret/${params.queue}/${params.name}` }),
          ])
        })
      },
    }),
  ]
}

function requireQueue(spec: Spec, queue: string): void {
  const queues = Object.keys(spec.queues)
  if (queues.includes(queue)) return
  throw new CideryError('NOT_FOUND', `there is no queue ${queue}${didYouMean(queue, queues)}`, { hint: `queues: ${queues.join(', ')}` })
}
