import { z } from 'zod'
import { OperationCreate, OperationView } from '../model/api.ts'
import { CideryError } from '../model/errors.ts'
import { OperationId } from '../model/id.ts'
import { allows } from '../model/identity.ts'
import { second } from '../model/instant.ts'
import { operationLimits, type OperationKind, type OperationLimits } from '../model/operation.ts'
import type { Spec } from '../model/spec.ts'
import { readHost } from '../record/hosts.ts'
import { createOperation, extendOperation, listOperations, readOperation, requestKill } from '../record/operations.ts'
import { lastHeard, operationView } from './host-views.ts'
import { route, type Route } from './route.ts'
import { authorOf, type Services } from './services.ts'

const HostParams = z.strictObject({ id: z.string().min(1).max(100) })
const OperationParams = z.strictObject({ id: OperationId })
const OperationList = z.strictObject({ items: z.array(OperationView), nextCursor: z.string().nullable() })
const shownOperations = 100

/** Limits of a kind of operation: what the request says, else the spec, else the defaults. */
export function limitsFor(
  spec: Spec,
  kind: OperationKind,
  wanted: { readonly warningS?: number | undefined; readonly hardS?: number | undefined } = {},
): OperationLimits {
  const set = spec.limits.operations[kind] ?? {}
  const standard = operationLimits[kind]
  const hard = wanted.hardS === undefined ? (set.hard ?? standard.hard) : wanted.hardS * second
  const warning = wanted.warningS === undefined ? (set.warning ?? standard.warning) : wanted.warningS * second
  return { hard, warning: Math.min(warning, hard), reconnect: set.reconnect ?? standard.reconnect }
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
        if (request.kind === 'exec' && !allows(context.principal, 'exec')) {
          throw new CideryError('FORBIDDEN', 'running commands on a host needs the scope exec', { hint: 'ask an admin' })
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
            const limits = limitsFor(services.spec(), request.kind, body)
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
