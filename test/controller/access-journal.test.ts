import { afterEach, describe, expect, it } from 'vitest'
import { bearer, fixture, password } from './access-fixture.ts'
import type { Fixture } from './access-fixture.ts'

let made: Fixture | undefined
afterEach(async () => {
  await made?.close()
  made = undefined
})

interface Deed {
  readonly route: string
  readonly body?: object
  readonly ifMatch?: string
  readonly kind: string
  readonly subject: string | RegExp
}

/** One good request for each route of people, access and spec that changes something, in an order in which all succeed. */
const deeds: readonly Deed[] = [
  { route: 'POST /users', body: { name: 'bob', role: 'viewer', password }, kind: 'user.created', subject: 'user/bob' },
  { route: 'PATCH /users/bob', body: { role: 'operator' }, ifMatch: '"1"', kind: 'user.changed', subject: 'user/bob' },
  { route: 'DELETE /users/bob', ifMatch: '"2"', kind: 'user.removed', subject: 'user/bob' },
  { route: 'POST /tokens', body: { name: 'ci', scopes: ['read'] }, kind: 'token.created', subject: /^token\/tok_/ },
  { route: 'DELETE /tokens/:id', kind: 'token.revoked', subject: /^token\/tok_/ },
  { route: 'POST /enrolments', body: {}, kind: 'enrolment.created', subject: /^enrolment\/enr_/ },
  { route: 'DELETE /enrolments/:id', kind: 'enrolment.removed', subject: /^enrolment\/enr_/ },
  { route: 'PUT /queues/default/secrets/A', body: { value: 'v' }, kind: 'secret.set', subject: 'secret/default/A' },
  { route: 'DELETE /queues/default/secrets/A', kind: 'secret.removed', subject: 'secret/default/A' },
  { route: 'PUT /spec', body: { source: 'version: 1\n' }, ifMatch: '"0"', kind: 'spec.applied', subject: 'spec' },
]

describe('each change', () => {
  it('is one event that says who, what, when, from where and with which result', async () => {
    made = await fixture()
    const at = made
    const token = await at.tokenOf('admin')
    let id = ''
    for (const deed of deeds) {
      const [method, path] = deed.route.split(' ') as ['POST', string]
      await at.time.advance(1_000)
      const before = (await at.events()).length
      const answer = await at.app.inject({
        method,
        url: `/api/v1${path.replace(':id', id)}`,
        remoteAddress: '10.1.2.3',
        headers: { ...bearer(token), ...(deed.ifMatch === undefined ? {} : { 'if-match': deed.ifMatch }) },
        ...(deed.body === undefined ? {} : { payload: deed.body }),
      })
      expect([deed.route, answer.statusCode < 300]).toEqual([deed.route, true])
      if (method === 'POST') id = answer.json<{ id: string }>().id
      const events = (await at.events()).slice(before)
      expect(events).toMatchObject([
        {
          kind: deed.kind,
          subject: expect.stringMatching(deed.subject),
          at: at.time.clock.now(),
          actor: 'token:admin-1/test',
          origin: '10.1.2.3',
          result: 'ok',
        },
      ])
    }
  })

  it('is in the list above: no route that changes something was forgotten', async () => {
    made = await fixture()
    const elsewhere = ['POST /session', 'DELETE /session', 'POST /session/redeem', 'POST /session/password', 'POST /agent/enrol']
    const known = new Set([
      ...deeds.map((deed) => deed.route.replace('/bob', '/:name').replace('default/secrets/A', ':queue/secrets/:name')),
      ...elsewhere,
    ])
    expect(
      made.routes
        .filter((route) => route.method !== 'GET')
        .map((route) => `${route.method} ${route.path}`)
        .filter((route) => !known.has(route)),
    ).toEqual([])
  })

  it('and its event are made together or not at all', async () => {
    made = await fixture()
    const at = made
    const token = await at.tokenOf('admin')
    Object.assign(at.ports, { append: async () => Promise.reject(new Error('the journal is full')) })
    expect(
      (
        await at.app.inject({
          method: 'POST',
          url: '/api/v1/users',
          headers: bearer(token),
          payload: { name: 'bob', role: 'viewer', password },
        })
      ).statusCode,
    ).toBe(500)
    expect(await at.ports.store.read((db) => db.selectFrom('users').select('name').where('name', '=', 'bob').execute())).toEqual([])
  })
})
