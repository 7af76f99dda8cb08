import { z } from 'zod'
import { OperationCreate, OperationView } from '../model/api.ts'
import { CideryError } from '../model/errors.ts'
import { OperationId } from '../model/id.ts'
import { allows } from '../model/identity.ts'
import { minute, second } from '../model/instant.ts'
import { limitsFor } from '../model/operation-limits.ts'
import type { OperationLimits, OperationRequest } from '../model/operation.ts'
import type { Spec } from '../model/spec.ts'
import { hasBlob, touchBlobs } from '../record/blobs.ts'
import type { RecordTx } from '../record/commit.ts'
import { readHost } from '../record/hosts.ts'
import { createOperation, digestsOfOperation, extendOperation, listOperations, readOperation, requestKill } from '../record/operations.ts'
import { lastHeard, operationView } from './host-views.ts'
import { route, type Route } from './route.ts'
import { authorOf, type Services } from './services.ts'

const HostParams = z.strictObject({ id: z.string().min(1).max(100) })
const OperationParams = z.strictObject({ id: OperationId })
const OperationList = z.strictObject({ items: z.array(OperationView), nextCursor: z.string().nullable() })
const shownOperations = 100

/** From the end of an upgrade's own deadline to the moment that its host counts as not come back: time for the old agent to start and say so. */
const rollbackPatience = 3 * minute

/** Limits of what is asked for; an upgrade that gives the new agent much time is waited for as long. */
function operationLimitsOf(spec: Spec, asked: z.infer<typeof OperationCreate>): OperationLimits {
  const { request } = asked
  const limits = limitsFor(spec, request.kind, asked)
  if (request.kind !== 'upgradeAgent') return limits
  return { ...limits, reconnect: Math.max(limits.reconnect, request.deadlineS * second + rollbackPatience) }
}

/** Whether somebody who may ask for this can run whatever they like on the host. */
function runsAnything(request: OperationRequest): boolean {
  return request.kind === 'exec' || request.kind === 'upgradeAgent'
}

/** The bytes that the host will ask for must be here, and stay. */
async function requireBytes(tx: RecordTx, request: OperationRequest): Promise<void> {
  for (const digest of digestsOfOperation(request)) {
    if (!(await hasBlob(tx.db, digest)))
      throw new CideryError('NOT_FOUND', `the controller has no bytes with the SHA-256 ${digest}`, {
        hint: 'upload the archive first, as cidery agent upgrade does',
      })
    await touchBlobs(tx.db, [digest], tx.now)
  }
}

/** Ask for changes to hosts, and follow, kill or extend them. */
export function operationRoutes(services: Services): readonly Route[] {
  const { recorder } = services
  return [
    route({
      method: 'GET',
      path: '/hosts/:id/operations',
      summary: 'The latest operations of a host, newest first',
      tag: 'hosts',
      access: 'read',
      params: HostParams,
      response: OperationList,
      handler: async (_context, { params }) =>
        recorder.read(async (db) => {
          const host = await readHost(db, params.id)
          return { items: (await listOperations(db, host.id, shownOperations)).map(operationView), nextCursor: null }
        }),
    }),
    route({
      method: 'POST',
      path: '/hosts/:id/operations',
      summary: 'Ask for a change to a host',
      tag: 'hosts',
      access: 'hosts',
      params: HostParams,
      body: OperationCreate,
      response: OperationView,
      status: 201,
      idempotent: true,
      handler: async (context, { params, body }) => {
        const { request } = body
        if (runsAnything(request) && !allows(context.principal, 'exec')) {
          throw new CideryError('FORBIDDEN', 'running commands and other agents on a host needs the scope exec', { hint: 'ask an admin' })
        }
        if (request.kind.startsWith('sandbox')) {
          throw new CideryError('INVALID_INPUT', 'sandboxes are made and changed by /sandboxes', { hint: 'cidery sandbox create' })
        }
        const id = services.ids.next('op')
        return recorder.write(
          authorOf(context),
          async (tx) => {
            const host = await readHost(tx.db, params.id)
            const heard = lastHeard(services, host)
            const silentMs = heard === null ? null : tx.now - heard
            await requireBytes(tx, request)
            const limits = operationLimitsOf(services.spec(), body)
            return operationView(await createOperation(tx, { id, host, request, limits, queueIfLost: body.queueIfLost, silentMs }))
          },
          context.write,
        )
      },
    }),
    route({
      method: 'GET',
      path: '/operations/:id',
      summary: 'An operation with the end of its output',
      tag: 'hosts',
      access: 'read',
      params: OperationParams,
      response: OperationView,
      handler: async (_context, { params }) => operationView(await recorder.read((db) => readOperation(db, params.id))),
    }),
    route({
      method: 'POST',
      path: '/operations/:id/kill',
      summary: 'End an operation; asking again changes nothing',
      tag: 'hosts',
      access: 'hosts',
      params: OperationParams,
      response: OperationView,
      handler: async (context, { params }) => operationView(await recorder.write(authorOf(context), (tx) => requestKill(tx, params.id))),
    }),
    route({
      method: 'POST',
      path: '/operations/:id/extend',
      summary: 'Give a running operation more time',
      tag: 'hosts',
      access: 'hosts',
      params: OperationParams,
      body: z.strictObject({ seconds: z.int().min(1).max(86_400) }),
      response: OperationView,
      handler: async (context, { params, body }) =>
        operationView(await recorder.write(authorOf(context), (tx) => extendOperation(tx, params.id, body.seconds))),
    }),
  ]
}
