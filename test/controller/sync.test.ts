import { afterEach, describe, expect, it } from 'vitest'
import { createSyncHandler } from '../../src/loop/controller/sync.ts'
import type { HostId } from '../../src/model/id.ts'
import { day } from '../../src/model/instant.ts'
import type { SyncRequest, SyncResponse } from '../../src/model/sync.ts'
import { system } from '../../src/record/commit.ts'
import { announceKey, askForNewKey, promoteKey } from '../../src/record/host-keys.ts'
import { cordonHost, findHostRow, retireHost } from '../../src/record/hosts.ts'
import { startFleet, type Fleet } from '../doubles/controller-fleet.ts'
import { plainSync } from '../doubles/plain-sync.ts'
import { simulatedFacts } from '../doubles/simulated-agent.ts'
import { the } from '../doubles/the.ts'

let fleet: Fleet

afterEach(async () => {
  await fleet.stop()
})

async function joined(name: string): Promise<{
  readonly hostId: HostId
  readonly answer: SyncResponse
  sync(change?: Partial<SyncRequest>, signal?: AbortSignal): Promise<SyncResponse>
}> {
  const hostId = await fleet.enrol(name)
  const link = fleet.link(hostId)
  const sync = (change: Partial<SyncRequest> = {}, signal = new AbortController().signal): Promise<SyncResponse> =>
    link.sync(plainSync(change), signal)
  const answer = await sync({ facts: simulatedFacts(fleet.time.clock.now(), { hostname: name }) })
  return { hostId, answer, sync }
}

const seenOf = ({ epoch, generation }: SyncResponse): SyncRequest['seen'] => ({ epoch, generation })

describe('sync', () => {
  it('is the one message: it brings a host up, stores its facts, and says what the host should look like and how often to ask [003-24]', async () => {
    fleet = await startFleet({ spec: { limits: { syncPoll: '10s' } } })
    const hostId = await fleet.enrol('mini-1')
    expect((await fleet.host('mini-1')).state).toBe('enrolled')
    const first = await fleet.link(hostId).sync(plainSync(), new AbortController().signal)
    expect(first).toMatchObject({
      hostId,
      hostName: 'mini-1',
      protocol: 1,
      wantFacts: true,
      desired: { attempts: [], settings: { syncPollMs: 10_000 } },
    })
    expect((await fleet.host('mini-1')).state).toBe('up')
    await fleet
      .link(hostId)
      .sync(plainSync({ facts: simulatedFacts(fleet.time.clock.now(), { hostname: 'mini-1' }) }), new AbortController().signal)
    expect((await fleet.host('mini-1')).facts?.hostname).toBe('mini-1')
    // Three polls of ten seconds, each with what a sync may take on top.
    await fleet.time.advance(44_000)
    expect((await fleet.host('mini-1')).state).toBe('up')
    await fleet.time.advance(3000)
    expect((await fleet.host('mini-1')).state).toBe('lost')
  })

  it('parks a poll while nothing changes, for as long as was asked and never longer than the poll of the spec', async () => {
    fleet = await startFleet()
    const host = await joined('mini-1')
    const settled = await host.sync({ seen: seenOf(host.answer), waitMs: 0 })
    const started = fleet.time.elapsed()
    let answeredAt = -1
    const poll = host.sync({ seen: seenOf(settled), waitMs: 60_000 }).then((answer) => {
      answeredAt = fleet.time.elapsed()
      return answer
    })
    await fleet.time.advance(24_900)
    expect(answeredAt).toBe(-1)
    await fleet.time.advance(200)
    expect(answeredAt - started).toBe(25_000)
    expect((await poll).desired).toBeNull()
  })

  it('answers a parked poll at the moment that something of its host is committed, and no other', async () => {
    fleet = await startFleet()
    const [one, two] = [await joined('mini-1'), await joined('mini-2')]
    const answered: string[] = []
    const start = async (name: string, host: typeof one): Promise<void> => {
      const { generation, epoch } = await host.sync({ seen: seenOf(host.answer) })
      void host
        .sync({ seen: { epoch, generation }, waitMs: 25_000 })
        .then((answer) => answered.push(`${name} ${answer.desired?.attempts.length ?? 'nothing'}`))
    }
    await start('mini-1', one)
    await start('mini-2', two)
    await fleet.time.advance(1000)
    expect(fleet.core.sync.parkedHosts()).toHaveLength(2)
    await fleet.submit()
    const at = fleet.time.elapsed()
    await fleet.until(async () => answered.length > 0, 100)
    expect(fleet.time.elapsed() - at).toBeLessThanOrEqual(100)
    const [chosen] = answered
    expect(['mini-1 1', 'mini-2 1']).toContain(chosen)
    expect(answered).toHaveLength(1)
    expect(fleet.core.sync.parkedHosts()).toEqual([chosen === 'mini-1 1' ? two.hostId : one.hostId])
  })

  it('misses no change that comes between the look and the wait', async () => {
    fleet = await startFleet()
    const host = await joined('mini-1')
    for (let round = 0; round < 20; round += 1) {
      const settled = await host.sync({ seen: { epoch: 0, generation: 0 } })
      const poll = host.sync({ seen: seenOf(settled), waitMs: 25_000 })
      // Committed while the poll is somewhere between its arrival and its parking.
      for (let hop = 0; hop < round; hop += 1) await Promise.resolve()
      await fleet.core.recorder.write(system, async (tx) => tx.desire(host.hostId))
      let isAnswered = false
      void poll.then(() => (isAnswered = true))
      await fleet.time.settle()
      await fleet.time.settle()
      expect(isAnswered, `round ${round}`).toBe(true)
    }
  })

  it('keeps one parked poll per host: a second one sends the first on its way', async () => {
    fleet = await startFleet()
    const host = await joined('mini-1')
    const settled = await host.sync({ seen: seenOf(host.answer) })
    const polls = [1, 2, 3].map(() => host.sync({ seen: seenOf(settled), waitMs: 25_000 }))
    await fleet.time.settle()
    expect(fleet.core.sync.parkedHosts()).toEqual([host.hostId])
    await fleet.time.advance(25_000)
    expect(await Promise.all(polls)).toHaveLength(3)
  })

  it('lets go of a poll whose agent went away', async () => {
    fleet = await startFleet()
    const host = await joined('mini-1')
    const settled = await host.sync({ seen: seenOf(host.answer) })
    const gone = new AbortController()
    const poll = host.sync({ seen: seenOf(settled), waitMs: 25_000 }, gone.signal)
    await fleet.time.settle()
    gone.abort()
    await expect(poll).rejects.toMatchObject({ code: 'UNREACHABLE' })
    expect(fleet.core.sync.parkedHosts()).toEqual([])
  })

  it('refuses an agent that speaks a protocol that is no longer served, and leaves its jobs alone', async () => {
    fleet = await startFleet()
    const host = await joined('mini-1')
    await expect(host.sync({ protocol: -1 })).rejects.toMatchObject({ code: 'AGENT_TOO_OLD', status: 426 })
    // A newer one is answered in the newest form that is known here.
    expect((await host.sync({ protocol: 7 })).protocol).toBe(1)
  })

  it('refuses a second agent process for a host while the first is alive, and takes the next one when it is not', async () => {
    fleet = await startFleet()
    const host = await joined('mini-1')
    const settled = await host.sync({ seen: seenOf(host.answer) })
    const first = new AbortController()
    const poll = host.sync({ seen: seenOf(settled), waitMs: 25_000 }, first.signal)
    await fleet.time.settle()
    await expect(host.sync({ instanceId: 'two' })).rejects.toMatchObject({ code: 'AGENT_LOCKED', details: { holder: 'one' } })
    expect(fleet.log.lines.map(({ message }) => message)).toContain('a second agent speaks for a host')
    first.abort()
    await expect(poll).rejects.toThrow('went away')
    expect((await host.sync({ instanceId: 'two' })).desired).not.toBeNull()
  })

  it('asks for facts when it has none or old ones, but not in a circle with an agent that gives none', async () => {
    fleet = await startFleet()
    const hostId = await fleet.enrol('mini-1')
    const link = fleet.link(hostId)
    const first = await link.sync(plainSync(), new AbortController().signal)
    expect(first.wantFacts).toBe(true)
    let answers = 0
    const poll = async (): Promise<void> => {
      for (;;) {
        const answer = await link.sync(plainSync({ seen: seenOf(first), waitMs: 25_000 }), new AbortController().signal)
        answers += 1
        if (answers > 100) throw new Error(`a circle: ${JSON.stringify(answer)}`)
      }
    }
    const polling = poll().catch(() => undefined)
    await fleet.time.advance(60_000)
    expect(answers).toBeLessThan(15)
    await fleet.stop()
    await polling
    fleet = await startFleet()
  })

  it('tells a retired host nothing, also one whose poll is parked', async () => {
    fleet = await startFleet()
    const host = await joined('mini-1')
    const settled = await host.sync({ seen: seenOf(host.answer) })
    const poll = host.sync({ seen: seenOf(settled), waitMs: 25_000 })
    await fleet.time.settle()
    await fleet.core.recorder.write(system, (tx) => retireHost(tx, { host: 'mini-1', ifMatch: null }))
    await expect(poll).rejects.toMatchObject({ code: 'UNAUTHENTICATED' })
    await expect(host.sync()).rejects.toMatchObject({ code: 'UNAUTHENTICATED' })
  })

  it('asks for another key when that of the host gets too old or somebody wants it, and no more once it is used', async () => {
    fleet = await startFleet({ spec: { limits: { hostKeyMaxAge: '10d' } } })
    const host = await joined('mini-1')
    const due = async () => (await host.sync({ seen: seenOf(host.answer) })).rotateKey
    expect(await due()).toBe(false)
    const { clock } = fleet.time
    const row = await fleet.store.read((db) => findHostRow(db, host.hostId))
    const { recorder } = fleet.core
    const asked = await recorder.write(system, (tx) => askForNewKey(tx, { host: 'mini-1', ifMatch: null }))
    expect(asked.desiredGeneration).toBe(row?.desired_generation)
    expect(await due()).toBe(true)
    await fleet.store.write((tx) => announceKey(tx, host.hostId, 'a'.repeat(64)))
    expect(await due()).toBe(true)
    await fleet.store.write((tx) => promoteKey(tx, { hostId: host.hostId, keyHash: 'a'.repeat(64), at: clock.now() }))
    expect(await due()).toBe(false)
    fleet.time.jumpWall(10 * day - 1)
    expect(await due()).toBe(false)
    fleet.time.jumpWall(1)
    expect(await due()).toBe(true)
    expect((await fleet.host('mini-1')).facts?.hostname).toBe('mini-1')
  })

  it('counts the syncs that it answered, polls apart', async () => {
    const counted: boolean[] = []
    fleet = await startFleet({ synced: ({ parked }) => counted.push(parked) })
    const host = await joined('mini-1')
    counted.length = 0
    const settled = await host.sync({ seen: seenOf(host.answer) })
    const poll = host.sync({ seen: seenOf(settled), waitMs: 25_000 })
    await fleet.time.settle()
    expect(counted).toEqual([false])
    await fleet.time.advance(25_000)
    await poll
    expect(counted).toEqual([false, true])
  })

  it('bounds the polls that are parked', async () => {
    fleet = await startFleet()
    const { recorder } = fleet.core
    const handler = createSyncHandler({
      recorder,
      clock: fleet.time.clock,
      timers: fleet.time.timers,
      log: fleet.log,
      lastSeen: fleet.core.lastSeen,
      maxParked: 1,
      alone: true,
      epoch: () => 1,
      spec: fleet.core.services.spec,
      settings: () => ({}) as never,
      retention: () => null,
      checkpoint: () => null,
    })
    const gone = new AbortController()
    const ask = async (hostId: HostId): Promise<SyncResponse> => {
      const caller = { hostId, hostName: 'mini', origin: '127.0.0.1', signal: gone.signal }
      const first = await handler.handle(caller, plainSync({ facts: simulatedFacts(fleet.time.clock.now(), { hostname: 'a' }) }))
      return handler.handle(caller, plainSync({ seen: seenOf(first), waitMs: 25_000 }))
    }
    const parked = ask(await fleet.enrol('mini-1'))
    await fleet.time.settle()
    await fleet.time.settle()
    await expect(ask(await fleet.enrol('mini-2'))).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    gone.abort()
    await expect(parked).rejects.toThrow('went away')
    handler.close()
  })

  it('writes when hosts were last seen in one batch per minute, not with each sync', async () => {
    fleet = await startFleet()
    const host = await joined('mini-1')
    const settled = await host.sync({ seen: seenOf(host.answer) })
    await fleet.time.advance(10_000)
    const written = async (): Promise<number | null> => (await fleet.host('mini-1')).lastSeenAt
    const before = await written()
    for (let turn = 0; turn < 5; turn += 1) {
      await fleet.time.advance(9000)
      await host.sync({ seen: seenOf(settled) })
      expect(await written()).toBe(before)
      expect(fleet.core.lastSeen.get(host.hostId)).toBe(fleet.time.clock.now())
    }
    const last = fleet.time.clock.now()
    await fleet.time.advance(15_000)
    expect(await written()).toBe(last)
  })

  it('writes it within ten seconds of hosts that run something: leases count from there after the death of this controller', async () => {
    fleet = await startFleet()
    const [one, two] = [await joined('mini-1'), await joined('mini-2')]
    const settled = [await one.sync({ seen: seenOf(one.answer) }), await two.sync({ seen: seenOf(two.answer) })]
    // Both are written once before one of them has a job.
    await fleet.time.advance(20_000)
    const { id } = await fleet.submit()
    await fleet.until(async () => (await fleet.job(id)).state === 'assigned')
    const [attempt] = await fleet.attempts(id)
    await fleet.time.advance(5000)
    for (const [place, host] of [one, two].entries()) await host.sync({ seen: seenOf(the(settled[place])) })
    const last = fleet.time.clock.now()
    await fleet.time.advance(10_000)
    const written = await Promise.all(['mini-1', 'mini-2'].map((name) => fleet.host(name)))
    expect(written.filter(({ lastSeenAt }) => lastSeenAt === last).map((host) => host.id)).toEqual([the(attempt).hostId])
    expect((await fleet.attempts(id))[0]?.receiptAt).toBe(last)
  })

  it('finds with the next poll what another controller changed, though its word got lost', async () => {
    fleet = await startFleet({ others: true })
    const host = await joined('mini-1')
    const settled = await host.sync({ seen: seenOf(host.answer) })
    const poll = host.sync({ seen: seenOf(settled), waitMs: 25_000 })
    await fleet.time.advance(1000)
    await fleet.store.write((tx) =>
      tx
        .updateTable('hosts')
        .set((eb) => ({ desired_generation: eb('desired_generation', '+', 1) }))
        .where('id', '=', host.hostId)
        .execute(),
    )
    await fleet.time.advance(24_000)
    expect((await poll).generation).toBe(settled.generation)
    const next = await host.sync({ seen: seenOf(settled), waitMs: 25_000 })
    expect(next.generation).toBe(settled.generation + 1)
    expect(next.desired).not.toBeNull()
  })

  it('says what changed of the host itself only to that host, with a generation that goes up', async () => {
    fleet = await startFleet()
    const host = await joined('mini-1')
    const before = await host.sync({ seen: seenOf(host.answer) })
    await fleet.core.recorder.write(system, (tx) => cordonHost(tx, { host: 'mini-1', ifMatch: null }, 'test'))
    const after = await host.sync({ seen: seenOf(before) })
    expect(after.generation).toBe(before.generation + 1)
    expect(after.desired).not.toBeNull()
  })
})
