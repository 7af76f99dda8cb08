import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { openOwnCa } from '../../src/drivers/certificates/own-ca.ts'
import { createIds } from '../../src/drivers/randoms/ids.ts'
import { createSystemRandom } from '../../src/drivers/randoms/system-random.ts'
import { createDigests } from '../../src/drivers/secrets/digests.ts'
import { createPasswordHasher } from '../../src/drivers/secrets/password-hasher.ts'
import { createSecretBox } from '../../src/drivers/secrets/secret-box.ts'
import { createSigner } from '../../src/drivers/secrets/signer.ts'
import { createSqliteStore } from '../../src/drivers/stores/sqlite/sqlite-store.ts'
import type { SealedEvent } from '../../src/model/event.ts'
import type { Scope, User } from '../../src/model/identity.ts'
import { readSpecFile } from '../../src/observe/spec-file.ts'
import type { Certificates } from '../../src/ports/certificates.ts'
import { appendEvents } from '../../src/record/journal.ts'
import { takeLead } from '../../src/record/lead.ts'
import { migrate } from '../../src/record/migrate.ts'
import { insertUser } from '../../src/record/people.ts'
import { sealEvents } from '../../src/record/seal.ts'
import { readSpec } from '../../src/record/specs.ts'
import { insertToken } from '../../src/record/tokens.ts'
import { verifyJournal } from '../../src/record/verify-journal.ts'
import { credentialHash, newCredential } from '../../src/serve/access/credential.ts'
import { createBaseRoutes } from '../../src/serve/base-routes.ts'
import { createMetrics } from '../../src/serve/metrics.ts'
import type { Route, SocketRoute } from '../../src/serve/route.ts'
import type { ServePorts } from '../../src/serve/serve-ports.ts'
import { createServer } from '../../src/serve/server.ts'
import type { Server, ServerOptions } from '../../src/serve/server.ts'
import { recordingLog } from '../doubles/recording-log.ts'
import { virtualTime } from '../doubles/virtual-time.ts'
import type { VirtualTime } from '../doubles/virtual-time.ts'

export const password = 'correct horse battery'

export interface FixtureOptions {
  readonly routes?: readonly Route[]
  readonly sockets?: readonly SocketRoute[]
  readonly server?: Partial<ServerOptions>
  /** Serve HTTPS by an own CA for these names. */
  readonly names?: readonly string[]
  readonly readiness?: () => Promise<{ ready: boolean; reasons: string[] }>
}

export interface Fixture {
  readonly ports: ServePorts
  readonly time: VirtualTime
  readonly log: ReturnType<typeof recordingLog>
  readonly server: Server
  readonly app: FastifyInstance
  readonly routes: readonly Route[]
  readonly ca: { readonly pem: string; readonly fingerprint: string } | null
  readonly directory: string
  readonly joined: string[]
  addUser(name: string, role: User['role'], queues?: readonly string[]): Promise<User>
  /** A token of a user made behind the API's back; returns its secret. */
  addToken(
    user: User,
    scopes: readonly Scope[],
    options?: { readonly queues?: readonly string[]; readonly ttlMs?: number },
  ): Promise<string>
  /** A user of a role with a token of all its scopes. */
  tokenOf(role: User['role'], queues?: readonly string[]): Promise<string>
  /** Signs in by password; gives the headers of a browser. */
  signIn(name: string): Promise<Record<string, string>>
  /** A host that enrolled; gives its id and key. */
  addHost(name: string): Promise<{ readonly id: string; readonly key: string }>
  /** Seals what is waiting, as the leader does. */
  seal(): Promise<void>
  /** Everything in the journal, sealed. */
  events(): Promise<readonly SealedEvent[]>
  close(): Promise<void>
}

/** The whole HTTP side over a real SQLite file, on virtual time. */
export async function fixture(options: FixtureOptions = {}): Promise<Fixture> {
  const directory = await mkdtemp(join(tmpdir(), 'cidery-access-'))
  const time = virtualTime({ startAt: Date.now() })
  const random = createSystemRandom()
  const log = recordingLog()
  const store = await createSqliteStore({ path: join(directory, 'state.db'), clock: time.clock, timers: time.timers })
  await migrate(store, { clock: time.clock })
  const epoch = await leadOf()
  const signer = createSigner({ keyFile: join(directory, 'journal.key'), random })
  const ports: ServePorts = {
    store,
    clock: time.clock,
    timers: time.timers,
    random,
    log,
    ids: createIds(time.clock, random),
    digests: createDigests(),
    hasher: createPasswordHasher({ random, logCost: 10 }),
    box: createSecretBox({ keyFile: join(directory, 'secrets.key'), random }),
    append: (tx, events) => appendEvents(tx, epoch, events),
  }
  const certificates =
    options.names === undefined
      ? null
      : await openOwnCa({ directory: join(directory, 'tls'), names: options.names, clock: time.clock, log })
  const ca = caOf(certificates)
  const metrics = createMetrics('0.0.0-test')
  const joined: string[] = []
  const base = await createBaseRoutes({
    ports,
    metrics,
    ca,
    spec: async () => readSpecFile((await store.read(readSpec)).source, 'stored'),
    parseSpec: readSpecFile,
    diffSpec: (from, to) => ({
      changes: JSON.stringify(from) === JSON.stringify(to) ? [] : [{ path: 'spec', from: null, to: null }],
      consequences: [],
    }),
    verifyJournal: async () => verifyJournal(store, { signer }),
    readiness: options.readiness ?? (async () => ({ ready: true, reasons: [] })),
    joined: async (id) => void joined.push(id),
    url: () => 'https://ci.example:7411',
    secure: certificates !== null,
    loopbackOnly: true,
  })
  const routes = [...base.routes, ...(options.routes ?? [])]
  const current = certificates?.current()
  const server = await createServer({
    ports,
    routes,
    metrics,
    rootRoutes: base.rootRoutes,
    sockets: options.sockets ?? [],
    version: '0.0.0-test',
    tls: current === undefined ? null : { chain: current.chain, key: current.key },
    ...options.server,
  })

  async function leadOf(): Promise<number> {
    const lead = await store.write((tx) => takeLead(tx, { holder: 'ctl_test', now: time.clock.now(), ttl: 3_600_000_000 }))
    return lead?.epoch ?? 1
  }

  async function addUser(name: string, role: User['role'], queues: readonly string[] = []): Promise<User> {
    const user: User = { id: ports.ids.next('usr'), name, role, queues, createdAt: time.clock.now(), disabled: false, generation: 1 }
    const hash = await ports.hasher.hash(password)
    await store.write((tx) => insertUser(tx, user, hash))
    return user
  }

  async function addToken(
    user: User,
    scopes: readonly Scope[],
    about: { readonly queues?: readonly string[]; readonly ttlMs?: number } = {},
  ): Promise<string> {
    const secret = newCredential(ports, 'token')
    const at = time.clock.now()
    const token = {
      id: ports.ids.next('tok'),
      name: 'test',
      userId: user.id,
      scopes,
      queues: about.queues ?? [],
      createdAt: at,
      expiresAt: at + (about.ttlMs ?? 100 * 86_400_000),
      lastUsedAt: null,
      revokedAt: null,
    }
    await store.write((tx) => insertToken(tx, token, credentialHash(ports, secret)))
    return secret
  }

  let people = 0
  async function tokenOf(role: User['role'], queues: readonly string[] = []): Promise<string> {
    people += 1
    const user = await addUser(`${role}-${people}`, role, queues)
    const { scopesOfRole } = await import('../../src/model/identity.ts')
    return addToken(user, scopesOfRole[role])
  }

  async function signIn(name: string): Promise<Record<string, string>> {
    const answer = await server.app.inject({ method: 'POST', url: '/api/v1/session', payload: { name, password } })
    if (answer.statusCode !== 200) throw new Error(`sign-in failed: ${answer.body}`)
    const [cookie] = answer.cookies
    const origin = ca === null ? 'http://localhost:80' : 'https://localhost:80'
    return {
      cookie: `${cookie?.name}=${cookie?.value}`,
      origin,
      host: 'localhost:80',
      'x-cidery-csrf': answer.json<{ csrfToken: string }>().csrfToken,
    }
  }

  async function addHost(name: string): Promise<{ readonly id: string; readonly key: string }> {
    const admin = await tokenOf('admin')
    const made = await server.app.inject({
      method: 'POST',
      url: '/api/v1/enrolments',
      headers: { authorization: `Bearer ${admin}` },
      payload: { name },
    })
    const key = newCredential(ports, 'key')
    const payload = {
      token: made.json<{ token: string }>().token,
      protocol: 1,
      hostname: name,
      keyHash: credentialHash(ports, key),
      os: 'linux',
      arch: 'x64',
    }
    const answer = await server.app.inject({ method: 'POST', url: '/api/v1/agent/enrol', payload })
    if (answer.statusCode !== 200) throw new Error(`enrolment failed: ${answer.body}`)
    return { id: answer.json<{ hostId: string }>().hostId, key }
  }

  async function seal(): Promise<void> {
    for (;;) {
      const { more } = await store.write((tx) => sealEvents(tx, { epoch, now: time.clock.now(), signer }))
      if (!more) return
    }
  }

  async function events(): Promise<readonly SealedEvent[]> {
    await seal()
    const { listEvents } = await import('../../src/record/journal.ts')
    return store.read((db) => listEvents(db, { after: 0, limit: 10_000 }))
  }

  async function close(): Promise<void> {
    await server.close(1_000)
    await store.close()
    await rm(directory, { recursive: true, force: true })
  }

  return {
    ports,
    time,
    log,
    server,
    app: server.app,
    routes,
    ca,
    directory,
    joined,
    addUser,
    addToken,
    tokenOf,
    signIn,
    addHost,
    seal,
    events,
    close,
  }
}

function caOf(certificates: Certificates | null): Fixture['ca'] {
  return certificates?.caPem ? { pem: certificates.caPem, fingerprint: certificates.caFingerprint ?? '' } : null
}

/** Headers of an API token or host key. */
export function bearer(secret: string): Record<string, string> {
  return { authorization: `Bearer ${secret}` }
}
