import { describe, expect, it } from 'vitest'
import { hour, minute } from '../../src/model/instant.ts'
import { desiredAttempt, virtualAgent } from '../doubles/virtual-agent.ts'

describe('an agent with nothing to do', () => {
  it('writes nothing, looks every ten seconds, and tells the controller a few times an hour', async () => {
    const agent = virtualAgent()
    let written = 0
    const { put, remove, saveSeen } = agent.ports.journal
    Object.assign(agent.ports.journal, {
      put: (...about: Parameters<typeof put>) => put(...about).finally(() => (written += 1)),
      remove: (...about: Parameters<typeof remove>) => remove(...about).finally(() => (written += 1)),
      saveSeen: (...about: Parameters<typeof saveSeen>) => saveSeen(...about).finally(() => (written += 1)),
    })
    let looks = 0
    const see = agent.host.probe.facts
    agent.host.probe.facts = () => {
      looks += 1
      return see()
    }
    await agent.start({ bootProbes: true })
    await agent.time.advance(10 * minute)
    written = 0
    looks = 0
    const before = agent.controller.syncs.length
    await agent.time.advance(hour)
    const syncs = agent.controller.syncs.slice(before).map(({ request }) => request)
    expect(written).toBe(0)
    // One every ten seconds, and one after each check of readiness.
    expect(looks).toBeGreaterThanOrEqual(360)
    expect(looks).toBeLessThanOrEqual(375)
    const parked = syncs.filter(({ waitMs }) => waitMs > 0)
    expect(parked.length).toBeLessThanOrEqual(hour / 25_000 + 1)
    // What it has is told again now and then, with a poll that goes out anyway, and nothing else is.
    const told = syncs.filter(({ facts }) => facts !== null)
    expect(told.length).toBeGreaterThanOrEqual(4)
    expect(told.length).toBeLessThanOrEqual(7)
    expect(syncs).toEqual(parked)
    await agent.kill()
  })

  it('sets no timer that only asks whether something is due', async () => {
    const agent = virtualAgent(() => ({ runsMs: 2000 }))
    let timers = 0
    const { after } = agent.ports.timers
    agent.ports.timers.after = (delay, run) => {
      timers += 1
      return after(delay, run)
    }
    await agent.start()
    const attempt = desiredAttempt()
    agent.controller.assign(attempt)
    await agent.time.advance(10 * minute)
    expect(agent.controller.last(attempt.id)?.state).toBe('ended')
    timers = 0
    await agent.time.advance(hour)
    // A pause and a deadline for each look, a deadline for each exchange.
    expect(timers).toBeLessThanOrEqual(360 + 360 + 145)
    await agent.kill()
  })
})

describe('what a controller counts on', () => {
  it('is not told twice because a parked poll that carried older facts is answered later', async () => {
    const agent = virtualAgent()
    await agent.start()
    const carries = (): boolean => (agent.controller.syncs.at(-1)?.request.facts ?? null) !== null
    await agent.time.advance(minute)
    await agent.time.until(() => carries() && (agent.controller.syncs.at(-1)?.waitMs ?? 0) > 0, 20 * minute)
    agent.host.facts = { ...agent.host.facts, diskUsed: 0.9 }
    await agent.time.advance(15_000)
    const before = agent.controller.syncs.length
    expect(agent.controller.syncs.at(-1)?.request.facts?.diskUsed).toBe(0.9)
    await agent.time.advance(2 * minute)
    expect(agent.controller.syncs.slice(before).filter(({ request }) => request.facts !== null)).toEqual([])
    await agent.kill()
  })

  it('is told again long before a check is too old, however short a life checks have', async () => {
    const agent = virtualAgent()
    agent.controller.settings({ readiness: { checkIntervalMs: minute, checkMaxAgeMs: 3 * minute, bootProofMaxAgeMs: hour } })
    await agent.start({ bootProbes: true })
    // The first check was made before a controller said anything.
    await agent.time.advance(6 * minute)
    let known = 0
    let oldest = 0
    for (let seen = 0; seen < 60; seen += 1) {
      await agent.time.advance(10_000)
      const facts = agent.controller.syncs.findLast(({ request }) => request.facts !== null)?.request.facts
      const at = facts?.readiness[0]?.check?.at ?? 0
      if (at > known) known = at
      oldest = Math.max(oldest, agent.time.clock.now() - known)
    }
    expect(oldest).toBeGreaterThan(minute)
    expect(oldest).toBeLessThan(3 * minute)
    await agent.kill()
  })
})
