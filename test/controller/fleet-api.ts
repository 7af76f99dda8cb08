import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { InjectOptions } from 'fastify'
import { createSystemRandom } from '../../src/drivers/randoms/system-random.ts'
import { createDigests } from '../../src/drivers/secrets/digests.ts'
import { createPasswordHasher } from '../../src/drivers/secrets/password-hasher.ts'
import { createSecretBox } from '../../src/drivers/secrets/secret-box.ts'
import { scopesOfRole, type Role } from '../../src/model/identity.ts'
import { insertUser } from '../../src/record/people.ts'
import { insertToken } from '../../src/record/tokens.ts'
import { credentialHash, newCredential } from '../../src/serve/access/credential.ts'
import { agentRoutes } from '../../src/serve/agent.ts'
import { artifactRoutes } from '../../src/serve/artifacts.ts'
import { buildRoutes } from '../../src/serve/builds.ts'
import { explainRoutes } from '../../src/serve/explain.ts'
import { hostRoutes } from '../../src/serve/hosts.ts'
import { imageRoutes } from '../../src/serve/images.ts'
import { jobRoutes } from '../../src/serve/jobs.ts'
import { logRoutes } from '../../src/serve/logs.ts'
import { operationRoutes } from '../../src/serve/operations.ts'
import { poolRoutes } from '../../src/serve/pools.ts'
import { queueRoutes } from '../../src/serve/queues.ts'
import { sandboxRoutes } from '../../src/serve/sandboxes.ts'
import type { ServePorts } from '../../src/serve/serve-ports.ts'
import { createServer, type Server } from '../../src/serve/server.ts'
import { streamRoutes, streamSockets } from '../../src/serve/streams.ts'
import { uploadRoutes } from '../../src/serve/uploads.ts'
import { startFleet, type Fleet, type FleetOptions } from '../doubles/controller-fleet.ts'

/** The JSON of an answer, as a test reads it: fields that every view has by name, the rest as it comes. */
export interface Body {
  readonly id: string
  readonly state: string
  readonly code: string
  readonly detail: string
  readonly generation: number
  readonly details: Record<string, unknown>
  readonly items: readonly Body[]
  readonly waiting: readonly { readonly code: string; readonly message: string; readonly cure: string }[]
  readonly [field: string]: unknown
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: Body
  readonly text: string
  readonly raw: Buffer
}

export interface CallOptions {
  readonly body?: unknown
  readonly bytes?: Uint8Array
  readonly headers?: Readonly<Record<string, string>>
  /** A token; default: the admin's. */
  readonly as?: string
}

/** A fleet in virtual time behind the real HTTP side. */
export interface FleetApi {
  readonly fleet: Fleet
  readonly server: Server
  readonly ports: ServePorts
  readonly admin: string
  call(method: InjectOptions['method'], path: string, options?: CallOptions): Promise<Answer>
  tokenOf(role: Role, queues?: readonly string[]): Promise<string>
  /** Gives a host a key of its own. */
  keyOf(hostId: string): Promise<string>
  close(): Promise<void>
}

export async function startFleetApi(options: FleetOptions = {}): Promise<FleetApi> {
  const fleet = await startFleet(options)
  const directory = await mkdtemp(join(tmpdir(), 'cidery-fleet-api-'))
  const random = createSystemRandom()
  const { services, sync, streams } = fleet.core
  const ports: ServePorts = {
    store: fleet.store,
    clock: fleet.time.clock,
    timers: fleet.time.timers,
    random,
    log: fleet.log,
    ids: services.ids,
    digests: createDigests(),
    hasher: createPasswordHasher({ random, logCost: 10 }),
    box: createSecretBox({ keyFile: join(directory, 'secrets.key'), random }),
    append: fleet.core.append,
  }
  const server = await createServer({
    ports,
    routes: [
      ...jobRoutes(services),
      ...logRoutes(services),
      ...artifactRoutes(services),
      ...hostRoutes(services),
      ...operationRoutes(services),
      ...poolRoutes(services),
      ...queueRoutes(services),
      ...sandboxRoutes(services),
      ...streamRoutes(services, streams),
      ...imageRoutes(services),
      ...buildRoutes(services),
      ...explainRoutes(services),
      ...uploadRoutes(services, {
        path: '/uploads',
        access: 'jobs',
        tag: 'uploads',
        limit: () => services.spec().limits.uploadBytes,
        underFloor: 'refused',
      }),
      ...agentRoutes({ ...services, sync, box: ports.box }),
    ],
    sockets: streamSockets(services, streams),
    version: '0.0.0-test',
    tls: null,
    requestsPerMinute: { person: 1e6, host: 1e6, stranger: 1e6 },
  })

  let people = 0
  async function tokenOf(role: Role, queues: readonly string[] = []): Promise<string> {
    people += 1
    const at = fleet.time.clock.now()
    const user = { id: services.ids.next('usr'), name: `${role}-${people}`, role, queues, createdAt: at, disabled: false, generation: 1 }
    const secret = newCredential(ports, 'token')
    const token = {
      id: services.ids.next('tok'),
      name: 'test',
      userId: user.id,
      scopes: scopesOfRole[role],
      queues: [],
      createdAt: at,
      expiresAt: at + 1e10,
      lastUsedAt: null,
      revokedAt: null,
    }
    await fleet.store.write(async (tx) => {
      await insertUser(tx, user, 'no password')
      await insertToken(tx, token, credentialHash(ports, secret))
    })
    return secret
  }

  async function keyOf(hostId: string): Promise<string> {
    const key = newCredential(ports, 'key')
    await fleet.store.write((tx) =>
      tx
        .updateTable('hosts')
        .set({ key_hash: credentialHash(ports, key) })
        .where('id', '=', hostId)
        .execute(),
    )
    return key
  }

  const admin = await tokenOf('admin')

  return {
    fleet,
    server,
    ports,
    admin,
    tokenOf,
    keyOf,
    async call(method, path, how = {}) {
      const contentType = how.bytes === undefined ? {} : { 'content-type': 'application/octet-stream' }
      const payload = how.bytes === undefined ? how.body : Buffer.from(how.bytes)
      const answer = await server.app.inject({
        method: method ?? 'GET',
        url: `/api/v1${path}`,
        headers: { host: '127.0.0.1:80', authorization: `Bearer ${how.as ?? admin}`, ...contentType, ...how.headers },
        ...(payload === undefined ? {} : { payload: payload as Buffer }),
      })
      return { status: answer.statusCode, headers: answer.headers, text: answer.body, raw: answer.rawPayload, body: parsed(answer.body) }
    },
    async close() {
      await server.close(100)
      await fleet.stop()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

function parsed(text: string): Body {
  try {
    return JSON.parse(text) as Body
  } catch {
    // Not every answer is JSON.
    return {} as Body
  }
}
