import { afterEach, describe, expect, it } from 'vitest'
import type { Repair } from '../../src/model/host.ts'
import { hour, minute } from '../../src/model/instant.ts'
import { startFleet, type Fleet } from '../doubles/controller-fleet.ts'
import { plainSync } from '../doubles/plain-sync.ts'
import type { OperationScript, Script } from '../doubles/simulated-agent.ts'

const ill = { needsReboot: [{ engine: 'user' as const, reason: 'it is stuck' }] }

/** Runs until it is cancelled. */
const endless: Script = async ({ reach, cancelled }) => {
  reach('running')
  return { kind: 'cancelled', by: await cancelled }
}

describe('a host that only a restart of its machine cures', () => {
  let fleet: Fleet

  afterEach(async () => {
    await fleet.stop()
    expect(fleet.faults).toEqual([])
  })

  async function repairOf(name: string): Promise<Repair | 'open' | undefined> {
    const { schedulable } = await fleet.host(name)
    return schedulable.kind === 'quarantined' ? schedulable.repair : 'open'
  }

  async function story(): Promise<readonly string[]> {
    const wanted = new Set([
      'host.quarantined',
      'host.repairing',
      'host.rebooted',
      'host.returned',
      'operation.requested',
      'operation.ended',
    ])
    const events = await fleet.events()
    return events.filter(({ kind }) => wanted.has(kind)).map(({ kind }) => kind)
  }

  it('is closed, waited for, restarted and opened again by facts alone', async () => {
    fleet = await startFleet()
    let facts: object = {}
    const asked: string[] = []
    const reboot: OperationScript = async (operation, say) => {
      asked.push(operation.request.kind)
      say({ state: 'EXECUTING' })
      say({ state: 'AWAITING_RECONNECT' })
    }
    const first = await fleet.agent('mini-1', { script: endless, operation: reboot, facts: () => facts })
    const running = await fleet.submit()
    await fleet.until(async () => (await fleet.job(running.id)).state === 'running')
    facts = ill
    await first.tell()
    await fleet.until(async () => (await repairOf('mini-1')) !== 'open')
    expect(await repairOf('mini-1')).toEqual({ engines: ['user'], tries: 0 })

    await fleet.agent('mini-2')
    const other = await fleet.submit()
    expect((await fleet.ended(other.id)).outcome).toEqual({ kind: 'exited', code: 0 })
    const [attempt] = await fleet.attempts(other.id)
    expect(attempt?.hostId).toBe((await fleet.host('mini-2')).id)
    await fleet.time.advance(5 * minute)
    expect([(await fleet.job(running.id)).state, asked]).toEqual(['running', []])

    await fleet.cancel(running.id)
    await fleet.until(async () => asked.length === 1)
    expect(await repairOf('mini-1')).toEqual({ engines: ['user'], tries: 1 })
    first.kill()
    await fleet.time.advance(minute)
    // A machine that is back, and has not booted anything yet.
    facts = { readiness: [] }
    const second = await fleet.agent('mini-1', { bootId: 'boot-2', facts: () => facts })
    await fleet.time.advance(2 * minute)
    expect(await repairOf('mini-1')).toEqual({ engines: ['user'], tries: 1 })
    facts = {}
    await second.tell()
    await fleet.until(async () => (await repairOf('mini-1')) === 'open')
    expect(await story()).toEqual([
      'host.quarantined',
      'host.repairing',
      'operation.requested',
      'host.rebooted',
      'operation.ended',
      'host.returned',
    ])
    expect((await fleet.host('mini-1')).failureStreak).toBe(0)
  })

  it('is not restarted once more when a person was faster and it has not looked at itself since', async () => {
    fleet = await startFleet()
    let facts: object = {}
    const agent = await fleet.agent('mini-1', { script: endless, facts: () => facts })
    const running = await fleet.submit()
    await fleet.until(async () => (await fleet.job(running.id)).state === 'running')
    facts = ill
    await agent.tell()
    await fleet.until(async () => (await repairOf('mini-1')) !== 'open')
    agent.kill()
    const { id } = await fleet.host('mini-1')
    for (let round = 0; round < 5; round += 1) {
      await fleet.link(id).sync(plainSync({ bootId: 'boot-2' }), new AbortController().signal)
      await fleet.time.advance(2000)
    }
    expect((await fleet.attempts(running.id)).map(({ state }) => state)).toEqual(['ended'])
    expect((await fleet.host('mini-1')).facts).not.toHaveProperty('needsReboot')
    expect(await repairOf('mini-1')).toEqual({ engines: ['user'], tries: 0 })
    expect(await story()).toEqual(['host.quarantined', 'host.rebooted'])
  })

  it('is asked again later when its agent may not restart it, and keeps waiting for a person after three times', async () => {
    fleet = await startFleet({ spec: { pools: { default: { repair: { rebootEvery: '5m' } } } } })
    let asked = 0
    const refuses: OperationScript = async (_operation, say) => {
      asked += 1
      say({ state: 'ERROR', reason: 'this host may not be rebooted' })
    }
    await fleet.agent('mini-1', { operation: refuses, facts: () => ill })
    await fleet.until(async () => asked === 1)
    await fleet.time.advance(4 * minute)
    expect(asked).toBe(1)
    await fleet.until(async () => asked === 3, 20 * minute)
    await fleet.time.advance(hour / 4)
    expect([asked, await repairOf('mini-1')]).toEqual([3, { engines: ['user'], tries: 3 }])
    const [entry] = await fleet.core.services.judgement.explain(`host/${(await fleet.host('mini-1')).id}`, fleet.time.clock.now())
    expect(entry?.message).toContain('it was asked to restart 3 times, which did not cure it')
  })
})
