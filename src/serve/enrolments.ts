import { z } from 'zod'
import { EnrolmentCreate, EnrolmentCreated, PageQuery, pageOf } from '../model/api.ts'
import { CideryError } from '../model/errors.ts'
import { didYouMean } from '../model/input-problems.ts'
import type { Spec } from '../model/spec.ts'
import { insertEnrolment, listEnrolments, removeEnrolment } from '../record/enrolments.ts'
import type { Enrolment } from '../record/enrolments.ts'
import { pageOfRows, readCursor } from '../record/pages.ts'
import { credentialHash, newCredential } from './access/credential.ts'
import { actorOf, eventBy } from './actor.ts'
import { route } from './route.ts'
import type { Route, RouteContext } from './route.ts'
import type { ServePorts } from './serve-ports.ts'

const EnrolmentView = z.strictObject({
  id: z.string(),
  name: z.string().nullable(),
  pool: z.string(),
  labels: z.record(z.string(), z.string()),
  createdBy: z.string(),
  createdAt: z.number(),
  expiresAt: z.number(),
  usedAt: z.number().nullable(),
  hostId: z.string().nullable(),
  state: z.enum(['open', 'used', 'expired']),
})

export interface EnrolmentParts {
  readonly ports: ServePorts
  readonly spec: () => Promise<Spec>
  /** How hosts reach this controller. */
  readonly url: () => string
  readonly caFingerprint: string | null
}

/** Routes that let new hosts in. */
export function enrolmentRoutes(parts: EnrolmentParts): readonly Route[] {
  const { ports } = parts
  return [
    route({
      method: 'GET',
      path: '/enrolments',
      summary: 'Leaves to join the fleet, oldest first',
      tag: 'people',
      access: 'people',
      query: PageQuery,
      response: pageOf(EnrolmentView),
      handler: async (_context, { query }) => {
        const after = query.cursor === undefined ? null : readCursor(query.cursor).id
        const rows = await ports.store.read((db) => listEnrolments(db, { after, limit: query.limit + 1 }))
        const now = ports.clock.now()
        return pageOfRows(rows, query.limit, {
          item: (enrolment) => viewOf(enrolment, now),
          cursor: ({ createdAt, id }) => ({ at: createdAt, id }),
        })
      },
    }),
    route({
      method: 'POST',
      path: '/enrolments',
      summary: 'Makes the one line that a new host types; its token works once and not for long',
      tag: 'people',
      access: 'people',
      body: EnrolmentCreate,
      response: EnrolmentCreated,
      status: 201,
      idempotent: true,
      handler: async (context, { body }) => createEnrolment(parts, context, body),
    }),
    route({
      method: 'DELETE',
      path: '/enrolments/:id',
      summary: 'Takes back a leave that no host has used',
      tag: 'people',
      access: 'people',
      params: z.strictObject({ id: z.string().max(100) }),
      response: 'empty',
      handler: async (context, { params }) => {
        await context.write(async (tx) => {
          const enrolment = await removeEnrolment(tx, params.id)
          const data = { name: enrolment.name, pool: enrolment.pool }
          await ports.append(tx, [
            eventBy(context, { kind: 'enrolment.removed', at: ports.clock.now(), subject: `enrolment/${params.id}`, data }),
          ])
        })
      },
    }),
  ]
}

async function createEnrolment(
  parts: EnrolmentParts,
  context: RouteContext,
  body: z.infer<typeof EnrolmentCreate>,
): Promise<z.infer<typeof EnrolmentCreated>> {
  const { ports, caFingerprint } = parts
  requirePool(await parts.spec(), body.pool)
  const token = newCredential(ports, 'enrolment')
  const at = ports.clock.now()
  const { name = null, pool, labels } = body
  const enrolment: Enrolment = {
    id: ports.ids.next('enr'),
    name,
    pool,
    labels,
    createdBy: actorOf(context.principal),
    createdAt: at,
    expiresAt: at + body.ttlS * 1000,
    usedAt: null,
    hostId: null,
  }
  const url = parts.url()
  return context.write(async (tx) => {
    await insertEnrolment(tx, enrolment, credentialHash(ports, token))
    const data = { name, pool, labels, expiresAt: enrolment.expiresAt }
    await ports.append(tx, [eventBy(context, { kind: 'enrolment.created', at, subject: `enrolment/${enrolment.id}`, data })])
    return {
      id: enrolment.id,
      token,
      url,
      caFingerprint,
      command: enrolmentCommand({ url, caFingerprint, token }),
      expiresAt: enrolment.expiresAt,
    }
  })
}

/**
 * The line for the new host. The token is an assignment of the shell: it reaches the agent by its environment and stands in no argument list,
 * which every user of that machine could read.
 */
export function enrolmentCommand(line: { readonly url: string; readonly caFingerprint: string | null; readonly token: string }): string {
  const pin = line.caFingerprint === null ? '' : ` --ca-sha256 ${line.caFingerprint}`
  return `CIDERY_ENROL_TOKEN=${line.token} npx cidery agent run --url ${line.url}${pin}`
}

function requirePool(spec: Spec, pool: string): void {
  const pools = Object.keys(spec.pools)
  if (pools.includes(pool)) return
  throw new CideryError('INVALID_INPUT', `there is no pool ${pool}${didYouMean(pool, pools)}`, {
    problems: [{ path: 'pool', message: 'no such pool', accepted: pools }],
  })
}

function viewOf(enrolment: Enrolment, now: number): z.infer<typeof EnrolmentView> {
  const { labels, ...rest } = enrolment
  const state = enrolment.usedAt !== null ? 'used' : enrolment.expiresAt <= now ? 'expired' : 'open'
  return { ...rest, labels: { ...labels }, state }
}
