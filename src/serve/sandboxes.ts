import { z } from 'zod'
import { OperationView, SandboxCreate, SandboxView } from '../model/api.ts'
import { CideryError } from '../model/errors.ts'
import type { Host } from '../model/host.ts'
import { Name, type SandboxId } from '../model/id.ts'
import { isManaged } from '../model/image/managed.ts'
import { day, second } from '../model/instant.ts'
import { limitsFor } from '../model/operation-limits.ts'
import type { Operation, OperationRequest } from '../model/operation.ts'
import type { Sandbox, sandboxCan } from '../model/sandbox.ts'
import { promotedBuilds } from '../record/build-list.ts'
import type { RecordTx } from '../record/commit.ts'
import { allHosts, hostNames, readHost } from '../record/hosts.ts'
import { createOperation, liveOperationsOfHosts } from '../record/operations.ts'
import { createSandbox, listSandboxes, readSandbox, removeSandbox, requireSandboxCan } from '../record/sandboxes.ts'
import { lastHeard, operationView } from './host-views.ts'
import { route, type Route, type RouteContext } from './route.ts'
import { authorOf, type Services } from './services.ts'

const SandboxParams = z.strictObject({ id: z.string().min(1).max(100) })
const SandboxList = z.strictObject({ items: z.array(SandboxView), nextCursor: z.string().nullable() })
type View = z.infer<typeof SandboxView>

/** However a sandbox's lease is set, it ends after this. */
const hardLimit = 7 * day

/** Sandboxes that people make, with leases that end them. */
export function sandboxRoutes(services: Services): readonly Route[] {
  const { recorder } = services

  function viewOf(sandbox: Sandbox, names: ReadonlyMap<string, string>): View {
    const { generation, isolation, reason, state } = sandbox
    const endsAt = services.judgement.leaseEnd(sandbox)
    return {
      id: sandbox.id,
      name: sandbox.name,
      hostId: sandbox.hostId,
      hostName: names.get(sandbox.hostId) ?? sandbox.hostId,
      engine: sandbox.engine,
      image: sandbox.image,
      state,
      reason,
      isolation,
      createdBy: sandbox.createdBy,
      createdAt: sandbox.createdAt,
      expiresAt: sandbox.expiresAt,
      hardExpiresAt: sandbox.hardExpiresAt,
      timeLeftMs: Math.max(0, endsAt - services.clock.now()),
      generation,
      jobId: null,
    }
  }

  async function show(idOrName: string): Promise<View> {
    return recorder.read(async (db) => {
      const sandbox = await readSandbox(db, idOrName)
      return viewOf(sandbox, await hostNames(db, [sandbox.hostId]))
    })
  }

  async function operate(tx: RecordTx, sandbox: Sandbox, request: OperationRequest): Promise<Operation> {
    const host = await readHost(tx.db, sandbox.hostId)
    const heard = lastHeard(services, host)
    const limits = limitsFor(services.spec(), request.kind)
    return createOperation(tx, {
      id: services.ids.next('op'),
      host,
      request,
      limits,
      queueIfLost: false,
      silentMs: heard === null ? null : tx.now - heard,
    })
  }

  async function act(
    context: RouteContext,
    id: string,
    how: { readonly action: keyof typeof sandboxCan; readonly request: (sandboxId: SandboxId) => OperationRequest },
  ): Promise<View> {
    await recorder.write(authorOf(context), async (tx) => {
      const sandbox = await readSandbox(tx.db, id)
      requireSandboxCan(sandbox, how.action)
      await operate(tx, sandbox, how.request(sandbox.id))
    })
    return show(id)
  }

  return [
    route({
      method: 'GET',
      path: '/sandboxes',
      summary: 'Sandboxes that people made, with the time left to each',
      tag: 'sandboxes',
      access: 'read',
      response: SandboxList,
      handler: async () =>
        recorder.read(async (db) => {
          const sandboxes = await listSandboxes(db)
          const names = await hostNames(
            db,
            sandboxes.map(({ hostId }) => hostId),
          )
          return { items: sandboxes.map((sandbox) => viewOf(sandbox, names)), nextCursor: null }
        }),
    }),
    route({
      method: 'GET',
      path: '/sandboxes/:id',
      summary: 'A sandbox by id or name',
      tag: 'sandboxes',
      access: 'read',
      params: SandboxParams,
      response: SandboxView,
      handler: async (_context, { params }) => show(params.id),
    }),
    route({
      method: 'POST',
      path: '/sandboxes',
      summary: 'Make a sandbox with a lease',
      tag: 'sandboxes',
      access: 'exec',
      body: SandboxCreate,
      response: SandboxView,
      status: 201,
      idempotent: true,
      handler: async (context, { body }) => {
        const id = services.ids.next('sbx')
        return recorder.write(
          authorOf(context),
          async (tx) => {
            const image = body.image ?? null
            const boots = await bootedBuild(services, tx, image)
            const wanted = { engine: body.engine, build: boots === image ? null : boots }
            const host = body.host === undefined ? await pickHost(services, tx, wanted) : await readHost(tx.db, body.host)
            const name = body.name ?? `sandbox-${id.slice(-6)}`
            const idleMs = body.idleS === undefined ? null : body.idleS * second
            const sandbox = await createSandbox(tx, {
              id,
              name,
              host,
              engine: body.engine,
              image,
              ttlMs: body.ttlS * second,
              hardMs: hardLimit,
              idleMs,
            })
            await operate(tx, sandbox, { kind: 'sandboxCreate', sandboxId: id, engine: body.engine, image: boots, ttlS: body.ttlS })
            return viewOf(sandbox, new Map([[host.id, host.name]]))
          },
          context.write,
        )
      },
    }),
    route({
      method: 'POST',
      path: '/sandboxes/:id/start',
      summary: 'Start a stopped sandbox',
      tag: 'sandboxes',
      access: 'exec',
      params: SandboxParams,
      response: SandboxView,
      handler: async (context, { params }) =>
        act(context, params.id, { action: 'start', request: (sandboxId) => ({ kind: 'sandboxStart', sandboxId }) }),
    }),
    route({
      method: 'POST',
      path: '/sandboxes/:id/stop',
      summary: 'Stop a running sandbox',
      tag: 'sandboxes',
      access: 'exec',
      params: SandboxParams,
      response: SandboxView,
      handler: async (context, { params }) =>
        act(context, params.id, { action: 'stop', request: (sandboxId) => ({ kind: 'sandboxStop', sandboxId }) }),
    }),
    route({
      method: 'POST',
      path: '/sandboxes/:id/reset',
      summary: 'Make a sandbox anew from its image; its id and its lease stay, what is in it goes',
      tag: 'sandboxes',
      access: 'exec',
      params: SandboxParams,
      response: OperationView,
      idempotent: true,
      handler: async (context, { params }) =>
        recorder.write(
          authorOf(context),
          async (tx) => {
            const sandbox = await readSandbox(tx.db, params.id)
            requireSandboxCan(sandbox, 'reset')
            return operationView(await operate(tx, sandbox, { kind: 'sandboxReset', sandboxId: sandbox.id }))
          },
          context.write,
        ),
    }),
    route({
      method: 'POST',
      path: '/sandboxes/:id/snapshot',
      summary: 'Keep the state of a stopped sandbox under a name',
      tag: 'sandboxes',
      access: 'exec',
      params: SandboxParams,
      body: z.strictObject({ name: Name }),
      response: SandboxView,
      handler: async (context, { params, body }) =>
        act(context, params.id, { action: 'snapshot', request: (sandboxId) => ({ kind: 'sandboxSnapshot', sandboxId, name: body.name }) }),
    }),
    route({
      method: 'DELETE',
      path: '/sandboxes/:id',
      summary: 'Remove a sandbox; asking again changes nothing',
      tag: 'sandboxes',
      access: 'exec',
      params: SandboxParams,
      response: SandboxView,
      handler: async (context, { params }) => {
        await recorder.write(authorOf(context), async (tx) =>
          removeSandbox(tx, await readSandbox(tx.db, params.id), `removed by ${tx.author.actor}`),
        )
        return show(params.id)
      },
    }),
  ]
}

/** What a sandbox of an image boots: the promoted build, where cidery builds or fetches the image. */
async function bootedBuild(services: Services, tx: RecordTx, image: string | null): Promise<string | null> {
  if (image === null || !isManaged(services.spec(), image)) return image
  const build = (await promotedBuilds(tx.db)).get(image)
  if (build !== undefined) return build
  throw new CideryError('CONFLICT', `no build of the image ${image} is promoted yet`, { hint: `cidery explain image/${image}` })
}

/** The open host with the engine, and the build where one is named, that carries out no operation; the first by name. */
async function pickHost(
  services: Services,
  tx: RecordTx,
  { engine, build }: { readonly engine: string; readonly build: string | null },
): Promise<Host> {
  const hosts = (await allHosts(tx.db)).filter((host) => host.state === 'up' && host.schedulable.kind === 'open')
  const has = ({ facts }: Host): boolean => build === null || facts?.storedImages?.some(({ id }) => id === build) === true
  const able = hosts.filter((host) => has(host) && host.facts?.engines.some(({ name, ok }) => name === engine && ok) === true)
  const busy = new Set(
    (
      await liveOperationsOfHosts(
        tx.db,
        able.map(({ id }) => id),
      )
    ).map(({ hostId }) => hostId),
  )
  const host = able.find(({ id }) => !busy.has(id)) ?? able[0]
  if (host !== undefined) return host
  throw new CideryError('CONFLICT', `no open host has a working engine ${engine}${build === null ? '' : ` and the build ${build}`}`, {
    hint: 'cidery host ls',
    details: { hosts: hosts.length, plan: services.plan().waiting.length },
  })
}
