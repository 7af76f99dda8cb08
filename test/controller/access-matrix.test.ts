import { readFile } from 'node:fs/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { roles, scopesOfRole, scopes } from '../../src/model/identity.ts'
import type { Scope } from '../../src/model/identity.ts'
import { agentRoutes } from '../../src/serve/agent.ts'
import { artifactRoutes } from '../../src/serve/artifacts.ts'
import { buildRoutes } from '../../src/serve/builds.ts'
import { controllerRoutes } from '../../src/serve/controller.ts'
import { explainRoutes } from '../../src/serve/explain.ts'
import { hostRoutes } from '../../src/serve/hosts.ts'
import { imageRoutes } from '../../src/serve/images.ts'
import { jobRoutes } from '../../src/serve/jobs.ts'
import { logRoutes } from '../../src/serve/logs.ts'
import { operationRoutes } from '../../src/serve/operations.ts'
import { poolRoutes } from '../../src/serve/pools.ts'
import { queueRoutes } from '../../src/serve/queues.ts'
import type { Route } from '../../src/serve/route.ts'
import { sandboxRoutes } from '../../src/serve/sandboxes.ts'
import { streamRoutes } from '../../src/serve/streams.ts'
import { uploadRoutes } from '../../src/serve/uploads.ts'
import { bearer, fixture } from './access-fixture.ts'
import type { Fixture } from './access-fixture.ts'

let at: Fixture
beforeEach(async () => {
  at = await fixture({ routes: others() })
})
afterEach(async () => {
  await at.close()
})

/** The routes of jobs, hosts and agents with nothing behind them: whoever gets past the door meets a fault, which is not what is asked here. */
function others(): readonly Route[] {
  const nothing = new Proxy({}, { get: () => undefined }) as never
  const uploads = uploadRoutes(nothing, { path: '/uploads', access: 'jobs', tag: 'test', limit: () => 1, underFloor: 'refused' })
  const makers = [
    jobRoutes,
    logRoutes,
    artifactRoutes,
    agentRoutes,
    hostRoutes,
    operationRoutes,
    poolRoutes,
    queueRoutes,
    sandboxRoutes,
    imageRoutes,
    buildRoutes,
    explainRoutes,
  ]
  return [...makers.flatMap((make) => make(nothing)), ...uploads, ...streamRoutes(nothing, nothing), ...controllerRoutes(nothing)]
}

function urlOf(route: Route): string {
  return `/api/v1${route.path.replaceAll(/:\w+/g, 'x').replace(/\*\w*$/, 'x')}`
}

async function statusOf(route: Route, headers: Record<string, string>): Promise<number> {
  // With a number that is none the event stream refuses at once; else it would stay open.
  return (await at.app.inject({ method: route.method, url: urlOf(route), headers: { 'last-event-id': 'x', ...headers } })).statusCode
}

/** Doors that a request got through: it was refused for what it sent, or not at all. */
const isThrough = (status: number): boolean => status !== 401 && status !== 403

describe('each route', () => {
  it('has a credential asked of whoever brings none or a bad one, unless it says that it is public', async () => {
    const unknown = { token: `cidery_tok_${'A'.repeat(43)}`, key: `cidery_key_${'A'.repeat(43)}`, nonsense: 'Basic YTpi' }
    const guarded = at.routes.filter((route) => route.access !== 'public')
    expect(guarded.length).toBeGreaterThan(60)
    for (const route of guarded) {
      const name = `${route.method} ${route.path}`
      expect([name, await statusOf(route, {})]).toEqual([name, 401])
      if (at.time.elapsed() % 3 === 0) expect([name, await statusOf(route, bearer(unknown.token))]).toEqual([name, 401])
      // Bad credentials are limited per address and minute; this test sends more than anybody may.
      await at.time.advance(3_000)
      expect([name, await statusOf(route, bearer(unknown.key))]).toEqual([name, 401])
      expect([name, await statusOf(route, { authorization: unknown.nonsense })]).toEqual([name, 401])
      expect([name, await statusOf(route, { cookie: `cidery-session=cidery_ses_${'A'.repeat(43)}` })]).toEqual([name, 401])
    }
    const open = at.routes.filter((route) => route.access === 'public').map((route) => `${route.method} ${route.path}`)
    expect(open.toSorted()).toEqual(['POST /agent/enrol', 'POST /session', 'POST /session/redeem'])
  })

  it('that changes something refuses a viewer, who is written down', async () => {
    const viewer = await at.tokenOf('viewer')
    const ownMatters = new Set(['DELETE /session', 'POST /session/password', 'POST /tokens', 'DELETE /tokens/:id'])
    const mutating = at.routes.filter(
      (route) => route.method !== 'GET' && route.access !== 'public' && !ownMatters.has(`${route.method} ${route.path}`),
    )
    expect(mutating.length).toBeGreaterThan(30)
    for (const route of mutating) {
      const name = `${route.method} ${route.path}`
      await at.time.advance(3_000)
      expect([name, await statusOf(route, bearer(viewer))]).toEqual([name, 403])
    }
    const denied = (await at.events()).filter((event) => event.kind === 'access.denied')
    expect(denied).toHaveLength(mutating.length)
    expect(new Set(denied.map((event) => `${event.actor} ${event.result} ${String(event.origin)}`))).toEqual(
      new Set(['token:viewer-1/test refused 127.0.0.1']),
    )
  })

  it('opens to a role exactly when the role has its scope', async () => {
    for (const role of roles) {
      const secret = await at.tokenOf(role)
      for (const route of at.routes) {
        if (route.access === 'public' || route.access === 'signedIn') continue
        const name = `${role} ${route.method} ${route.path}`
        await at.time.advance(3_000)
        const allowed = route.access !== 'host' && (scopesOfRole[role] as readonly Scope[]).includes(route.access)
        expect([name, isThrough(await statusOf(route, bearer(secret)))]).toEqual([name, allowed])
      }
    }
  })

  it('opens to a token with one scope only where that scope is asked', async () => {
    const admin = await at.addUser('boss', 'admin')
    for (const scope of scopes) {
      const secret = await at.addToken(admin, [scope])
      for (const route of at.routes) {
        if (route.access === 'public' || route.access === 'signedIn') continue
        const name = `${scope} ${route.method} ${route.path}`
        await at.time.advance(3_000)
        expect([name, isThrough(await statusOf(route, bearer(secret)))]).toEqual([name, route.access === scope])
      }
    }
  })

  it('of an agent opens to hosts alone, and hosts come in nowhere else', async () => {
    const { key } = await at.addHost('one')
    for (const route of at.routes) {
      if (route.access === 'public') continue
      const name = `${route.method} ${route.path}`
      await at.time.advance(3_000)
      expect([name, isThrough(await statusOf(route, bearer(key)))]).toEqual([name, route.access === 'host'])
    }
  })
})

describe('the list of routes', () => {
  it('is the one that the controller serves: no door is left out of these tests', async () => {
    const served = (await readFile(new URL('../../src/main/controller-serve.ts', import.meta.url), 'utf8')).match(/\w+Routes(?=\()/g) ?? []
    const here = await readFile(new URL(import.meta.url), 'utf8')
    const missing = new Set(
      served.filter((name) => name !== 'fleetRoutes' && name !== 'createBaseRoutes' && !here.includes(`import { ${name} }`)),
    )
    expect([...missing]).toEqual([])
  })
})

describe('the limits', () => {
  it('stop an address that tries credentials, and no other', async () => {
    const send = async (from: string) =>
      (await at.app.inject({ url: '/api/v1/session', remoteAddress: from, headers: bearer(`cidery_tok_${'A'.repeat(43)}`) })).statusCode
    for (let i = 0; i < 60; i += 1) expect(await send('10.6.6.6')).toBe(401)
    expect(await send('10.6.6.6')).toBe(429)
    expect(await send('10.0.0.1')).toBe(401)
    await at.time.advance(60_000)
    expect(await send('10.6.6.6')).toBe(401)
  })

  it('stop a token that asks without end, and let it go on later', async () => {
    await at.close()
    at = await fixture({ server: { requestsPerMinute: { person: 60, host: 60, stranger: 60 } } })
    const [one, other] = [await at.tokenOf('viewer'), await at.tokenOf('viewer')]
    const send = async (secret: string) => at.app.inject({ url: '/api/v1/session', headers: bearer(secret) })
    for (let i = 0; i < 60; i += 1) expect((await send(one)).statusCode).toBe(200)
    const refused = await send(one)
    expect([refused.statusCode, refused.headers['retry-after']]).toEqual([429, '1'])
    expect((await send(other)).statusCode).toBe(200)
    await at.time.advance(1_000)
    expect((await send(one)).statusCode).toBe(200)
  })

  it('keep a caller who hammers at closed doors from filling the journal', async () => {
    const viewer = await at.tokenOf('viewer')
    for (let i = 0; i < 100; i += 1) await at.app.inject({ url: '/api/v1/users', headers: bearer(viewer) })
    expect((await at.events()).filter((event) => event.kind === 'access.denied')).toHaveLength(30)
  })
})
