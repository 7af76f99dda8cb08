import { afterEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { announceKey, revokeHostKeys } from '../../src/record/host-keys.ts'
import { credentialHash, newCredential } from '../../src/serve/access/credential.ts'
import { nameFrom } from '../../src/serve/agent-enrol.ts'
import { route } from '../../src/serve/route.ts'
import { bearer, fixture } from './access-fixture.ts'
import type { Fixture } from './access-fixture.ts'

let made: Fixture | undefined
afterEach(async () => {
  await made?.close()
  made = undefined
})

const hostRoutes = [
  route({
    method: 'GET',
    path: '/agent/whoami',
    summary: 'test',
    tag: 'test',
    access: 'host',
    response: z.strictObject({ id: z.string() }),
    handler: async ({ principal }) => ({ id: principal.id }),
  }),
  route({
    method: 'GET',
    path: '/agent/hosts/:hostId',
    summary: 'test',
    tag: 'test',
    access: 'host',
    params: z.strictObject({ hostId: z.string() }),
    response: 'empty',
    handler: async () => undefined,
  }),
]

async function open(): Promise<Fixture> {
  made = await fixture({ routes: hostRoutes, names: ['localhost'] })
  return made
}

interface Line {
  readonly id: string
  readonly token: string
  readonly command: string
  readonly expiresAt: number
  readonly caFingerprint: string
}

async function line(at: Fixture, body: object = {}): Promise<Line> {
  const admin = await at.tokenOf('admin')
  const answer = await at.app.inject({ method: 'POST', url: '/api/v1/enrolments', headers: bearer(admin), payload: body })
  expect(answer.statusCode).toBe(201)
  return answer.json<Line>()
}

async function enrol(at: Fixture, token: string, more: { readonly key?: string; readonly hostname?: string; readonly from?: string } = {}) {
  const keyHash = credentialHash(at.ports, more.key ?? newCredential(at.ports, 'key'))
  const payload = { token, protocol: 1, hostname: more.hostname ?? 'Mini-1.office.example', keyHash, os: 'macos', arch: 'arm64' }
  return at.app.inject({ method: 'POST', url: '/api/v1/agent/enrol', remoteAddress: more.from ?? '10.0.0.5', payload })
}

async function whoami(at: Fixture, key: string): Promise<number> {
  return (await at.app.inject({ url: '/api/v1/agent/whoami', headers: bearer(key) })).statusCode
}

describe('an enrolment', () => {
  it('is one line with the token outside of every argument list', async () => {
    const at = await open()
    const made = await line(at)
    expect(made.command).toBe(
      `CIDERY_ENROL_TOKEN=${made.token} npx cidery agent run --url https://ci.example:7411 --ca-sha256 ${String(at.ca?.fingerprint)}`,
    )
    const words = made.command.split(' ')
    expect(words.slice(words.indexOf('npx')).join(' ')).not.toContain(made.token)
    expect(made.expiresAt).toBe(at.time.clock.now() + 900_000)
  })

  it('makes a host with a key of its own, of which only the hash is kept [003-27]', async () => {
    const at = await open()
    const key = newCredential(at.ports, 'key')
    const { token } = await line(at, { pool: 'default', labels: { site: 'berlin' } })
    const answer = await enrol(at, token, { key })
    expect(answer.statusCode).toBe(200)
    expect(answer.json()).toMatchObject({ name: 'mini-1', pool: 'default', hostId: expect.stringMatching(/^host_/) })
    expect(at.joined).toEqual([answer.json<{ hostId: string }>().hostId])
    const rows = await at.ports.store.read(async (db) => ({
      hosts: await db.selectFrom('hosts').selectAll().execute(),
      enrolments: await db.selectFrom('enrolments').selectAll().execute(),
    }))
    expect(rows.hosts[0]).toMatchObject({ state: 'enrolled', key_hash: credentialHash(at.ports, key) })
    expect(JSON.parse(rows.hosts[0]?.doc ?? '')).toMatchObject({ labels: { site: 'berlin' } })
    expect(JSON.stringify(rows)).not.toContain(key)
    expect(JSON.stringify(rows)).not.toContain(token)
    expect(await whoami(at, key)).toBe(200)
  })

  it('lets its token do nothing but enrol [003-27]', async () => {
    const at = await open()
    const { token } = await line(at)
    for (const url of ['/api/v1/agent/whoami', '/api/v1/session', '/api/v1/users', '/api/v1/spec']) {
      expect((await at.app.inject({ url, headers: bearer(token) })).statusCode).toBe(401)
    }
  })

  it('works once: a replay is refused and written down [003-27]', async () => {
    const at = await open()
    const { token, id } = await line(at)
    expect((await enrol(at, token)).statusCode).toBe(200)
    const replay = await enrol(at, token, { hostname: 'thief', from: '10.6.6.6' })
    expect(replay.json()).toMatchObject({ status: 401, detail: 'the enrolment token was used already' })
    expect((await at.events()).at(-1)).toMatchObject({
      kind: 'enrolment.refused',
      result: 'refused',
      origin: '10.6.6.6',
      subject: `enrolment/${id}`,
      data: { hostname: 'thief', reason: 'the enrolment token was used already' },
    })
    expect(await at.ports.store.read((db) => db.selectFrom('hosts').select('id').execute())).toHaveLength(1)
  })

  it('makes one host of many machines that use the token at once', async () => {
    const at = await open()
    const { token } = await line(at)
    const answers = await Promise.all(Array.from({ length: 8 }, () => enrol(at, token)))
    expect(answers.filter((answer) => answer.statusCode === 200)).toHaveLength(1)
    expect(await at.ports.store.read((db) => db.selectFrom('hosts').select('id').execute())).toHaveLength(1)
  })

  it('gives an agent whose answer was lost the same answer again', async () => {
    const at = await open()
    const key = newCredential(at.ports, 'key')
    const { token } = await line(at)
    const first = await enrol(at, token, { key })
    const again = await enrol(at, token, { key })
    expect(again.json()).toEqual(first.json())
    expect(at.joined).toHaveLength(1)
  })

  it('expires', async () => {
    const at = await open()
    const { token } = await line(at, { ttlS: 60 })
    await at.time.advance(60_000)
    expect((await enrol(at, token)).json()).toMatchObject({ status: 401, detail: 'the enrolment token has expired' })
  })

  it('can be taken back until it is used', async () => {
    const at = await open()
    const admin = bearer(await at.tokenOf('admin'))
    const unused = await line(at)
    expect((await at.app.inject({ method: 'DELETE', url: `/api/v1/enrolments/${unused.id}`, headers: admin })).statusCode).toBe(204)
    expect((await enrol(at, unused.token)).statusCode).toBe(401)
    const used = await line(at)
    await enrol(at, used.token)
    expect((await at.app.inject({ method: 'DELETE', url: `/api/v1/enrolments/${used.id}`, headers: admin })).statusCode).toBe(409)
    const list = await at.app.inject({ url: '/api/v1/enrolments', headers: admin })
    expect(list.json()).toMatchObject({ items: [{ id: used.id, state: 'used' }] })
    expect(list.body).not.toContain('cidery_enr_')
  })

  it('cannot be guessed at: ten refused tries in a minute close the door for the address', async () => {
    const at = await open()
    const { token } = await line(at)
    const guess = () => enrol(at, newCredential(at.ports, 'enrolment'), { from: '10.6.6.6' })
    for (let i = 0; i < 10; i += 1) expect((await guess()).statusCode).toBe(401)
    expect((await guess()).statusCode).toBe(429)
    expect((await enrol(at, token)).statusCode).toBe(200)
  })

  it('fixes the name when it says one, else takes that of the machine, numbered when taken', async () => {
    const at = await open()
    expect((await enrol(at, (await line(at, { name: 'studio' })).token)).json()).toMatchObject({ name: 'studio' })
    expect((await enrol(at, (await line(at)).token)).json()).toMatchObject({ name: 'mini-1' })
    expect((await enrol(at, (await line(at)).token)).json()).toMatchObject({ name: 'mini-1-2' })
    const taken = await line(at, { name: 'studio' })
    expect((await enrol(at, taken.token)).statusCode).toBe(409)
    await at.ports.store.write((tx) =>
      tx.updateTable('hosts').set({ state: 'retired', key_hash: null }).where('name', '=', 'studio').execute(),
    )
    expect((await enrol(at, taken.token)).json()).toMatchObject({ name: 'studio' })
  })

  it('names a pool that exists', async () => {
    const at = await open()
    const answer = await at.app.inject({
      method: 'POST',
      url: '/api/v1/enrolments',
      headers: bearer(await at.tokenOf('admin')),
      payload: { pool: 'defalt' },
    })
    expect(answer.json()).toMatchObject({ status: 400, detail: expect.stringContaining('did you mean "default"') })
  })

  it('refuses an agent whose protocol this controller does not speak', async () => {
    const at = await open()
    const { token } = await line(at)
    const payload = { token, protocol: 99, hostname: 'x', keyHash: 'a'.repeat(64), os: 'linux', arch: 'x64' }
    expect((await at.app.inject({ method: 'POST', url: '/api/v1/agent/enrol', payload })).statusCode).toBe(426)
  })

  it.each([
    ['Mini-1.office.example', 'mini-1'],
    ['Bjørns MacBook Pro', 'bj-rns-macbook-pro'],
    ['---', 'host'],
    ['x'.repeat(200), 'x'.repeat(60)],
    ['', 'host'],
  ])('makes a name of the machine name %j', (hostname, name) => {
    expect(nameFrom(hostname)).toBe(name)
  })
})

describe('a host key', () => {
  it('opens the agent’s doors of its own host and no others [003-27]', async () => {
    const at = await open()
    const [one, other] = [await at.addHost('one'), await at.addHost('other')]
    const status = async (key: string, url: string) => (await at.app.inject({ url: `/api/v1${url}`, headers: bearer(key) })).statusCode
    expect(await status(one.key, `/agent/hosts/${one.id}`)).toBe(204)
    expect(await status(one.key, `/agent/hosts/${other.id}`)).toBe(403)
    for (const url of ['/users', '/session', '/spec', '/events', '/tokens', '/enrolments'])
      expect([url, await status(one.key, url)]).toEqual([url, 403])
    expect(await status(await at.tokenOf('admin'), '/agent/whoami')).toBe(403)
  })

  it('is rotated without a moment in which none works: both until the next is first used, then only the next [003-27]', async () => {
    const at = await open()
    const { id, key } = await at.addHost('one')
    const next = newCredential(at.ports, 'key')
    await at.ports.store.write((tx) => announceKey(tx, id, credentialHash(at.ports, next)))
    expect(await whoami(at, key)).toBe(200)
    expect(await whoami(at, next)).toBe(200)
    expect(await whoami(at, key)).toBe(401)
    expect(await whoami(at, next)).toBe(200)
    expect((await at.events()).filter((event) => event.kind === 'host.keyRotated')).toMatchObject([
      { actor: 'host:one', subject: 'host/one' },
    ])
  })

  it('may be announced again, also after it was used, when the answer was lost', async () => {
    const at = await open()
    const { id, key } = await at.addHost('one')
    const [next, later] = [newCredential(at.ports, 'key'), newCredential(at.ports, 'key')]
    const announce = (secret: string) => at.ports.store.write((tx) => announceKey(tx, id, credentialHash(at.ports, secret)))
    await announce(next)
    await announce(next)
    expect(await whoami(at, next)).toBe(200)
    await announce(next)
    expect([await whoami(at, next), await whoami(at, key)]).toEqual([200, 401])
    await announce(later)
    expect([await whoami(at, later), await whoami(at, next)]).toEqual([200, 401])
  })

  it('of another host cannot be announced', async () => {
    const at = await open()
    const [one, other] = [await at.addHost('one'), await at.addHost('other')]
    await expect(at.ports.store.write((tx) => announceKey(tx, one.id, credentialHash(at.ports, other.key)))).rejects.toMatchObject({
      code: 'CONFLICT',
    })
  })

  it('is refused from the moment it is revoked, and that of a retired host too [003-27]', async () => {
    const at = await open()
    const [one, other] = [await at.addHost('one'), await at.addHost('other')]
    await at.ports.store.write((tx) => revokeHostKeys(tx, one.id))
    expect(await whoami(at, one.key)).toBe(401)
    await at.ports.store.write((tx) => tx.updateTable('hosts').set({ state: 'retired' }).where('id', '=', other.id).execute())
    expect(await whoami(at, other.key)).toBe(401)
  })
})
