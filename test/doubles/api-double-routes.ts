import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import * as api from '../../src/model/api.ts'
import { CideryError } from '../../src/model/errors.ts'
import { JobSpec } from '../../src/model/job.ts'
import { sha256 } from './api-double-contract.ts'
import type { DoubleRoute, DoubleState, RouteParts } from './api-double-contract.ts'
import { findJob, missing, sendLog, submit } from './api-double-jobs.ts'
import { newId, sampleOperation, samplePool, sampleQueue, sampleSandbox, sampleUser } from './api-double-samples.ts'

function findNamed<T extends { readonly id: string; readonly name: string }>(things: ReadonlyMap<string, T>, key: string): T {
  const found = things.get(key) ?? [...things.values()].find((thing) => thing.name === key)
  if (found === undefined) throw missing(key)
  return found
}

function pageOf<T>(items: readonly T[]) {
  return { items, nextCursor: null }
}

function newestFirst<T extends { readonly id: string }>(items: Iterable<T>): readonly T[] {
  return [...items].toSorted((a, b) => (a.id < b.id ? 1 : -1))
}

function startOperation(state: DoubleState, hostId: string, request: api.OperationView['request']): api.OperationView {
  const operation = sampleOperation(hostId, request)
  state.operations.set(operation.id, operation)
  void sleep(20).then(() =>
    state.operations.set(operation.id, {
      ...operation,
      state: 'SUCCESS',
      exitCode: 0,
      startedAt: Date.now(),
      endedAt: Date.now(),
      outputTail: request.kind === 'exec' ? `${request.command.join(' ')}\n` : `${request.kind}: done\n`,
    }),
  )
  return operation
}

function changeHost({ state, params: [id = '', verb = ''] }: RouteParts): api.HostView {
  const host = findNamed(state.hosts, id)
  const at = Date.now()
  const by = 'user:admin'
  const schedulable: api.HostView['schedulable'] =
    verb === 'cordon'
      ? { kind: 'cordoned', by, at, reason: '' }
      : verb === 'rotate-key'
        ? host.schedulable
        : verb === 'drain'
          ? { kind: 'draining', by, at, reason: '', deadline: null }
          : { kind: 'open' }
  const next: api.HostView = { ...host, schedulable, generation: host.generation + 1, ...(verb === 'retire' ? { state: 'retired' } : {}) }
  state.hosts.set(host.id, next)
  return next
}

function changeSandbox({ state, params: [id = '', verb = ''] }: RouteParts): api.SandboxView {
  const sandbox = findNamed(state.sandboxes, id)
  const next: api.SandboxView = {
    ...sandbox,
    state: verb === 'start' ? 'running' : verb === 'stop' ? 'stopped' : sandbox.state,
    generation: sandbox.generation + 1,
  }
  state.sandboxes.set(sandbox.id, next)
  return next
}

const Empty = z.strictObject({}).nullish()
const Pages = api.PageQuery
const event = {
  kind: 'job.submitted' as const,
  at: 1_760_000_000_000,
  actor: 'user:admin',
  subject: 'job/x',
  origin: '127.0.0.1',
  result: 'ok' as const,
  data: {},
  number: 1,
  epoch: 1,
  seq: 1,
  previousHash: '0'.repeat(64),
  hash: '1'.repeat(64),
}
const token = {
  id: newId('tok'),
  name: 'ci',
  user: 'admin',
  scopes: ['read' as const],
  queues: [],
  createdAt: 1_760_000_000_000,
  expiresAt: 4_000_000_000_000,
  lastUsedAt: null,
  revokedAt: null,
}
const check = { name: 'store', state: 'passed' as const, message: 'answers', fix: null }

const jobRoutes: readonly DoubleRoute[] = [
  {
    method: 'POST',
    path: /^\/jobs$/,
    body: JobSpec,
    response: api.JobView,
    status: 201,
    handle: ({ state }, body) => submit(state, body as JobSpec),
  },
  {
    method: 'GET',
    path: /^\/jobs$/,
    query: api.JobListQuery,
    response: api.JobList,
    handle: ({ state }) => pageOf(newestFirst(state.jobs.values())),
  },
  {
    method: 'GET',
    path: /^\/jobs\/([^/]+)$/,
    query: Empty,
    response: api.JobView,
    handle: ({ state, params: [id = ''] }) => findJob(state, id),
  },
  {
    method: 'POST',
    path: /^\/jobs\/([^/]+)\/cancel$/,
    body: Empty,
    response: api.JobView,
    handle: ({ state, params: [id = ''] }) => {
      const job = findJob(state, id)
      const next: api.JobView = job.state === 'ended' ? job : { ...job, cancelRequested: true }
      state.jobs.set(id, next)
      return next
    },
  },
  {
    method: 'POST',
    path: /^\/jobs\/([^/]+)\/rerun$/,
    body: Empty,
    response: api.JobView,
    status: 201,
    handle: ({ state, params: [id = ''] }) => submit(state, findJob(state, id).spec),
  },
  { method: 'GET', path: /^\/jobs\/([^/]+)\/log$/, handle: sendLog },
  {
    method: 'GET',
    path: /^\/jobs\/([^/]+)\/artifacts$/,
    response: z.strictObject({ items: z.array(z.unknown()), failures: z.array(z.unknown()) }),
    handle: ({ state, params: [id = ''] }) => ({ items: findJob(state, id).attempts.at(-1)?.artifacts ?? [], failures: [] }),
  },
  {
    method: 'GET',
    path: /^\/jobs\/([^/]+)\/artifacts\/(.+)$/,
    handle: ({ state, params: [id = '', path = ''], outgoing }) => {
      const found = findJob(state, id)
        .attempts.at(-1)
        ?.artifacts.find((artifact) => artifact.path === path)
      if (found === undefined) throw missing(path)
      outgoing.writeHead(200, { 'content-type': 'application/octet-stream' }).end(state.blobs.get(found.blob))
    },
  },
]

const uploadRoutes: readonly DoubleRoute[] = [
  {
    method: 'POST',
    path: /^\/uploads$/,
    body: api.UploadCreate,
    response: api.UploadView,
    status: 201,
    handle: ({ state }, body) => {
      const { digest, sizeBytes } = body as z.infer<typeof api.UploadCreate>
      if (state.blobs.has(digest)) return { id: newId('upl'), offset: sizeBytes, complete: true }
      const known = [...state.uploads].find(([, upload]) => upload.digest === digest)
      const id = known?.[0] ?? newId('upl')
      if (known === undefined) state.uploads.set(id, { digest, sizeBytes, bytes: new Uint8Array() })
      return { id, offset: state.uploads.get(id)?.bytes.byteLength ?? 0, complete: false }
    },
  },
  {
    method: 'PATCH',
    path: /^\/uploads\/([^/]+)$/,
    response: api.UploadView,
    handle: ({ state, params: [id = ''], request }) => {
      const upload = state.uploads.get(id)
      if (upload === undefined) throw missing(`upload ${id}`)
      const present = upload.bytes.byteLength
      if (Number(request.query.get('offset')) !== present)
        throw new CideryError('OFFSET_MISMATCH', `the upload continues at ${present}`, { details: { offset: present } })
      upload.bytes = Buffer.concat([upload.bytes, request.bytes])
      return { id, offset: upload.bytes.byteLength, complete: upload.bytes.byteLength === upload.sizeBytes }
    },
  },
  {
    method: 'POST',
    path: /^\/uploads\/([^/]+)\/finish$/,
    body: Empty,
    response: z.strictObject({ digest: z.string() }),
    handle: ({ state, params: [id = ''] }) => {
      const upload = state.uploads.get(id)
      if (upload === undefined || sha256(upload.bytes) !== upload.digest)
        throw new CideryError('CONFLICT', 'the bytes are not those that were announced')
      state.blobs.set(upload.digest, upload.bytes)
      return { digest: upload.digest }
    },
  },
]

const fleetRoutes: readonly DoubleRoute[] = [
  {
    method: 'GET',
    path: /^\/hosts$/,
    query: api.HostListQuery,
    response: api.HostList,
    handle: ({ state }) => pageOf([...state.hosts.values()]),
  },
  {
    method: 'GET',
    path: /^\/hosts\/([^/]+)$/,
    response: api.HostView,
    handle: ({ state, params: [id = ''] }) => findNamed(state.hosts, id),
  },
  {
    method: 'POST',
    path: /^\/hosts\/([^/]+)\/(cordon)$/,
    body: api.CordonRequest,
    response: api.HostView,
    ifMatch: true,
    handle: changeHost,
  },
  {
    method: 'POST',
    path: /^\/hosts\/([^/]+)\/(drain)$/,
    body: api.DrainRequest,
    response: api.HostView,
    ifMatch: true,
    handle: changeHost,
  },
  {
    method: 'POST',
    path: /^\/hosts\/([^/]+)\/(uncordon|rotate-key|retire)$/,
    body: Empty,
    response: api.HostView,
    ifMatch: true,
    handle: changeHost,
  },
  {
    method: 'GET',
    path: /^\/hosts\/([^/]+)\/operations$/,
    query: Empty,
    response: api.pageOf(api.OperationView),
    handle: ({ state, params: [id = ''] }) => pageOf(newestFirst([...state.operations.values()].filter(({ hostId }) => hostId === id))),
  },
  {
    method: 'POST',
    path: /^\/hosts\/([^/]+)\/operations$/,
    body: api.OperationCreate,
    response: api.OperationView,
    status: 201,
    handle: ({ state, params: [id = ''] }, body) => {
      const { request, queueIfLost } = body as z.infer<typeof api.OperationCreate>
      if (findNamed(state.hosts, id).state === 'lost' && !queueIfLost)
        throw new CideryError('HOST_LOST', 'mini-2 has not reported for 5 minutes', { details: { silentMs: 300_000 } })
      return startOperation(state, id, request)
    },
  },
  {
    method: 'GET',
    path: /^\/operations\/([^/]+)$/,
    response: api.OperationView,
    handle: ({ state, params: [id = ''] }) => state.operations.get(id) ?? Promise.reject(missing(`operation ${id}`)),
  },
  {
    method: 'POST',
    path: /^\/operations\/([^/]+)\/kill$/,
    body: Empty,
    response: api.OperationView,
    handle: ({ state, params: [id = ''] }) => state.operations.get(id) ?? Promise.reject(missing(`operation ${id}`)),
  },
  { method: 'GET', path: /^\/pools$/, query: Empty, response: api.pageOf(api.PoolView), handle: () => pageOf([samplePool]) },
  { method: 'GET', path: /^\/pools\/default$/, response: api.PoolView, handle: () => samplePool },
  { method: 'GET', path: /^\/queues$/, query: Empty, response: api.pageOf(api.QueueView), handle: () => pageOf([sampleQueue]) },
  { method: 'GET', path: /^\/queues\/default$/, response: api.QueueView, handle: () => sampleQueue },
  {
    method: 'GET',
    path: /^\/sandboxes$/,
    query: Empty,
    response: api.pageOf(api.SandboxView),
    handle: ({ state }) => pageOf([...state.sandboxes.values()]),
  },
  {
    method: 'GET',
    path: /^\/sandboxes\/([^/]+)$/,
    response: api.SandboxView,
    handle: ({ state, params: [id = ''] }) => findNamed(state.sandboxes, id),
  },
  {
    method: 'POST',
    path: /^\/sandboxes$/,
    body: api.SandboxCreate,
    response: api.SandboxView,
    status: 201,
    handle: ({ state }, body) => {
      const sandbox = sampleSandbox((body as z.infer<typeof api.SandboxCreate>).name ?? 'chosen')
      state.sandboxes.set(sandbox.id, sandbox)
      return sandbox
    },
  },
  { method: 'POST', path: /^\/sandboxes\/([^/]+)\/(start|stop)$/, body: Empty, response: api.SandboxView, handle: changeSandbox },
  {
    method: 'POST',
    path: /^\/sandboxes\/([^/]+)\/reset$/,
    body: Empty,
    response: api.OperationView,
    handle: ({ state, params: [id = ''] }) => {
      const sandbox = findNamed(state.sandboxes, id)
      return startOperation(state, sandbox.hostId, { kind: 'sandboxReset', sandboxId: sandbox.id })
    },
  },
  {
    method: 'POST',
    path: /^\/sandboxes\/([^/]+)\/(snapshot)$/,
    body: z.strictObject({ name: z.string() }),
    response: api.SandboxView,
    handle: changeSandbox,
  },
  {
    method: 'DELETE',
    path: /^\/sandboxes\/([^/]+)$/,
    status: 204,
    handle: ({ state, params: [id = ''] }) => void state.sandboxes.delete(id),
  },
]

const otherRoutes: readonly DoubleRoute[] = [
  {
    method: 'GET',
    path: /^\/queues\/([^/]+)\/secrets$/,
    query: Pages,
    response: api.pageOf(api.SecretView),
    handle: () => pageOf([{ queue: 'default', name: 'API_TOKEN', setBy: 'user:admin', setAt: 1_760_000_000_000 }]),
  },
  {
    method: 'PUT',
    path: /^\/queues\/([^/]+)\/secrets\/([^/]+)$/,
    body: api.SecretSet,
    response: api.SecretView,
    handle: ({ params: [queue = '', name = ''] }) => ({ queue, name, setBy: 'user:admin', setAt: Date.now() }),
  },
  { method: 'DELETE', path: /^\/queues\/([^/]+)\/secrets\/([^/]+)$/, status: 204, handle: () => undefined },
  { method: 'GET', path: /^\/users$/, query: Pages, response: api.pageOf(api.UserView), handle: () => pageOf([sampleUser]) },
  {
    method: 'POST',
    path: /^\/users$/,
    body: api.UserCreate,
    response: api.UserView,
    status: 201,
    handle: (_parts, body) => ({ ...sampleUser, name: (body as { name: string }).name }),
  },
  { method: 'PATCH', path: /^\/users\/([^/]+)$/, body: api.UserPatch, response: api.UserView, ifMatch: true, handle: () => sampleUser },
  { method: 'DELETE', path: /^\/users\/([^/]+)$/, status: 204, ifMatch: true, handle: () => undefined },
  { method: 'GET', path: /^\/tokens$/, query: Pages, response: api.pageOf(api.TokenView), handle: () => pageOf([token]) },
  {
    method: 'POST',
    path: /^\/tokens$/,
    body: api.TokenCreate,
    response: api.TokenCreated,
    status: 201,
    handle: () => ({ ...token, token: 'cidery_tok_secret' }),
  },
  { method: 'DELETE', path: /^\/tokens\/([^/]+)$/, status: 204, handle: () => undefined },
  {
    method: 'POST',
    path: /^\/enrolments$/,
    body: api.EnrolmentCreate,
    response: api.EnrolmentCreated,
    status: 201,
    handle: () => ({
      id: newId('enr'),
      token: 'cidery_enr_x',
      url: 'https://ci:8443',
      caFingerprint: null,
      command: 'cidery agent install --url https://ci:8443 --token-file -',
      expiresAt: Date.now() + 900_000,
    }),
  },
  {
    method: 'GET',
    path: /^\/spec$/,
    response: api.SpecView,
    handle: ({ state }) => ({ generation: state.specGeneration, source: state.specSource, appliedAt: 1, appliedBy: 'system' }),
  },
  {
    method: 'PUT',
    path: /^\/spec$/,
    body: api.SpecApply,
    response: api.SpecDiff,
    ifMatch: true,
    handle: ({ state, request }, body) => {
      const { source, dryRun } = body as z.infer<typeof api.SpecApply>
      if (request.headers['if-match'] !== `"${state.specGeneration}"`)
        throw new CideryError('STALE_GENERATION', 'the spec changed since it was read')
      if (/slots: 0/.test(source))
        throw new CideryError('INVALID_INPUT', 'cidery.yaml is not accepted', {
          problems: [
            {
              path: 'pools.default.engines.user.slots',
              message: 'must be above 0',
              file: 'cidery.yaml',
              line: 5,
              column: 9,
              accepted: ['1…1000'],
            },
          ],
        })
      const changes = source === state.specSource ? [] : [{ path: 'queues.ios', from: null, to: { weight: 2 } }]
      if (!dryRun && changes.length > 0) {
        state.specSource = source
        state.specGeneration += 1
      }
      return {
        generation: state.specGeneration,
        applied: !dryRun && changes.length > 0,
        changes,
        consequences: changes.length === 0 ? [] : ['2 hosts get a new queue'],
      }
    },
  },
  {
    method: 'GET',
    path: /^\/plan$/,
    response: z.strictObject({ steps: z.array(z.unknown()), waiting: z.array(api.WaitingView) }),
    handle: () => ({ steps: [{ kind: 'assign', jobId: 'job_1', hostId: 'host_1', why: 'free slot' }], waiting: [] }),
  },
  {
    method: 'GET',
    path: /^\/explain\/(.+)$/,
    response: api.ExplainView,
    handle: ({ state, params: [subject = ''] }) => {
      const waiting = [...state.jobs.values()][0]?.waiting ?? []
      return { subject, summary: `${subject} waits for a host`, waiting, facts: [{ name: 'queue', value: 'default' }] }
    },
  },
  {
    method: 'GET',
    path: /^\/controller$/,
    response: api.ControllerView,
    handle: () => ({
      version: '0.1.0',
      instance: 'ctl_1',
      epoch: 1,
      leads: true,
      startedAt: 1_760_000_000_000,
      store: 'sqlite',
      schema: 1,
      url: 'http://127.0.0.1',
      caFingerprint: null,
      syncProtocols: [1],
      loop: { lastPassAt: Date.now(), lastPassMs: 3, passes: 10, problem: null },
    }),
  },
  { method: 'GET', path: /^\/doctor$/, response: api.DoctorView, handle: () => ({ verdict: 'healthy', checks: [check] }) },
  {
    method: 'GET',
    path: /^\/session$/,
    response: api.SessionView,
    handle: () => ({ user: 'admin', role: 'admin', scopes: ['read', 'jobs'], queues: [], csrfToken: null, expiresAt: null }),
  },
  {
    method: 'GET',
    path: /^\/audit$/,
    response: z.strictObject({ items: z.array(api.SealedEvent), nextAfter: z.number().nullable() }),
    handle: () => ({ items: [event], nextAfter: null }),
  },
  {
    method: 'GET',
    path: /^\/audit\/verify$/,
    response: api.AuditVerifyView,
    handle: () => ({ ok: true, first: 1, last: 1, checked: 1, problem: null }),
  },
  {
    method: 'GET',
    path: /^\/audit\/export$/,
    handle: ({ outgoing }) => void outgoing.writeHead(200, { 'content-type': 'application/x-ndjson' }).end(`${JSON.stringify(event)}\n`),
  },
]

export const doubleRoutes: readonly DoubleRoute[] = [...jobRoutes, ...uploadRoutes, ...fleetRoutes, ...otherRoutes]
