import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { system } from '../../src/record/commit.ts'
import { createSandbox, wantStream } from '../../src/record/sandboxes.ts'
import { plainSync } from '../doubles/plain-sync.ts'
import { the } from '../doubles/the.ts'
import { startFleetApi, type Answer, type FleetApi } from './fleet-api.ts'

let api: FleetApi

beforeEach(async () => {
  api = await startFleetApi({
    spec: {
      pools: {
        default: {},
        minis: { hosts: ['mini-*'], labels: { room: 'b' } },
        brief: { hosts: ['brief-*'], readiness: { checkMaxAge: '10s' } },
      },
    },
  })
})

afterEach(async () => {
  expect(api.fleet.faults).toEqual([])
  await api.close()
})

async function generationOf(host: string): Promise<string> {
  return `"${(await api.call('GET', `/hosts/${host}`)).body.generation}"`
}

async function write(host: string, verb: string, body?: unknown): Promise<Answer> {
  const headers = { 'if-match': await generationOf(host) }
  return api.call('POST', `/hosts/${host}/${verb}`, body === undefined ? { headers } : { headers, body })
}

async function up(name: string): ReturnType<FleetApi['fleet']['agent']> {
  const agent = await api.fleet.agent(name, {
    script: async ({ reach, cancelled }) => {
      reach('running')
      return { kind: 'cancelled', by: await cancelled }
    },
  })
  await api.fleet.until(async () => (await api.fleet.host(name)).state === 'up')
  return agent
}

describe('a host', () => {
  it('is shown with its pool, labels, room, slots and what runs there', async () => {
    await up('mini-1')
    const job = await api.fleet.submit({ shape: { cpu: 2, memoryMiB: 2048 } })
    await api.fleet.until(async () => (await api.fleet.job(job.id)).state === 'running')
    const { body, headers } = await api.call('GET', '/hosts/mini-1')
    expect(headers['etag']).toBe(`"${body.generation}"`)
    expect(body).toMatchObject({
      name: 'mini-1',
      pool: 'minis',
      state: 'up',
      labels: { room: 'b', pool: 'minis', os: 'linux' },
      schedulable: { kind: 'open' },
      used: { cpu: 2, memoryMiB: 2048 },
      slots: { user: { used: 1, total: 4 } },
      runningJobs: [{ jobId: job.id, queue: 'default' }],
      silentMs: expect.any(Number),
    })
    expect(body['readiness']).toEqual([{ engine: 'user', image: null, state: 'ready', reason: '' }])
    expect((await api.call('GET', '/jobs?host=mini-1')).body.items).toMatchObject([{ id: job.id }])
    expect((await api.call('GET', '/jobs?host=nobody')).status).toBe(404)
    expect((await api.call('GET', '/pools')).body.items).toMatchObject([
      { name: 'brief', hosts: [] },
      { name: 'default', hosts: [] },
      { name: 'minis', hosts: ['mini-1'], up: 1, open: 1, running: 1, engines: ['user'] },
    ])
    expect((await api.call('GET', '/pools/none')).status).toBe(404)
    expect((await api.call('GET', '/hosts/none')).status).toBe(404)
    expect((await api.call('GET', '/hosts?pool=default&state=up&limit=1')).body.items).toHaveLength(1)
  })

  it('is on the map of the fleet in a few words, in order of names, a page at a time or by name', async () => {
    for (const name of ['mini-2', 'linux-1', 'mini-1']) await up(name)
    const job = await api.fleet.submit({})
    await api.fleet.until(async () => (await api.fleet.job(job.id)).state === 'running')
    await write('mini-2', 'cordon', {})
    const cell = { pool: 'minis', state: 'up', schedulable: 'open', readiness: 'ready', used: 0, total: 4, operation: null }
    const [attempt] = await api.fleet.attempts(job.id)
    const busy = (id: string) => (id === attempt?.hostId ? { used: 1 } : {})
    const { items } = (await api.call('GET', '/fleet')).body
    expect(items).toEqual([
      { id: expect.any(String), name: 'linux-1', ...cell, pool: 'default', ...busy(items[0]?.id ?? '') },
      { id: expect.any(String), name: 'mini-1', ...cell, ...busy(items[1]?.id ?? '') },
      { id: expect.any(String), name: 'mini-2', ...cell, schedulable: 'cordoned', ...busy(items[2]?.id ?? '') },
    ])
    const first = (await api.call('GET', '/fleet?limit=2')).body
    expect(first.items).toEqual(items.slice(0, 2))
    expect((await api.call('GET', `/fleet?limit=2&cursor=${String(first['nextCursor'])}`)).body.items).toEqual(items.slice(2))
    expect((await api.call('GET', `/fleet?names=mini-2,${items[0]?.id ?? ''}`)).body.items).toEqual([items[0], items[2]])
    await write('linux-1', 'drain', {})
    await api.fleet.cancel(job.id)
    await api.fleet.ended(job.id)
    await write('linux-1', 'retire')
    expect((await api.call('GET', '/fleet')).body.items).toHaveLength(2)
  })

  it('is ready by proofs that are not too old, and says what is wrong with the others', async () => {
    await up('brief-1')
    await api.fleet.time.advance(11_000)
    expect((await api.call('GET', '/hosts/brief-1')).body['readiness']).toEqual([
      { engine: 'user', image: null, state: 'unknown', reason: 'the check is too old' },
    ])
    expect((await api.call('GET', '/fleet')).body.items).toMatchObject([{ name: 'brief-1', readiness: 'unknown' }])
  })

  it('is written only with the generation that was read', async () => {
    await up('mini-1')
    expect((await api.call('POST', '/hosts/mini-1/cordon', { body: {} })).status).toBe(428)
    const stale = await generationOf('mini-1')
    expect((await write('mini-1', 'cordon', { reason: 'disk' })).body['schedulable']).toMatchObject({
      kind: 'cordoned',
      reason: 'disk',
      by: expect.stringContaining('token:admin'),
    })
    const late = await api.call('POST', '/hosts/mini-1/uncordon', { headers: { 'if-match': stale } })
    expect(late).toMatchObject({ status: 412, body: { code: 'STALE_GENERATION' } })
    expect((await write('mini-1', 'uncordon')).body['schedulable']).toEqual({ kind: 'open' })
  })

  it('keeps its generation while it only reports, so that people can write', async () => {
    await up('mini-1')
    const before = await generationOf('mini-1')
    await api.fleet.time.advance(120_000)
    expect(await generationOf('mini-1')).toBe(before)
  })

  it('gets no new job while it is cordoned, and the waiting one says so', async () => {
    await up('mini-1')
    await write('mini-1', 'cordon', {})
    const job = await api.fleet.submit()
    await api.fleet.time.advance(2000)
    const view = (await api.call('GET', `/jobs/${job.id}`)).body
    expect(view.waiting[0]).toMatchObject({ code: 'hostCordoned', cure: expect.stringContaining('uncordon') })
    await write('mini-1', 'uncordon')
    await api.fleet.until(async () => (await api.fleet.job(job.id)).state === 'running')
  })

  it('is drained: running jobs go on until the deadline and are cancelled then', async () => {
    await up('mini-1')
    const job = await api.fleet.submit()
    await api.fleet.until(async () => (await api.fleet.job(job.id)).state === 'running')
    await write('mini-1', 'drain', { reason: 'new disk', deadlineMs: 60_000 })
    await api.fleet.time.advance(59_000)
    expect((await api.fleet.job(job.id)).state).toBe('running')
    const done = await api.fleet.ended(job.id, 5000)
    expect(done.outcome).toMatchObject({ kind: 'cancelled', by: expect.stringContaining('drain') })
  })

  it('is not retired while it reports and runs jobs; afterwards its key is worth nothing', async () => {
    await up('mini-1')
    const host = await api.fleet.host('mini-1')
    const key = await api.keyOf(host.id)
    const job = await api.fleet.submit()
    await api.fleet.until(async () => (await api.fleet.job(job.id)).state === 'running')
    expect(await write('mini-1', 'retire')).toMatchObject({ status: 409, body: { code: 'CONFLICT' } })
    await api.fleet.cancel(job.id)
    await api.fleet.ended(job.id)
    expect((await write('mini-1', 'retire')).body.state).toBe('retired')
    expect(await write('mini-1', 'cordon', {})).toMatchObject({ status: 409, body: { details: { state: 'retired' } } })
    const refused = await api.call('POST', '/agent/key', { as: key, body: { keyHash: 'a'.repeat(64) } })
    expect(refused.status).toBe(401)
  })

  it('that is gone for good gives its jobs back as soon as it is retired', async () => {
    const agent = await up('mini-1')
    const job = await api.fleet.submit()
    await api.fleet.until(async () => (await api.fleet.job(job.id)).state === 'running')
    agent.kill()
    await api.fleet.until(async () => (await api.fleet.host('mini-1')).state === 'lost', 200_000)
    expect((await api.call('GET', `/jobs/${job.id}`)).body.waiting[0]).toMatchObject({ code: 'leaseRunning' })
    await write('mini-1', 'retire')
    await api.fleet.until(async () => (await api.fleet.job(job.id)).state === 'queued')
    expect((await api.fleet.attempts(job.id))[0]?.outcome).toMatchObject({ kind: 'infrastructure', code: 'HOST_RETIRED' })
  })

  it('is changed by operators, looked at by viewers', async () => {
    await up('mini-1')
    const viewer = await api.tokenOf('viewer')
    const headers = { 'if-match': await generationOf('mini-1') }
    expect((await api.call('POST', '/hosts/mini-1/cordon', { as: viewer, headers, body: {} })).status).toBe(403)
    expect((await api.call('GET', '/hosts/mini-1', { as: viewer })).status).toBe(200)
    expect((await api.call('POST', '/hosts/mini-1/cordon', { as: await api.tokenOf('operator'), headers, body: {} })).status).toBe(200)
  })
})

describe('a sandbox that a person makes', () => {
  async function made(body: Record<string, unknown> = {}): Promise<Answer> {
    await up('mini-1')
    return api.call('POST', '/sandboxes', { body: { name: 'mine', ttlS: 600, ...body } })
  }

  it('has leases that are shown, that warn before they bite, and of which the hard one stands [W-17]', async () => {
    const { status, body } = await made({ idleS: 300 })
    expect(status).toBe(201)
    const createdAt = Number(body['createdAt'])
    expect(body).toMatchObject({
      name: 'mine',
      state: 'requested',
      hostName: 'mini-1',
      timeLeftMs: 300_000,
      expiresAt: createdAt + 600_000,
    })
    expect(Number(body['hardExpiresAt'])).toBe(createdAt + 7 * 86_400_000)
    await api.fleet.time.advance(100_000)
    expect((await api.call('GET', '/sandboxes')).body.items[0]).toMatchObject({ timeLeftMs: 200_000 })
    const kinds = async (): Promise<readonly string[]> =>
      (await api.fleet.events()).filter(({ subject }) => subject === `sandbox/${body.id}`).map(({ kind }) => kind)
    expect(await kinds()).toEqual(['sandbox.created'])
    // A fifth of the idle tier, before its end.
    await api.fleet.time.advance(139_000)
    expect(await kinds()).not.toContain('sandbox.expiring')
    await api.fleet.time.advance(1500)
    expect(await kinds()).toContain('sandbox.expiring')
    expect((await api.call('GET', '/sandboxes/mine')).body.state).not.toBe('removing')
    await api.fleet.time.advance(59_000)
    expect((await api.call('GET', '/sandboxes/mine')).body.state).not.toBe('removing')
    await api.fleet.time.advance(1000)
    expect((await api.call('GET', '/sandboxes/mine')).body).toMatchObject({
      state: 'removing',
      reason: expect.stringContaining('not used'),
    })
  })

  it.each([
    ['ttl', { ttlMs: 300_000, hardMs: 900_000, idleMs: null }],
    ['idle', { ttlMs: 600_000, hardMs: 900_000, idleMs: 300_000 }],
    ['hard', { ttlMs: 600_000, hardMs: 300_000, idleMs: 250_000 }],
  ] as const)(
    'ends at the moment of its %s limit and not before, warned of; being used never moves the hard one [W-17]',
    async (tier, lease) => {
      await up('mini-1')
      const { fleet } = api
      const { recorder, services } = fleet.core
      const id = services.ids.next('sbx')
      const host = await fleet.host('mini-1')
      const startedAt = fleet.time.elapsed()
      await recorder.write(system, (tx) => createSandbox(tx, { ...lease, id, name: 'mine', host, engine: 'user', image: null }))
      const until = async (at: number): Promise<string> => {
        await fleet.time.advance(startedAt + at - fleet.time.elapsed())
        return (await api.call('GET', `/sandboxes/${id}`)).body.state
      }
      // Somebody works in it all the while, except where that is what ends it.
      for (let at = 50_000; at < 300_000; at += 50_000) {
        expect(await until(at)).toBe('requested')
        if (tier !== 'idle')
          await recorder.write(system, (tx) => wantStream(tx, id, { id: 'str_1', command: ['sh'], tty: true, until: tx.now }))
      }
      const warnings = async (): Promise<number> => (await fleet.events()).filter(({ kind }) => kind === 'sandbox.expiring').length
      expect(await until(299_990)).toBe('requested')
      expect(await warnings()).toBeGreaterThan(0)
      expect((await api.call('GET', '/sandboxes')).body.items[0]).toMatchObject({ timeLeftMs: 10 })
      expect(await until(300_020)).toBe('removing')
    },
  )

  it('is in what its host should look like until it is removed, and gone when its host has it no more', async () => {
    const { body } = await made()
    const { hostId } = the((await api.call('GET', '/sandboxes/mine')).body as unknown as { hostId: `host_${string}` })
    const ask = async (sandboxes: readonly { readonly id: string }[]) =>
      api.fleet.link(hostId).sync(
        plainSync({
          instanceId: 'instance-mini-1',
          sandboxes: sandboxes.map(({ id }) => ({
            id,
            engine: 'user',
            image: null,
            state: 'running',
            reason: '',
            createdAt: 0,
            isolation: 'account',
          })),
        }),
        new AbortController().signal,
      )
    expect((await ask([{ id: body.id }])).desired?.sandboxes).toEqual([body.id])
    expect((await api.call('GET', '/sandboxes/mine')).body).toMatchObject({ state: 'running', isolation: 'account' })
    expect((await api.call('POST', '/sandboxes/mine/start')).status).toBe(409)
    expect((await api.call('DELETE', '/sandboxes/mine')).body.state).toBe('removing')
    expect((await api.call('DELETE', '/sandboxes/mine')).body.state).toBe('removing')
    expect((await ask([{ id: body.id }])).desired?.sandboxes).toEqual([])
    const gone = the((await ask([])).desired)
    expect(gone.sandboxes).toEqual([])
    // The next look at the engines proves it.
    await api.fleet.until(async () => (await api.call('GET', '/sandboxes')).body.items.length === 0, 400_000)
  })

  it('needs the scope exec, a free name, and a host that can', async () => {
    await made()
    expect((await api.call('POST', '/sandboxes', { as: await api.tokenOf('operator'), body: {} })).status).toBe(403)
    expect((await api.call('POST', '/sandboxes', { body: { name: 'mine' } })).status).toBe(409)
    expect((await api.call('POST', '/sandboxes', { body: { name: 'other', engine: 'tart' } })).status).toBe(409)
    expect((await api.call('POST', '/sandboxes/mine/streams', { body: { command: ['sh'] } })).status).toBe(409)
    expect((await api.call('GET', '/sandboxes/none')).status).toBe(404)
  })

  it('is shown as failed when its host could not make it, and gone when its host leaves the fleet', async () => {
    await api.fleet.agent('mini-1', { operation: async (_operation, say) => say({ state: 'ERROR', exitCode: 1, reason: 'no room' }) })
    await api.fleet.until(async () => (await api.fleet.host('mini-1')).state === 'up')
    const { status } = await api.call('POST', '/sandboxes', { body: { name: 'mine' } })
    expect(status).toBe(201)
    await api.fleet.until(async () => (await api.call('GET', '/sandboxes/mine')).body.state === 'failed')
    expect((await api.call('GET', '/sandboxes/mine')).body).toMatchObject({ reason: 'no room' })
    await write('mini-1', 'retire')
    expect((await api.call('GET', '/sandboxes/mine')).body).toMatchObject({ state: 'gone', reason: 'its host left the fleet' })
  })
})
