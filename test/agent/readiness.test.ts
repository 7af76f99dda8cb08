import { describe, expect, it } from 'vitest'
import { CideryError } from '../../src/model/errors.ts'
import type { HostFacts } from '../../src/model/host.ts'
import { hour, minute } from '../../src/model/instant.ts'
import { judgeHealth } from '../../src/observe/agent/health.ts'
import { advanceVerdict, defaultVerdictPolicy, type Verdict } from '../../src/observe/agent/verdict.ts'
import { desiredAttempt, desiredOperation, virtualAgent, type VirtualAgent } from '../doubles/virtual-agent.ts'

function facts(agent: VirtualAgent): HostFacts | null | undefined {
  return agent.controller.syncs.findLast(({ request }) => request.facts !== null)?.request.facts
}

function boots(agent: VirtualAgent): number {
  return agent.engine.calls.filter((call) => call.startsWith('start sbx_')).length
}

describe('readiness of a host', () => {
  it('is proved by a real boot before the first job can come', async () => {
    const agent = virtualAgent()
    agent.engine.bootMs = 4000
    await agent.start({ bootProbes: true })
    await agent.time.advance(1000)
    expect(facts(agent)?.readiness[0]?.boot ?? null).toBeNull()
    await agent.time.advance(10_000)
    expect(facts(agent)?.readiness).toMatchObject([{ engine: 'user', image: null, check: { ok: true }, boot: { ok: true } }])
    expect(agent.engine.sandboxes.size).toBe(0)
    await agent.kill()
  })

  it('is checked every 5 minutes with ±10 % jitter, and proved again before the proof is too old', async () => {
    const agent = virtualAgent()
    let checks = 0
    const times: number[] = []
    const check = agent.engine.check.bind(agent.engine)
    agent.engine.check = (image) => {
      checks += 1
      times.push(agent.time.elapsed())
      return check(image)
    }
    await agent.start({ bootProbes: true })
    await agent.time.advance(2 * hour)
    const gaps = times.slice(1).map((time, place) => time - (times[place] ?? 0))
    expect(checks).toBeGreaterThan(20)
    expect(gaps.every((gap) => gap >= 270_000 && gap <= 335_000)).toBe(true)
    expect(new Set(gaps).size).toBeGreaterThan(1)
    expect(boots(agent)).toBe(1)
    await agent.time.advance(22 * hour)
    expect(boots(agent)).toBe(2)
    await agent.kill()
  })

  it('is tried again soon after a failed proof, and never while a job runs', async () => {
    const agent = virtualAgent(() => ({ runsMs: 20 * minute }))
    agent.engine.faults.start = new CideryError('ENGINE_FAILED', 'no room')
    await agent.start({ bootProbes: true })
    await agent.time.advance(10_000)
    expect(facts(agent)?.readiness[0]?.boot).toMatchObject({ ok: false, reason: 'no room' })
    delete agent.engine.faults.start
    await agent.time.advance(minute)
    expect(facts(agent)?.readiness[0]?.boot).toMatchObject({ ok: true })
    const before = boots(agent)
    agent.controller.settings({ readiness: { checkIntervalMs: minute, checkMaxAgeMs: hour, bootProofMaxAgeMs: 2 * minute } })
    const attempt = desiredAttempt()
    agent.controller.assign(attempt)
    await agent.time.until(() => agent.controller.last(attempt.id)?.state === 'running', minute)
    // The job's own boot is a proof.
    expect(facts(agent)?.readiness[0]?.boot?.reason).toBe('a job booted')
    await agent.time.advance(15 * minute)
    expect(boots(agent)).toBe(before)
    await agent.time.advance(15 * minute)
    expect(boots(agent)).toBeGreaterThan(before)
    await agent.kill()
  })
})

describe('health of a host', () => {
  it('changes only after 2 good or 3 bad looks in a row, whatever flaps [001-50]', () => {
    const good = { ok: true, reasons: [] }
    const bad = { ok: false, reasons: ['network: down'] }
    const seen = (looks: string): string => {
      let verdict: Verdict | null = null
      let shown = ''
      for (const look of looks) {
        verdict = advanceVerdict(verdict, look === '+' ? good : bad, defaultVerdictPolicy)
        shown += verdict.health.ok ? '+' : '-'
      }
      return shown
    }
    expect(seen('+-+-+--+--+---')).toBe('+++++++++++++-')
    expect(seen('-+-+-++')).toBe('------+')
    expect(seen('+++---+-+-++-')).toBe('+++++------++'.slice(0, 13))
    expect(defaultVerdictPolicy).toEqual({ intervalMs: 30_000, timeoutMs: 5000, healthyAfter: 2, unhealthyAfter: 3 })
  })

  it('is looked at every 30 s through the loop itself', async () => {
    const agent = virtualAgent()
    const loop = await agent.start({ healthPolicy: defaultVerdictPolicy })
    await agent.time.advance(40_000)
    expect(loop.health()).toEqual({ ok: true, reasons: [] })
    agent.host.facts = { ...agent.host.facts, diskUsed: 0.97, memoryFree: 0.03 }
    await agent.time.advance(65_000)
    expect(loop.health().ok).toBe(true)
    await agent.time.advance(60_000)
    expect(loop.health()).toEqual({ ok: false, reasons: ['disk: 97 % used', 'memory: 3 % free'] })
    agent.host.facts = { ...agent.host.facts, diskUsed: 0.5, memoryFree: 0.5 }
    await agent.time.advance(95_000)
    expect(loop.health().ok).toBe(true)
    await agent.kill()
  })

  it('is not good while the loop stands still, though all else is', async () => {
    const agent = virtualAgent(() => ({ runsMs: hour }))
    const loop = await agent.start({ healthPolicy: defaultVerdictPolicy })
    const operation = desiredOperation({ kind: 'exec', command: ['sleep', '3600'] }, { warningMs: 10 * minute, hardMs: hour })
    agent.controller.operate(operation)
    await agent.time.advance(9 * minute)
    expect(loop.health()).toEqual({ ok: true, reasons: [] })
    // The turn that warns writes it down, and the disk does not answer.
    agent.ports.journal.put = () => new Promise(() => undefined)
    await agent.time.advance(4 * minute)
    expect(loop.health()).toEqual({ ok: false, reasons: ['loop: the look at the loop took longer than 5s'] })
    expect(loop.online()).toBe(true)
    await agent.crash()
  })

  it('is not looked at where nobody can ask', async () => {
    const agent = virtualAgent()
    const loop = await agent.start()
    await agent.time.advance(5 * minute)
    expect(loop.health()).toEqual({ ok: false, reasons: ['loop: it has not looked yet'] })
    await agent.kill()
  })

  it('names each thing that is wrong', async () => {
    const agent = virtualAgent()
    await agent.start()
    await agent.time.advance(1000)
    const seen = facts(agent) ?? null
    const engines = seen?.engines.map((engine) => ({ ...engine, ok: false, problems: ['useradd is missing'] })) ?? []
    const fine = { facts: seen, sync: { online: true, problem: null }, silentMs: 0 }
    expect(judgeHealth(fine)).toEqual({ ok: true, reasons: [] })
    expect(judgeHealth({ ...fine, silentMs: 120_000 }).reasons).toEqual(['network: no controller answered for 2m'])
    expect(judgeHealth({ ...fine, sync: { online: false, problem: 'refused' } }).reasons).toEqual(['network: refused'])
    expect(judgeHealth({ ...fine, facts: seen === null ? null : { ...seen, engines } }).reasons).toEqual([
      'supervisor: engine user: useradd is missing',
    ])
    await agent.kill()
  })
})
