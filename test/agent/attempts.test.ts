import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CideryError } from '../../src/model/errors.ts'
import { minute } from '../../src/model/instant.ts'
import { desiredAttempt, virtualAgent, type VirtualAgent } from '../doubles/virtual-agent.ts'

const unreachable = new CideryError('UNREACHABLE', 'the network is down')

async function ended(agent: VirtualAgent, id: string, limitMs = 10 * minute) {
  await agent.time.until(() => agent.controller.last(id)?.state === 'ended' && agent.controller.logDone(id), limitMs)
  await agent.time.advance(10_000)
  return agent.controller.last(id)
}

/** Nothing of any attempt is left on the host, and the agent broke no rule. */
async function expectClean(agent: VirtualAgent): Promise<void> {
  expect(agent.controller.violations).toEqual([])
  expect(agent.engine.sandboxes.size).toBe(0)
  expect(await agent.supervisors.list()).toEqual([])
  expect(await agent.ports.journal.list('attempt')).toEqual(new Map())
}

describe('an agent that carries out attempts', () => {
  it('runs a job end to end and brings its log, exit code and times', async () => {
    const agent = virtualAgent(() => ({ runsMs: 5000, log: 'building\ndone\n', code: 3 }))
    await agent.start()
    const attempt = desiredAttempt()
    agent.controller.assign(attempt)
    const report = await ended(agent, attempt.id)
    expect(report?.outcome).toEqual({ kind: 'exited', code: 3 })
    expect(agent.controller.log(attempt.id)).toBe('building\ndone\n')
    expect(Object.keys(report?.times ?? {})).toEqual([
      'assigned',
      'booting',
      'preparing',
      'sourceReady',
      'running',
      'collecting',
      'cleaning',
      'ended',
    ])
    await expectClean(agent)
    await agent.kill()
  })

  it('records when each step began, in order, on the clock of the controller [002-90]', async () => {
    const agent = virtualAgent(() => ({ runsMs: 7000 }))
    agent.engine.bootMs = 3000
    await agent.start()
    await agent.time.advance(1000)
    const attempt = desiredAttempt()
    const assignedAt = agent.time.clock.now()
    agent.controller.assign(attempt)
    const { times = {} } = (await ended(agent, attempt.id)) ?? {}
    const order = [
      times.assigned,
      times.booting,
      times.preparing,
      times.sourceReady,
      times.running,
      times.collecting,
      times.cleaning,
      times.ended,
    ]
    expect(order).toEqual(order.toSorted((a, b) => (a ?? 0) - (b ?? 0)))
    expect((times.assigned ?? 0) - assignedAt).toBeLessThan(100)
    expect((times.preparing ?? 0) - (times.booting ?? 0)).toBe(3000)
    expect((times.collecting ?? 0) - (times.running ?? 0)).toBeGreaterThanOrEqual(7000)
    await agent.kill()
  })

  it.each([
    [
      { runsMs: 10, signal: 9 },
      { kind: 'signalled', signal: 9 },
    ],
    [
      { runsMs: 10, code: 255 },
      { kind: 'exited', code: 255 },
    ],
    [{ runsMs: 90_000 }, { kind: 'timedOut', afterS: 60 }],
  ])('tells how the command ended: %o', async (program, outcome) => {
    const agent = virtualAgent(() => program)
    await agent.start()
    const attempt = desiredAttempt({ timeoutS: 60 })
    agent.controller.assign(attempt)
    expect((await ended(agent, attempt.id))?.outcome).toEqual(outcome)
    await expectClean(agent)
    await agent.kill()
  })

  it('calls a failed boot a fault of the infrastructure, and not ready what does not boot', async () => {
    const agent = virtualAgent()
    agent.engine.faults.start = new CideryError('ENGINE_FAILED', 'no more namespaces')
    await agent.start()
    const attempt = desiredAttempt()
    agent.controller.assign(attempt)
    const report = await ended(agent, attempt.id)
    expect(report?.outcome).toEqual({ kind: 'infrastructure', part: 'boot', code: 'ENGINE_FAILED', message: 'no more namespaces' })
    const facts = agent.controller.syncs.findLast(({ request }) => request.facts !== null)?.request.facts
    expect(facts?.readiness[0]?.boot).toMatchObject({ ok: false, reason: 'no more namespaces' })
    expect(agent.supervisors.runs).toEqual([])
    await expectClean(agent)
    await agent.kill()
  })

  it('ends a job whose source or secret is not there as a fault of its set-up', async () => {
    const agent = virtualAgent()
    await agent.start()
    const lacking = desiredAttempt({ secrets: ['TOKEN'] })
    agent.controller.secrets.set(lacking.id, {})
    agent.controller.assign(lacking)
    expect((await ended(agent, lacking.id))?.outcome).toEqual({
      kind: 'setupFailed',
      step: 'secrets',
      message: 'the queue has no secret named TOKEN',
    })
    const noSource = desiredAttempt({ source: { kind: 'git', url: 'https://example.org/x.git', commit: 'a'.repeat(40) } })
    agent.controller.assign(noSource)
    expect((await ended(agent, noSource.id))?.outcome).toMatchObject({ kind: 'setupFailed', step: 'source' })
    await expectClean(agent)
    await agent.kill()
  })

  it.each([0, 50, 400, 3000])('ends a job that is cancelled after %i ms, whatever it is doing', async (afterMs) => {
    const agent = virtualAgent(() => ({ runsMs: 60_000, stubborn: true }))
    agent.engine.bootMs = 300
    await agent.start()
    const attempt = desiredAttempt()
    agent.controller.assign(attempt)
    await agent.time.advance(afterMs)
    agent.controller.cancel(attempt.id, 'alice')
    const report = await ended(agent, attempt.id, 20_000)
    expect(report?.outcome).toEqual({ kind: 'cancelled', by: 'alice' })
    await expectClean(agent)
    await agent.kill()
  })

  it('keeps the exact outcome of a command that ended before the cancel came', async () => {
    const agent = virtualAgent(() => ({ runsMs: 1000, code: 2 }))
    await agent.start()
    const attempt = desiredAttempt()
    agent.controller.fault = (call) =>
      call.startsWith('sync') && agent.time.elapsed() > 500 && agent.time.elapsed() < 5000 ? unreachable : null
    agent.controller.assign(attempt)
    await agent.time.advance(2000)
    agent.controller.cancel(attempt.id, 'alice')
    expect((await ended(agent, attempt.id))?.outcome).toEqual({ kind: 'exited', code: 2 })
    await agent.kill()
  })

  it('ends an attempt when its lease ran out, cleans up, and tells later', async () => {
    const agent = virtualAgent(() => ({ runsMs: 5 * 60 * minute }))
    await agent.start()
    const attempt = desiredAttempt({ timeoutS: 86_400 })
    agent.controller.assign(attempt)
    await agent.time.until(() => agent.controller.last(attempt.id)?.state === 'running', 10_000)
    const lastHeard = agent.controller.syncs.at(-1)?.at ?? 0
    agent.controller.fault = () => unreachable
    await agent.time.advance(29 * minute)
    expect((await agent.supervisors.inspect(attempt.id)).state).toBe('running')
    await agent.time.advance(2 * minute)
    expect((await agent.supervisors.inspect(attempt.id)).state).toBe('ended')
    expect(agent.engine.sandboxes.size).toBe(0)
    expect(agent.time.clock.steady() - lastHeard).toBeLessThan(33 * minute)
    agent.controller.fault = () => null
    expect((await ended(agent, attempt.id))?.outcome).toMatchObject({ kind: 'infrastructure', part: 'network' })
    await expectClean(agent)
    await agent.kill()
  })

  it('sees within 10 s of waking that the lease ran out while the machine slept', async () => {
    const agent = virtualAgent(() => ({ runsMs: 5 * 60 * minute }))
    await agent.start()
    const attempt = desiredAttempt({ timeoutS: 86_400 })
    agent.controller.assign(attempt)
    await agent.time.until(() => agent.controller.last(attempt.id)?.state === 'running', 10_000)
    agent.controller.fault = () => unreachable
    await agent.time.advance(minute)
    agent.time.sleepMachine(120 * minute)
    await agent.time.advance(10_500)
    expect((await agent.supervisors.inspect(attempt.id)).state).toBe('ended')
    await agent.kill()
  })

  it('ends an attempt whose lease ran out though its disk is full', async () => {
    const agent = virtualAgent(() => ({ runsMs: 5 * 60 * minute }))
    await agent.start()
    const attempt = desiredAttempt({ timeoutS: 86_400 })
    agent.controller.assign(attempt)
    await agent.time.until(() => agent.controller.last(attempt.id)?.state === 'running', 10_000)
    agent.controller.fault = () => unreachable
    const { put } = agent.ports.journal
    agent.ports.journal.put = () => Promise.reject(new CideryError('STORAGE_FULL', 'no space left'))
    await agent.time.advance(31 * minute)
    expect((await agent.supervisors.inspect(attempt.id)).state).toBe('ended')
    agent.ports.journal.put = put
    await agent.kill()
  })

  it('counts the lease on through its own death', async () => {
    const agent = virtualAgent(() => ({ runsMs: 5 * 60 * minute }))
    await agent.start()
    const attempt = desiredAttempt({ timeoutS: 86_400 })
    agent.controller.assign(attempt)
    await agent.time.until(() => agent.controller.last(attempt.id)?.state === 'running', 10_000)
    agent.controller.fault = () => unreachable
    await agent.time.advance(15 * minute)
    await agent.kill()
    await agent.time.advance(5 * minute)
    await agent.start()
    await agent.time.advance(8 * minute)
    expect((await agent.supervisors.inspect(attempt.id)).state).toBe('running')
    await agent.time.advance(4 * minute)
    expect((await agent.supervisors.inspect(attempt.id)).state).toBe('ended')
    await agent.kill()
  })

  it('ends an attempt that the controller lists no more', async () => {
    const agent = virtualAgent(() => ({ runsMs: 60 * minute }))
    await agent.start()
    const attempt = desiredAttempt()
    agent.controller.assign(attempt)
    await agent.time.until(() => agent.controller.last(attempt.id)?.state === 'running', 10_000)
    agent.controller.drop(attempt.id)
    expect((await ended(agent, attempt.id, minute))?.outcome).toMatchObject({ kind: 'cancelled' })
    await expectClean(agent)
    await agent.kill()
  })

  it('reports an engine as broken while a sandbox has left something behind, until that is gone [001-36]', async () => {
    const agent = virtualAgent(() => ({ runsMs: 100, code: 0 }))
    agent.engine.faults.destroy = new CideryError('SANDBOX_RESIDUE', 'a process of uid 600001 does not die')
    await agent.start({ bootProbes: true })
    const attempt = desiredAttempt()
    agent.controller.assign(attempt)
    const report = await ended(agent, attempt.id)
    expect(report?.outcome).toEqual({ kind: 'exited', code: 0 })
    expect(report?.notes.join()).toContain('does not die')
    const engineFacts = () => agent.controller.syncs.findLast(({ request }) => request.facts !== null)?.request.facts?.engines[0]
    expect(engineFacts()).toMatchObject({ ok: false })
    expect(engineFacts()?.problems.join()).toContain(attempt.id)
    // Not even a new agent forgets it.
    await agent.kill()
    await agent.start({ bootProbes: true })
    await agent.time.advance(minute)
    expect(engineFacts()).toMatchObject({ ok: false })
    delete agent.engine.faults.destroy
    await agent.time.advance(3 * minute)
    expect(engineFacts()).toMatchObject({ ok: true, problems: [] })
    await agent.kill()
  })

  it('adopts what runs, at whatever moment it died: one run, one outcome, nothing left', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 9000 }), { minLength: 1, maxLength: 4 }), fc.boolean(), async (deaths, cut) => {
        const agent = virtualAgent(() => ({ runsMs: 6000, log: 'one\ntwo\nthree\n'.repeat(50), code: 9 }))
        agent.engine.bootMs = 700
        agent.controller.fault = (call) => (cut && call === 'appendLogAnswer' && agent.time.elapsed() % 3000 < 1000 ? unreachable : null)
        await agent.start()
        const attempt = desiredAttempt()
        agent.controller.assign(attempt)
        for (const after of deaths) {
          await agent.time.advance(after)
          await agent.crash()
          await agent.start()
        }
        const report = await ended(agent, attempt.id)
        expect(report?.outcome).toEqual({ kind: 'exited', code: 9 })
        expect(agent.controller.log(attempt.id)).toBe('one\ntwo\nthree\n'.repeat(50))
        expect(agent.supervisors.runs.length).toBe(1)
        await expectClean(agent)
        await agent.kill()
      }),
      { numRuns: 60 },
    )
  })

  it('goes on from any call at which it died, before or after that had its effect', async () => {
    const death = fc.record({ calls: fc.integer({ min: 1, max: 150 }), when: fc.constantFrom('before' as const, 'after' as const) })
    await fc.assert(
      fc.asyncProperty(fc.array(death, { minLength: 1, maxLength: 5 }), async (deaths) => {
        const agent = virtualAgent(() => ({ runsMs: 3000, log: 'a line\n'.repeat(100), signal: 11 }))
        agent.engine.bootMs = 200
        const attempt = desiredAttempt()
        agent.controller.assign(attempt)
        for (const { calls, when } of deaths) await agent.startAndDie(calls, when, 10_000)
        await agent.start()
        const report = await ended(agent, attempt.id)
        expect(report?.outcome).toEqual({ kind: 'signalled', signal: 11 })
        expect(agent.controller.log(attempt.id)).toBe('a line\n'.repeat(100))
        expect(agent.supervisors.runs.length).toBe(1)
        await expectClean(agent)
        await agent.kill()
      }),
      { numRuns: 150 },
    )
  })

  it('calls a job that a restart of the machine cut off a fault of the host, and removes what it left', async () => {
    const agent = virtualAgent(() => ({ runsMs: 60 * minute }))
    await agent.start()
    const attempt = desiredAttempt({ artifacts: ['out/**'] })
    agent.controller.assign(attempt)
    await agent.time.until(() => agent.controller.last(attempt.id)?.state === 'running', 10_000)
    await agent.crash()
    agent.supervisors.kill(attempt.id, 'the machine restarted')
    agent.host.bootId = 'boot-2'
    await agent.start()
    const report = await ended(agent, attempt.id)
    expect(report?.outcome).toMatchObject({ kind: 'infrastructure', part: 'host' })
    expect(report?.artifactFailures).toEqual([{ pattern: 'out/**', reason: 'the host restarted before the files were collected' }])
    await expectClean(agent)
    await agent.kill()
  })

  it('removes at its start the sandboxes and runs that nobody owns, and no others', async () => {
    const agent = virtualAgent(() => ({ runsMs: 60_000 }))
    await agent.start()
    const attempt = desiredAttempt()
    agent.controller.assign(attempt)
    await agent.time.until(() => agent.controller.last(attempt.id)?.state === 'running', 10_000)
    await agent.crash()
    const stray = {
      id: 'att_stray',
      jobId: 'job_stray',
      image: null,
      shape: { cpu: 1, memoryMiB: 1, diskMiB: 1 },
      limits: 'enforced',
      network: 'nat',
      blockedAddresses: [],
      mount: null,
    } as const
    await agent.engine.create(stray)
    await agent.supervisors.start({
      id: 'att_stray',
      launch: { argv: ['x'], env: {}, cwd: '/' },
      timeLimitMs: 1e9,
      graceMs: 1,
      logLimitBytes: 1,
    })
    await agent.start()
    expect([...agent.engine.sandboxes.keys()]).toEqual([attempt.id])
    expect(await agent.supervisors.list()).toEqual([attempt.id])
    expect((await ended(agent, attempt.id))?.outcome).toEqual({ kind: 'exited', code: 0 })
    await agent.kill()
  })

  it('tells the engine which addresses a job must not reach, and which limits hold', async () => {
    const agent = virtualAgent()
    await agent.start()
    const attempt = desiredAttempt()
    agent.controller.assign(attempt)
    await agent.time.until(() => agent.engine.sandboxes.size === 1, 10_000)
    const { request } = agent.engine.sandboxes.get(attempt.id) ?? {}
    expect(request).toMatchObject({
      id: attempt.id,
      jobId: attempt.jobId,
      limits: 'enforced',
      network: 'nat',
      blockedAddresses: ['10.0.0.1'],
    })
    await agent.kill()
  })
})
