import { afterEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { CideryError } from '../../src/model/errors.ts'
import { route } from '../../src/serve/route.ts'
import { bearer, fixture, password } from './access-fixture.ts'
import type { Fixture } from './access-fixture.ts'

let made: Fixture | undefined
afterEach(async () => {
  await made?.close()
  made = undefined
})

const flaky = { failures: 0 }
const create = route({
  method: 'POST',
  path: '/flaky',
  summary: 'test',
  tag: 'test',
  access: 'jobs',
  body: z.strictObject({ n: z.int() }),
  response: z.strictObject({ n: z.int() }),
  status: 201,
  idempotent: true,
  handler: async (context, { body }) =>
    context.write(async (tx) => {
      await tx
        .insertInto('meta')
        .values({ key: `made-${body.n}-${Math.random()}`, value: 'x' })
        .execute()
      if (flaky.failures > 0) {
        flaky.failures -= 1
        throw new CideryError('UNAVAILABLE', 'not now')
      }
      return { n: body.n }
    }),
})

async function open() {
  made = await fixture({ routes: [create] })
  const at = made
  const send = async (as: string, key: string | null, body: object) =>
    at.app.inject({
      method: 'POST',
      url: `/api/v1${'scopes' in body ? '/tokens' : 'password' in body ? '/users' : '/flaky'}`,
      headers: { ...bearer(as), ...(key === null ? {} : { 'idempotency-key': key }) },
      payload: body,
    })
  const count = async () =>
    (await at.ports.store.read((db) => db.selectFrom('meta').select('key').where('key', 'like', 'made-%').execute())).length
  return { at, send, count, as: await at.tokenOf('operator') }
}

describe('a create with an Idempotency-Key', () => {
  it('is made once, and its answer is repeated word by word', async () => {
    const { send, count, as } = await open()
    const first = await send(as, 'k1', { n: 1 })
    const again = await send(as, 'k1', { n: 1 })
    expect([first.statusCode, again.statusCode]).toEqual([201, 201])
    expect(again.body).toBe(first.body)
    expect([first.headers['idempotency-replayed'], again.headers['idempotency-replayed']]).toEqual([undefined, 'true'])
    expect(await count()).toBe(1)
  })

  it('is made once when it is sent many times at once', async () => {
    const { send, count, as } = await open()
    const answers = await Promise.all(Array.from({ length: 20 }, () => send(as, 'k1', { n: 1 })))
    expect(new Set(answers.map((answer) => `${answer.statusCode} ${answer.body}`))).toEqual(new Set(['201 {"n":1}']))
    expect(await count()).toBe(1)
  })

  it('is another one without a key, with another key, or of another caller', async () => {
    const { at, send, count, as } = await open()
    for (const key of [null, null, 'k1', 'k2']) await send(as, key, { n: 1 })
    await send(await at.tokenOf('operator'), 'k1', { n: 1 })
    expect(await count()).toBe(5)
  })

  it('is refused when the key came with another request before', async () => {
    const { send, count, as } = await open()
    await send(as, 'k1', { n: 1 })
    expect((await send(as, 'k1', { n: 2 })).json()).toMatchObject({ status: 409, code: 'IDEMPOTENCY_MISMATCH' })
    expect((await send(as, 'k1', { name: 'x', scopes: ['read'] })).json()).toMatchObject({ code: 'IDEMPOTENCY_MISMATCH' })
    expect(await count()).toBe(1)
  })

  it('is tried again after a failure, of which nothing is left', async () => {
    const { send, count, as } = await open()
    flaky.failures = 1
    expect((await send(as, 'k1', { n: 1 })).statusCode).toBe(503)
    expect(await count()).toBe(0)
    expect((await send(as, 'k1', { n: 1 })).statusCode).toBe(201)
    expect(await count()).toBe(1)
  })

  it('needs a key that can be one', async () => {
    const { send, as } = await open()
    for (const key of ['', ' ', 'x'.repeat(256), 'ü']) expect((await send(as, key, { n: 1 })).statusCode).toBe(400)
  })

  it('is forgotten after a day', async () => {
    const { at, send, count, as } = await open()
    await at.server.listen({ host: '127.0.0.1', port: 0 })
    await send(as, 'k1', { n: 1 })
    await at.time.advance(86_400_000 + 1_200_000)
    await expect
      .poll(async () => at.ports.store.read((db) => db.selectFrom('idempotency').selectAll().execute()), { timeout: 5_000 })
      .toEqual([])
    await send(as, 'k1', { n: 1 })
    expect(await count()).toBe(2)
  })

  it('leaves nothing readable behind: neither the token it answered nor a hash that a password could be guessed by', async () => {
    const { at, send } = await open()
    const admin = await at.tokenOf('admin')
    const token = (await send(admin, 'k1', { name: 'x', scopes: ['read'] })).json<{ token: string }>()
    const again = (await send(admin, 'k1', { name: 'x', scopes: ['read'] })).json<{ token: string }>()
    expect(again).toEqual(token)
    const user = { name: 'bob', role: 'viewer', password }
    await send(admin, 'k2', user)
    const rows = JSON.stringify(await at.ports.store.read((db) => db.selectFrom('idempotency').selectAll().execute()))
    expect(rows).not.toContain(token.token)
    expect(rows).not.toContain(at.ports.digests.sha256(`POST /api/v1/users\n${JSON.stringify(user)}`))
  })
})
