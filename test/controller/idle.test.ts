import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createSqliteStore } from '../../src/drivers/stores/sqlite/sqlite-store.ts'
import { createNumbers } from '../../src/loop/controller/numbers.ts'
import { hour, minute } from '../../src/model/instant.ts'
import type { MigratableStore } from '../../src/ports/store.ts'
import { system } from '../../src/record/commit.ts'
import { createMetrics, type FleetNumbers } from '../../src/serve/metrics.ts'
import { startFleet, type Fleet } from '../doubles/controller-fleet.ts'
import { addLinkedHost, linkedSpec, type LinkedHost } from '../doubles/linked-host.ts'
import { virtualTime, type VirtualTime } from '../doubles/virtual-time.ts'

const names = ['mini-1', 'mini-2', 'mini-3']

let time: VirtualTime
let fleet: Fleet
let store: MigratableStore
let hosts: readonly LinkedHost[]
let count = { reads: 0, writes: 0 }

beforeEach(async () => {
  time = virtualTime({ turns: 3 })
  const inner = await createSqliteStore({ path: ':memory:', ...time })
  store = {
    ...inner,
    read(work) {
      count.reads += 1
      return inner.read(work)
    },
    write(work) {
      count.writes += 1
      return inner.write(work)
    },
  }
  fleet = await startFleet({ time, store, spec: linkedSpec })
  hosts = await Promise.all(names.map((name) => addLinkedHost(fleet, name)))
  for (const host of hosts) await host.startAgent()
  await time.advance(15 * minute)
  count = { reads: 0, writes: 0 }
})

afterEach(async () => {
  for (const host of hosts) await host.killAgent()
  await fleet.stop()
  await store.close()
})

async function unsealed(): Promise<number> {
  const rows = await store.read((db) => db.selectFrom('events').select('seq').where('number', 'is', null).orderBy('seq').execute())
  return rows.length
}

describe('a fleet with nothing to do', () => {
  it('writes nothing but when hosts were last seen and, a few times an hour, what they have', async () => {
    const events = (await fleet.events()).length
    const passes = fleet.core.loop.status().passes
    count = { reads: 0, writes: 0 }
    await time.advance(hour)
    const { reads, writes } = count
    expect((await fleet.events()).length).toBe(events)
    const told = 7 * names.length
    expect(writes).toBeGreaterThanOrEqual(60)
    expect(writes).toBeLessThanOrEqual(61 + told)
    // What was written is read again; neither a poll nor a pass reads for itself.
    expect(reads).toBeLessThanOrEqual(2 * told + 65)
    // It passes all the same: that it does is what says that it lives.
    expect(fleet.core.loop.status().passes - passes).toBeGreaterThanOrEqual(hour / 5000)
    expect(fleet.faults).toEqual([])
  })

  it('still knows of every host, and within a second of a change what to do', async () => {
    await time.advance(hour)
    for (const name of names) {
      const host = await fleet.host(name)
      expect(host.state).toBe('up')
      expect(time.clock.now() - (fleet.core.lastSeen.get(host.id) ?? 0)).toBeLessThanOrEqual(25_000)
    }
    expect(fleet.core.loop.plan().waiting).toEqual([])
    const { id } = await fleet.submit()
    await fleet.until(async () => (await fleet.job(id)).state !== 'queued', 1000)
    expect((await fleet.ended(id)).outcome).toEqual({ kind: 'exited', code: 0 })
  })

  it('is counted for the metrics without being read again, until something changes', async () => {
    const counted: FleetNumbers[] = []
    const metrics = { ...createMetrics('1.2.3'), fleet: (numbers: FleetNumbers) => void counted.push(numbers) }
    const numbers = createNumbers({ recorder: () => fleet.core.recorder, spec: fleet.core.services.spec, clock: time.clock, metrics })
    const countOnce = async (): Promise<FleetNumbers | undefined> => {
      await time.advance(5000)
      const carried = { done: 0, stale: 0, failed: 0 }
      numbers.passed({ at: time.clock.now(), ms: 1, leads: true, plan: fleet.core.loop.plan(), carried })
      await time.settle()
      return counted.at(-1)
    }
    const pools = [{ pool: 'default', state: 'up', count: names.length }]
    expect(await countOnce()).toMatchObject({ hosts: pools, queues: [] })
    count = { reads: 0, writes: 0 }
    for (let turn = 0; turn < 5; turn += 1) expect(await countOnce()).toMatchObject({ hosts: pools, queues: [] })
    // Facts that are told meanwhile touch their host, and are read three times: for its poll, for the world, and to be counted.
    expect(count.reads).toBeLessThanOrEqual(3 * count.writes + 1)
    expect(counted).toHaveLength(6)
    await fleet.submit({ labels: { room: 'none' } })
    expect(await countOnce()).toMatchObject({ queues: [{ queue: 'default', queued: 1 }] })
  })

  it('seals what is appended within a second, by whichever way it came', async () => {
    await time.advance(hour)
    await fleet.core.recorder.write(system, async (tx) => tx.note('host.cordoned', 'host/mini-1'))
    expect(await unsealed()).toBe(1)
    await time.advance(1000)
    expect(await unsealed()).toBe(0)
    await time.advance(hour)
    const event = { kind: 'spec.applied', at: time.clock.now(), actor: 'user:test', subject: 'spec', origin: null, result: 'ok' } as const
    await store.write((tx) => fleet.core.append(tx, [{ ...event, data: {} }]))
    expect(await unsealed()).toBe(1)
    await time.advance(1000)
    expect(await unsealed()).toBe(0)
  })
})
