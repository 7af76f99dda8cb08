import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { backoff, failureKind } from '../../src/loop/agent/backoff.ts'
import { CideryError, type ErrorCode } from '../../src/model/errors.ts'
import { desiredAttempt, virtualAgent, type VirtualAgent } from '../doubles/virtual-agent.ts'

/** When syncs were tried (steady time since the first), by a link that fails with a code. */
async function triesWith(code: ErrorCode, forMs: number, seed = 1): Promise<readonly number[]> {
  const agent = virtualAgent(undefined, seed)
  const at: number[] = []
  agent.controller.fault = (call) => {
    if (call !== 'sync') return null
    at.push(agent.time.elapsed())
    return new CideryError(code, 'not now')
  }
  await agent.start()
  await agent.time.advance(forMs)
  await agent.kill()
  return at
}

function gaps(at: readonly number[]): readonly number[] {
  return at.slice(1).map((time, place) => time - (at[place] ?? 0))
}

/** Longest time between two syncs that the controller got. */
function longestSilence(agent: VirtualAgent): number {
  return Math.max(...gaps(agent.controller.syncs.map(({ at }) => at)))
}

describe('the sync of an agent', () => {
  it('waits 1, 2, 4 … up to 60 s after faults of the network, with jitter, and begins anew after a success [003-26]', async () => {
    const waits = gaps(await triesWith('UNREACHABLE', 600_000))
    for (const [place, wait] of waits.entries()) {
      const whole = Math.min(60_000, 1000 * 2 ** place)
      expect(wait).toBeGreaterThanOrEqual(whole / 2)
      expect(wait).toBeLessThanOrEqual(whole)
    }
    expect(waits.slice(6).every((wait) => wait >= 30_000)).toBe(true)
    // Jitter: another host waits other times.
    expect(gaps(await triesWith('UNREACHABLE', 600_000, 2))).not.toEqual(waits)

    const agent = virtualAgent()
    const tries: number[] = []
    let broken = true
    agent.controller.fault = (call) => {
      if (call === 'sync') tries.push(agent.time.elapsed())
      return broken ? new CideryError('UNREACHABLE', 'not now') : null
    }
    const loop = await agent.start()
    await agent.time.advance(300_000)
    broken = false
    await agent.time.until(() => loop.online(), 61_000)
    broken = true
    const before = tries.length
    await agent.time.advance(40_000)
    expect(gaps(tries.slice(before))[0]).toBeLessThanOrEqual(1000)
    await agent.kill()
  })

  it.each(['UNAUTHENTICATED', 'FORBIDDEN'] as const)('backs off hard when it is refused with %s [003-26]', async (code) => {
    const waits = gaps(await triesWith(code, 1_800_000))
    expect(waits[0]).toBeGreaterThanOrEqual(15_000)
    expect(waits.slice(4).every((wait) => wait >= 150_000 && wait <= 300_000)).toBe(true)
  })

  it('never waits longer than its schedule says, for any number of failures', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('passing' as const, 'refused' as const, 'tooOld' as const),
        fc.nat(10_000),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (kind, failures, fraction) => {
          const wait = backoff(kind, failures, fraction)
          expect(wait).toBeGreaterThan(0)
          expect(wait).toBeLessThanOrEqual(kind === 'passing' ? 60_000 : 300_000)
        },
      ),
    )
    expect(failureKind(new CideryError('AGENT_TOO_OLD', ''))).toBe('tooOld')
  })

  it('misses no heartbeat during a command of 10 minutes [003-25]', async () => {
    const agent = virtualAgent(() => ({ runsMs: 600_000, log: 'x'.repeat(100_000) }))
    await agent.start()
    const attempt = desiredAttempt()
    agent.controller.assign(attempt)
    await agent.time.until(() => agent.controller.last(attempt.id)?.state === 'ended', 700_000)
    expect(agent.controller.last(attempt.id)?.outcome).toEqual({ kind: 'exited', code: 0 })
    expect(longestSilence(agent)).toBeLessThanOrEqual(25_100)
    expect(agent.controller.violations).toEqual([])
    await agent.kill()
  })

  it('hears of a change, and tells of one, within 100 ms', async () => {
    const agent = virtualAgent(() => ({ runsMs: 5000 }))
    await agent.start()
    await agent.time.advance(40_000)
    const attempt = desiredAttempt()
    const assignedAt = agent.time.elapsed()
    agent.controller.assign(attempt)
    await agent.time.until(() => agent.controller.last(attempt.id)?.state === 'running', 100)
    expect(agent.time.elapsed() - assignedAt).toBeLessThanOrEqual(100)
    await agent.kill()
  })

  it('keeps one poll parked, and leaves out what the controller knows', async () => {
    const agent = virtualAgent()
    await agent.start()
    await agent.time.advance(120_000)
    const parked = agent.controller.syncs.filter(({ waitMs }) => waitMs > 0)
    expect(parked.length).toBeGreaterThanOrEqual(4)
    expect(gaps(parked.map(({ at }) => at)).every((gap) => gap >= 25_000)).toBe(true)
    expect(agent.controller.syncs.filter(({ request }) => request.facts !== null).length).toBeLessThanOrEqual(4)
    await agent.kill()
  })

  it('refuses a wish of an older epoch or generation', async () => {
    const agent = virtualAgent(() => ({ runsMs: 3_600_000 }))
    agent.controller.takeOver(5, 50)
    await agent.start()
    await agent.time.advance(1000)
    const attempt = desiredAttempt()
    agent.controller.takeOver(4, 900)
    agent.controller.assign(attempt)
    await agent.time.advance(120_000)
    expect(agent.controller.last(attempt.id)).toBeUndefined()
    expect(agent.engine.calls).toEqual([])
    agent.controller.takeOver(5, 10)
    await agent.time.advance(120_000)
    expect(agent.engine.calls).toEqual([])
    agent.controller.takeOver(6, 1)
    await agent.time.until(() => agent.controller.last(attempt.id)?.state === 'running', 120_000)
    await agent.kill()
  })

  it('goes on with its jobs and takes no new ones when it is too old, and is followed by one that is not', async () => {
    const agent = virtualAgent(() => ({ runsMs: 60_000, code: 4 }))
    await agent.start()
    const attempt = desiredAttempt()
    agent.controller.assign(attempt)
    await agent.time.until(() => agent.controller.last(attempt.id)?.state === 'running', 10_000)
    let tooOld = true
    agent.controller.fault = (call) =>
      tooOld && (call === 'sync' || call === 'answer') ? new CideryError('AGENT_TOO_OLD', 'upgrade') : null
    agent.controller.assign(desiredAttempt())
    await agent.time.advance(120_000)
    expect(agent.supervisors.runs.length).toBe(1)
    expect(agent.engine.sandboxes.size).toBe(0)
    tooOld = false
    await agent.time.until(() => agent.controller.last(attempt.id)?.state === 'ended', 400_000)
    expect(agent.controller.last(attempt.id)?.outcome).toEqual({ kind: 'exited', code: 4 })
    await agent.kill()
  })

  it('changes its key without a sync that is refused, and takes the old one up when the announcement was lost', async () => {
    const agent = virtualAgent()
    const loop = await agent.start()
    await agent.time.advance(1000)
    const first = agent.controller.keyShown()
    agent.controller.rotateKey()
    await agent.time.advance(60_000)
    const second = agent.controller.keyShown()
    expect(second).not.toBe(first)
    expect(await agent.ports.journal.identity()).toMatchObject({ key: second, nextKey: null })
    expect(agent.log.lines.filter(({ level }) => level === 'warn')).toEqual([])
    // The next announcement is answered, but the controller forgot it (it was restored from an older state).
    const known = new Set(agent.controller.keys)
    agent.controller.rotateKey()
    await agent.time.settle()
    for (const key of agent.controller.keys) if (!known.has(key)) agent.controller.keys.delete(key)
    await agent.time.advance(120_000)
    expect(loop.online()).toBe(true)
    await agent.kill()
  })
})
