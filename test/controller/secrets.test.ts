import { afterEach, describe, expect, it } from 'vitest'
import { openSecrets } from '../../src/record/secrets.ts'
import { bearer, fixture } from './access-fixture.ts'
import type { Fixture } from './access-fixture.ts'

let made: Fixture | undefined
afterEach(async () => {
  await made?.close()
  made = undefined
})

const source = 'version: 1\nqueues:\n  default: {}\n  ci: {}\n  web: {}\n'

async function open() {
  made = await fixture()
  const at = made
  await at.ports.store.write((tx) => tx.insertInto('specs').values({ generation: 1, source, applied_at: 0, applied_by: 'test' }).execute())
  const admin = await at.tokenOf('admin')
  const call = async (method: 'GET' | 'PUT' | 'DELETE', path: string, more: { value?: string; as?: string } = {}) =>
    at.app.inject({
      method,
      url: `/api/v1/queues/${path}`,
      headers: bearer(more.as ?? admin),
      ...(more.value === undefined ? {} : { payload: { value: more.value } }),
    })
  return { at, call }
}

describe('a secret', () => {
  it('is set, listed and removed, and its value never comes back', async () => {
    const { at, call } = await open()
    const set = await call('PUT', 'ci/secrets/NPM_TOKEN', { value: 'hunter2-and-more' })
    expect(set.json()).toEqual({
      queue: 'ci',
      name: 'NPM_TOKEN',
      setBy: expect.stringContaining('token:admin-1/'),
      setAt: at.time.clock.now(),
    })
    const list = await call('GET', 'ci/secrets')
    expect(list.json()).toMatchObject({ items: [{ name: 'NPM_TOKEN' }], nextCursor: null })
    const dump = JSON.stringify([
      set.body,
      list.body,
      await at.events(),
      at.log.lines,
      await at.ports.store.read((db) => db.selectFrom('secrets').selectAll().execute()),
    ])
    expect(dump).not.toContain('hunter2')
    expect((await call('DELETE', 'ci/secrets/NPM_TOKEN')).statusCode).toBe(204)
    expect((await call('DELETE', 'ci/secrets/NPM_TOKEN')).statusCode).toBe(404)
    expect((await at.events()).map((event) => `${event.kind} ${event.subject}`)).toEqual([
      'secret.set secret/ci/NPM_TOKEN',
      'secret.removed secret/ci/NPM_TOKEN',
    ])
  })

  it('opens for its queue with every byte it was set with', async () => {
    const { at, call } = await open()
    const value = 'line one\nline "two"\t\\ \u0000 ü 🍏\r\n'
    expect((await call('PUT', 'ci/secrets/KEY', { value })).statusCode).toBe(200)
    expect((await call('PUT', 'ci/secrets/BIG', { value: '\u0001'.repeat(1_048_576) })).statusCode).toBe(200)
    const opened = await at.ports.store.read((db) => openSecrets(db, at.ports.box, { queue: 'ci', names: ['KEY'] }))
    expect(opened).toEqual({ KEY: value })
    await expect(at.ports.store.read((db) => openSecrets(db, at.ports.box, { queue: 'ci', names: ['KEY', 'GONE'] }))).rejects.toMatchObject(
      { code: 'NOT_FOUND', message: 'the queue ci has no secret GONE' },
    )
    await expect(at.ports.store.read((db) => openSecrets(db, at.ports.box, { queue: 'web', names: ['KEY'] }))).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
  })

  it('does not open when its row was moved to another queue or name', async () => {
    const { at, call } = await open()
    await call('PUT', 'ci/secrets/KEY', { value: 'v' })
    await at.ports.store.write((tx) => tx.updateTable('secrets').set({ queue: 'web' }).execute())
    await expect(at.ports.store.read((db) => openSecrets(db, at.ports.box, { queue: 'web', names: ['KEY'] }))).rejects.toMatchObject({
      code: 'INTERNAL',
    })
  })

  it('belongs to a queue that exists, and says which one was meant', async () => {
    const { call } = await open()
    expect((await call('PUT', 'wep/secrets/KEY', { value: 'v' })).json()).toMatchObject({
      status: 404,
      detail: 'there is no queue wep; did you mean "web"?',
    })
    expect((await call('PUT', 'web/secrets/1KEY', { value: 'v' })).statusCode).toBe(400)
    expect((await call('PUT', 'web/secrets/..%2Fx', { value: 'v' })).statusCode).toBe(400)
  })

  it('of a queue is closed to whoever is bound to other queues, and to roles without the scope', async () => {
    const { at, call } = await open()
    const bound = await at.tokenOf('admin', ['web'])
    for (const method of ['GET', 'PUT', 'DELETE'] as const) {
      const path = method === 'GET' ? 'ci/secrets' : 'ci/secrets/KEY'
      expect((await call(method, path, { as: bound, ...(method === 'PUT' ? { value: 'v' } : {}) })).statusCode).toBe(403)
      for (const role of ['viewer', 'operator'] as const)
        expect((await call(method, path, { as: await at.tokenOf(role), ...(method === 'PUT' ? { value: 'v' } : {}) })).statusCode).toBe(403)
    }
    expect((await call('PUT', 'web/secrets/KEY', { as: bound, value: 'v' })).statusCode).toBe(200)
    expect((await at.events()).filter((event) => event.kind === 'access.denied')).toHaveLength(9)
  })
})
