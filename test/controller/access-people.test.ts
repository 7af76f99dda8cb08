import { afterEach, describe, expect, it } from 'vitest'
import { scopesOfRole } from '../../src/model/identity.ts'
import { prepareFirstAdmin } from '../../src/serve/access/first-admin.ts'
import { bearer, fixture, password } from './access-fixture.ts'
import type { Fixture } from './access-fixture.ts'

let made: Fixture | undefined
afterEach(async () => {
  await made?.close()
  made = undefined
})

async function open(): Promise<Fixture> {
  made = await fixture()
  return made
}

function caller(at: Fixture, secret: string) {
  return async (
    method: 'GET' | 'POST' | 'PATCH' | 'DELETE' | 'PUT',
    path: string,
    more: { body?: object; headers?: Record<string, string> } = {},
  ) => {
    const options = {
      method,
      url: `/api/v1${path}`,
      headers: { ...bearer(secret), ...more.headers },
      ...(more.body === undefined ? {} : { payload: more.body }),
    }
    return at.app.inject(options)
  }
}

describe('the first admin', () => {
  function files() {
    const kept: { token: string | null; password: string } = { token: null, password: '' }
    return {
      kept,
      readToken: async () => kept.token,
      saveToken: async (token: string) => void (kept.token = token),
      savePassword: async (_user: string, word: string) => void (kept.password = word),
    }
  }

  it('is made at the first start, with a password and a token that work', async () => {
    const at = await open()
    const state = files()
    expect(await prepareFirstAdmin(at.ports, state)).toEqual({ user: 'admin', created: true })
    expect((await at.app.inject({ url: '/api/v1/users', headers: bearer(state.kept.token ?? '') })).statusCode).toBe(200)
    const login = await at.app.inject({ method: 'POST', url: '/api/v1/session', payload: { name: 'admin', password: state.kept.password } })
    expect(login.json()).toMatchObject({ user: 'admin', role: 'admin' })
  })

  it('is made once, and its token is kept until half a year before its end', async () => {
    const at = await open()
    const state = files()
    await prepareFirstAdmin(at.ports, state)
    const token = state.kept.token
    expect(await prepareFirstAdmin(at.ports, state)).toEqual({ user: 'admin', created: false })
    expect(state.kept.token).toBe(token)
    await at.time.advance(187 * 86_400_000)
    await prepareFirstAdmin(at.ports, state)
    expect(state.kept.token).not.toBe(token)
    state.kept.token = null
    await prepareFirstAdmin(at.ports, state)
    expect((await at.app.inject({ url: '/api/v1/users', headers: bearer(state.kept.token ?? '') })).statusCode).toBe(200)
  })

  it('is made by one of two controllers that start at once on one database', async () => {
    const at = await open()
    const results = await Promise.all([prepareFirstAdmin(at.ports, files()), prepareFirstAdmin(at.ports, files())])
    expect(results.map((result) => String(result.created)).toSorted()).toEqual(['false', 'true'])
  })

  it('can be made again after a death between the files and the database', async () => {
    const at = await open()
    const state = files()
    await expect(
      prepareFirstAdmin({ ...at.ports, store: { ...at.ports.store, write: async () => Promise.reject(new Error('killed')) } }, state),
    ).rejects.toThrow('killed')
    expect(await prepareFirstAdmin(at.ports, state)).toEqual({ user: 'admin', created: true })
    const login = await at.app.inject({ method: 'POST', url: '/api/v1/session', payload: { name: 'admin', password: state.kept.password } })
    expect(login.statusCode).toBe(200)
  })
})

describe('users', () => {
  it('are added, changed and removed by an admin, each change under the generation that was read', async () => {
    const at = await open()
    const call = caller(at, await at.tokenOf('admin'))
    const added = await call('POST', '/users', { body: { name: 'bob', role: 'viewer', queues: ['ci'], password } })
    expect(added.statusCode).toBe(201)
    expect(added.json()).toMatchObject({ name: 'bob', role: 'viewer', queues: ['ci'], disabled: false, generation: 1 })
    expect(added.headers.etag).toBe('"1"')
    expect(added.body).not.toContain('scrypt')
    expect((await call('PATCH', '/users/bob', { body: { role: 'operator' } })).statusCode).toBe(428)
    const changed = await call('PATCH', '/users/bob', { body: { role: 'operator' }, headers: { 'if-match': '"1"' } })
    expect(changed.json()).toMatchObject({ role: 'operator', generation: 2 })
    expect((await call('PATCH', '/users/bob', { body: { role: 'admin' }, headers: { 'if-match': '"1"' } })).statusCode).toBe(412)
    expect((await call('DELETE', '/users/bob', { headers: { 'if-match': '"1"' } })).statusCode).toBe(412)
    expect((await call('DELETE', '/users/bob', { headers: { 'if-match': '"2"' } })).statusCode).toBe(204)
    expect((await call('DELETE', '/users/bob', { headers: { 'if-match': '"2"' } })).statusCode).toBe(404)
    expect((await at.events()).map((event) => event.kind)).toEqual(['user.created', 'user.changed', 'user.removed'])
  })

  it('need a password of 12 characters, a role that exists and a name of their own', async () => {
    const at = await open()
    const call = caller(at, await at.tokenOf('admin'))
    const short = await call('POST', '/users', { body: { name: 'bob', role: 'viewer', password: 'short' } })
    expect(short.json()).toMatchObject({ code: 'INVALID_INPUT', problems: [{ path: 'password' }] })
    const role = await call('POST', '/users', { body: { name: 'bob', role: 'amdin', password } })
    expect(role.json()).toMatchObject({
      problems: [{ path: 'role', accepted: ['viewer', 'operator', 'admin'], message: expect.stringContaining('did you mean "admin"') }],
    })
    expect((await call('POST', '/users', { body: { name: 'bob', role: 'viewer', password } })).statusCode).toBe(201)
    expect((await call('POST', '/users', { body: { name: 'bob', role: 'viewer', password } })).statusCode).toBe(409)
  })

  it('always leave one admin who can sign in', async () => {
    const at = await open()
    const admin = await at.addUser('only', 'admin')
    const call = caller(at, await at.addToken(admin, scopesOfRole.admin))
    const ifMatch = { 'if-match': '"1"' }
    for (const body of [{ role: 'viewer' }, { disabled: true }])
      expect((await call('PATCH', '/users/only', { body, headers: ifMatch })).statusCode).toBe(409)
    expect((await call('DELETE', '/users/only', { headers: ifMatch })).statusCode).toBe(409)
    const second = await at.addUser('second', 'admin')
    await at.ports.store.write((tx) => tx.updateTable('users').set({ disabled: 1 }).where('id', '=', second.id).execute())
    expect((await call('DELETE', '/users/only', { headers: ifMatch })).statusCode).toBe(409)
    await at.addUser('third', 'admin')
    expect((await call('DELETE', '/users/only', { headers: ifMatch })).statusCode).toBe(204)
  })

  it('keep one admin when two admins remove each other at once', async () => {
    const at = await open()
    const [one, other] = [await at.addUser('one', 'admin'), await at.addUser('other', 'admin')]
    const [callOne, callOther] = [
      caller(at, await at.addToken(one, scopesOfRole.admin)),
      caller(at, await at.addToken(other, scopesOfRole.admin)),
    ]
    const headers = { 'if-match': '"1"' }
    const answers = await Promise.all([callOne('DELETE', '/users/other', { headers }), callOther('DELETE', '/users/one', { headers })])
    expect(answers.map((answer) => answer.statusCode).toSorted((a, b) => a - b)).toEqual([204, 409])
  })

  it('get no more than the one who manages them has', async () => {
    const at = await open()
    const admin = await at.addUser('boss', 'admin')
    const call = caller(at, await at.addToken(admin, ['people', 'read']))
    await at.addUser('victim', 'admin')
    expect((await call('POST', '/users', { body: { name: 'me', role: 'admin', password } })).statusCode).toBe(403)
    expect(
      (await call('PATCH', '/users/victim', { body: { password: 'taken over by me' }, headers: { 'if-match': '"1"' } })).statusCode,
    ).toBe(403)
    expect((await call('POST', '/users', { body: { name: 'me', role: 'viewer', password } })).statusCode).toBe(201)
  })

  it('are listed in pages by name', async () => {
    const at = await open()
    const call = caller(at, await at.tokenOf('admin'))
    for (const name of ['c', 'a', 'b', 'd']) await at.addUser(name, 'viewer')
    const names: string[] = []
    let cursor: string | null = ''
    while (cursor !== null) {
      const page: { items: { name: string }[]; nextCursor: string | null } = (
        await call('GET', `/users?limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`)
      ).json<{
        items: { name: string }[]
        nextCursor: string | null
      }>()
      names.push(...page.items.map((user) => user.name))
      cursor = page.nextCursor
    }
    expect(names).toEqual(['a', 'admin-1', 'b', 'c', 'd'])
    expect((await call('GET', '/users?cursor=nonsense')).statusCode).toBe(400)
    expect((await call('GET', '/users?limit=501')).statusCode).toBe(400)
  })
})

describe('API tokens', () => {
  it('are shown once and kept as a SHA-256 only', async () => {
    const at = await open()
    const call = caller(at, await at.tokenOf('operator'))
    const created = (await call('POST', '/tokens', { body: { name: 'ci', scopes: ['read', 'jobs'] } })).json<{
      token: string
      id: string
    }>()
    expect(created.token).toMatch(/^cidery_tok_[A-Za-z0-9_-]{43}$/)
    const rows = await at.ports.store.read((db) => db.selectFrom('tokens').selectAll().execute())
    expect(rows.map((row) => row.token_hash)).toContain(at.ports.digests.sha256(created.token))
    expect(JSON.stringify(rows)).not.toContain(created.token)
    expect((await call('GET', '/tokens')).body).not.toContain(created.token)
    expect(JSON.stringify(await at.events())).not.toContain(created.token)
    expect((await caller(at, created.token)('GET', '/session')).json()).toMatchObject({ scopes: ['read', 'jobs'], csrfToken: null })
  })

  it('have no scope and no queue that their owner has not', async () => {
    const at = await open()
    const call = caller(at, await at.tokenOf('operator', ['ci', 'web']))
    expect((await call('POST', '/tokens', { body: { name: 'x', scopes: ['secrets'] } })).statusCode).toBe(403)
    expect((await call('POST', '/tokens', { body: { name: 'x', scopes: ['jobs'], queues: ['other'] } })).statusCode).toBe(403)
    expect((await call('POST', '/tokens', { body: { name: 'x', scopes: ['jobs'], queues: ['ci'] } })).json()).toMatchObject({
      queues: ['ci'],
    })
    expect((await call('POST', '/tokens', { body: { name: 'x', scopes: ['jobs'] } })).json()).toMatchObject({ queues: ['ci', 'web'] })
  })

  it('lose what their owner loses', async () => {
    const at = await open()
    const admin = caller(at, await at.tokenOf('admin'))
    const user = await at.addUser('bob', 'admin')
    const token = caller(at, await at.addToken(user, scopesOfRole.admin, { queues: ['ci'] }))
    const scopesNow = async () => (await token('GET', '/session')).json<{ scopes: string[]; queues: string[] }>()
    expect((await scopesNow()).scopes).toEqual(scopesOfRole.admin)
    await admin('PATCH', '/users/bob', { body: { role: 'operator' }, headers: { 'if-match': '"1"' } })
    expect(await scopesNow()).toMatchObject({ scopes: ['read', 'jobs', 'hosts'], queues: ['ci'] })
    await admin('PATCH', '/users/bob', { body: { queues: ['web'] }, headers: { 'if-match': '"2"' } })
    expect((await scopesNow()).scopes).toEqual(['read', 'hosts'])
    await admin('PATCH', '/users/bob', { body: { disabled: true }, headers: { 'if-match': '"3"' } })
    expect((await token('GET', '/session')).statusCode).toBe(401)
  })

  it('end when they expire, when they are revoked and when their owner is removed', async () => {
    const at = await open()
    const admin = caller(at, await at.tokenOf('admin'))
    const user = await at.addUser('bob', 'operator')
    const short = caller(at, await at.addToken(user, ['read'], { ttlMs: 60_000 }))
    expect((await short('GET', '/session')).statusCode).toBe(200)
    await at.time.advance(60_000)
    expect((await short('GET', '/session')).json()).toMatchObject({ code: 'UNAUTHENTICATED', detail: 'the API token has expired' })
    const own = caller(at, await at.addToken(user, ['read', 'jobs']))
    const created = (await own('POST', '/tokens', { body: { name: 'x', scopes: ['read'], ttlS: 60 } })).json<{
      id: string
      token: string
    }>()
    expect((await own('DELETE', `/tokens/${created.id}`)).statusCode).toBe(204)
    expect((await caller(at, created.token)('GET', '/session')).json()).toMatchObject({ detail: 'the API token was revoked' })
    await admin('DELETE', '/users/bob', { headers: { 'if-match': '"1"' } })
    expect((await own('GET', '/session')).statusCode).toBe(401)
  })

  it('cannot make tokens that outlive them', async () => {
    const at = await open()
    const user = await at.addUser('bob', 'operator')
    const call = caller(at, await at.addToken(user, ['read'], { ttlMs: 3_600_000 }))
    expect((await call('POST', '/tokens', { body: { name: 'x', scopes: ['read'], ttlS: 3_601 } })).statusCode).toBe(403)
    expect((await call('POST', '/tokens', { body: { name: 'x', scopes: ['read'], ttlS: 3_600 } })).statusCode).toBe(201)
  })

  it('of others are seen and revoked only with the scope people', async () => {
    const at = await open()
    const [alice, bob] = [await at.addUser('alice', 'operator'), await at.addUser('bob', 'operator')]
    const [callAlice, callBob] = [caller(at, await at.addToken(alice, ['read'])), caller(at, await at.addToken(bob, ['read']))]
    const list = async (call: typeof callAlice) => (await call('GET', '/tokens')).json<{ items: { id: string; user: string }[] }>().items
    const [own] = await list(callBob)
    expect((await list(callAlice)).map((token) => token.user)).toEqual(['alice'])
    expect((await callAlice('DELETE', `/tokens/${own?.id}`)).statusCode).toBe(403)
    const admin = caller(at, await at.tokenOf('admin'))
    expect((await list(admin)).map((token) => token.user)).toEqual(['alice', 'bob', 'admin-1'])
    expect((await admin('DELETE', `/tokens/${own?.id}`)).statusCode).toBe(204)
    expect((await callBob('GET', '/session')).statusCode).toBe(401)
  })

  it('say when they were last used, written in batches', async () => {
    const at = await open()
    const call = caller(at, await at.tokenOf('viewer'))
    for (let i = 0; i < 5; i += 1) await call('GET', '/session')
    const used = at.time.clock.now()
    const read = async () =>
      (await at.ports.store.read((db) => db.selectFrom('tokens').select('last_used_at').executeTakeFirstOrThrow())).last_used_at
    expect(await read()).toBeNull()
    await at.time.advance(10_000)
    await expect.poll(read, { timeout: 5_000 }).toBe(used)
  })
})
