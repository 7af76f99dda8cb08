import { afterEach, describe, expect, it } from 'vitest'
import type { Job, Outcome } from '../../src/model/job.ts'
import { readLog } from '../../src/serve/logs.ts'
import { startFleet, type Fleet, type FleetOptions } from '../doubles/controller-fleet.ts'
import { plainSync } from '../doubles/plain-sync.ts'
import type { Script } from '../doubles/simulated-agent.ts'
import { the } from '../doubles/the.ts'

let running: Fleet[] = []

async function start(options: FleetOptions = {}): Promise<Fleet> {
  const fleet = await startFleet(options)
  running.push(fleet)
  return fleet
}

afterEach(async () => {
  const fleets = running
  running = []
  // A later controller works on the store of an earlier one, which closes it.
  for (const fleet of fleets.toReversed()) {
    await fleet.stop()
    expect(fleet.faults).toEqual([])
  }
})

async function logText(fleet: Fleet, attemptId: string): Promise<string> {
  const parts: Uint8Array[] = []
  const { signal } = new AbortController()
  for await (const part of readLog(fleet.core.services, { attemptId, offset: 0, end: Number.POSITIVE_INFINITY, follow: false, signal })) {
    parts.push(part)
  }
  return Buffer.concat(parts).toString()
}

async function kindsOf(fleet: Fleet, jobId: string): Promise<readonly string[]> {
  return (await fleet.events()).filter(({ subject }) => subject === `job/${jobId}`).map(({ kind }) => kind)
}

const broken: Outcome = { kind: 'infrastructure', part: 'boot', code: 'BOOT_FAILED', message: 'it did not boot' }
const well: Script = async () => ({ kind: 'exited', code: 0 })
const fails: Script = async () => broken

/** Runs until it is cancelled. */
const endless: Script = async ({ reach, cancelled }) => {
  reach('running')
  return { kind: 'cancelled', by: await cancelled }
}

describe('the life of a job', () => {
  it('goes from submission over placement on a host to its exact outcome and whole log', async () => {
    const fleet = await start()
    await fleet.agent('mini-1', {
      script: async ({ reach, write, sleep }) => {
        reach('booting')
        await sleep(200)
        reach('running')
        await write('hello\n')
        await sleep(1000)
        await write('world\n')
        return { kind: 'exited', code: 7 }
      },
    })
    const job = await fleet.submit({ command: ['make', 'check'] })
    expect(job.state).toBe('queued')
    const done = await fleet.ended(job.id)
    expect(done.outcome).toEqual({ kind: 'exited', code: 7 })
    const [attempt, ...others] = await fleet.attempts(job.id)
    expect(others).toEqual([])
    expect(attempt).toMatchObject({ number: 1, state: 'ended', logComplete: true, logBytes: 12 })
    expect(await logText(fleet, the(attempt).id)).toBe('hello\nworld\n')
    expect(await kindsOf(fleet, job.id)).toEqual(['job.submitted', 'job.assigned', 'job.running', 'attempt.ended', 'job.ended'])
  })

  it('ends a queued job at once when it is cancelled, and never assigns it', async () => {
    const fleet = await start()
    const job = await fleet.submit()
    const cancelled = await fleet.cancel(job.id)
    expect(cancelled).toMatchObject({ state: 'ended', outcome: { kind: 'cancelled', by: 'user:test' } })
    const agent = await fleet.agent('mini-1')
    await fleet.time.advance(10_000)
    expect(agent.begun).toEqual([])
    expect(await fleet.cancel(job.id)).toEqual(cancelled)
  })

  it('tells the host to end a job that is cancelled, and ends it when the host did', async () => {
    const fleet = await start()
    await fleet.agent('mini-1', { script: endless })
    const job = await fleet.submit()
    await fleet.until(async () => (await fleet.job(job.id)).state === 'running')
    expect((await fleet.cancel(job.id)).state).toBe('running')
    const done = await fleet.ended(job.id, 2000)
    expect(done.outcome).toEqual({ kind: 'cancelled', by: 'user:test' })
  })

  it('ends a cancelled job as cancelled even when its host then fails', async () => {
    const fleet = await start()
    await fleet.agent('mini-1', { script: async ({ cancelled }) => cancelled.then(() => broken) })
    const job = await fleet.submit()
    await fleet.until(async () => (await fleet.job(job.id)).state === 'assigned')
    await fleet.cancel(job.id)
    expect((await fleet.ended(job.id)).outcome).toEqual({ kind: 'cancelled', by: 'user:test' })
  })

  it('tries a job again on another host when the infrastructure failed, after a delay', async () => {
    const fleet = await start()
    await fleet.agent('mini-1', { script: fails })
    const job = await fleet.submit()
    await fleet.until(async () => (await fleet.job(job.id)).infrastructureFailures === 1)
    const waiting = await fleet.job(job.id)
    expect(waiting).toMatchObject({ state: 'queued', outcome: null })
    expect(waiting.notBefore).toBeGreaterThan(fleet.time.clock.now())
    await fleet.agent('mini-2', { script: well })
    const done = await fleet.ended(job.id)
    expect(done.outcome).toEqual({ kind: 'exited', code: 0 })
    const attempts = await fleet.attempts(job.id)
    expect(attempts.map(({ number, outcome }) => [number, outcome?.kind])).toEqual([
      [1, 'infrastructure'],
      [2, 'exited'],
    ])
    expect(attempts[0]?.hostId).not.toBe(attempts[1]?.hostId)
  })

  it('ends a job with the fault of the infrastructure once its retries are used up', async () => {
    const fleet = await start({ spec: { pools: { default: { quarantineAfter: 100 } } } })
    await fleet.agent('mini-1', { script: fails })
    const job = await fleet.submit({ retries: 2 })
    const done = await fleet.ended(job.id, 120_000)
    expect(done).toMatchObject({ outcome: broken, infrastructureFailures: 3, attempts: 3 })
    expect(await kindsOf(fleet, job.id)).toEqual([
      'job.submitted',
      'job.assigned',
      'attempt.ended',
      'job.retried',
      'job.assigned',
      'attempt.ended',
      'job.retried',
      'job.assigned',
      'attempt.ended',
      'job.ended',
    ])
  })

  it('puts a host into quarantine after so many failures in a row, with reason and cure', async () => {
    const fleet = await start()
    await fleet.agent('mini-1', { script: fails })
    await fleet.submit({ retries: 5 })
    await fleet.until(async () => (await fleet.host('mini-1')).schedulable.kind === 'quarantined', 120_000)
    const { schedulable, failureStreak } = await fleet.host('mini-1')
    expect(failureStreak).toBe(3)
    expect(schedulable).toMatchObject({
      kind: 'quarantined',
      reason: expect.stringContaining('3'),
      cure: expect.stringContaining('cidery host'),
    })
  })
})

describe('a host that goes away with a job', () => {
  it('keeps its attempt until the lease is certainly over; then the job runs elsewhere and the late result is refused', async () => {
    const fleet = await start({ spec: { limits: { attemptLease: '2m' } } })
    const lost = await fleet.agent('mini-1', { script: endless })
    const job = await fleet.submit()
    await fleet.until(async () => (await fleet.job(job.id)).state === 'running')
    const [first] = await fleet.attempts(job.id)
    const lastWord = fleet.time.clock.now()
    const report = the(lost.attempts.get(the(first).id))
    lost.kill()
    await fleet.agent('mini-2', { script: well })
    await fleet.until(async () => (await fleet.host('mini-1')).state === 'lost', 200_000)
    expect((await fleet.attempts(job.id)).length).toBe(1)
    const done = await fleet.ended(job.id, 600_000)
    expect(done.outcome).toEqual({ kind: 'exited', code: 0 })
    const [before, after] = await fleet.attempts(job.id)
    expect(before).toMatchObject({ state: 'ended', outcome: { kind: 'infrastructure', code: 'LEASE_EXPIRED' } })
    // The lease, a tenth more, and a minute: only then may there be a second attempt.
    expect(the(the(after).times.assigned) - lastWord).toBeGreaterThanOrEqual(120_000 * 1.1 + 60_000 - 10_000)

    const link = fleet.link(the(before).hostId)
    const late = { ...report, revision: report.revision + 1, state: 'ended', outcome: { kind: 'exited', code: 99 } } as const
    const answer = await link.sync(plainSync({ attempts: [late] }), new AbortController().signal)
    expect(answer.acknowledged.attempts).toEqual([{ id: the(before).id, revision: late.revision, ended: true }])
    expect(await fleet.job(job.id)).toEqual(done)
    const refused = (await fleet.events()).filter(({ kind }) => kind === 'attempt.refused')
    expect(refused).toEqual([{ kind: 'attempt.refused', subject: `job/${job.id}` }])
  })

  it('tells a host that comes back to end what was given to another, and never runs two attempts that it knows of', async () => {
    const fleet = await start({ spec: { limits: { attemptLease: '1m' } } })
    const board = { cut: false }
    const hostId = await fleet.enrol('mini-1')
    const direct = fleet.link(hostId)
    const link: typeof direct = {
      ...direct,
      sync: async (request, signal) => {
        if (board.cut) throw new Error('the cable is out')
        return direct.sync(request, signal)
      },
    }
    const cancelledBy: string[] = []
    const agent = await fleet.agent('mini-1', {
      link,
      pollMs: 5000,
      script: async ({ reach, cancelled }) => {
        reach('running')
        cancelledBy.push(await cancelled)
        return { kind: 'cancelled', by: 'the host' }
      },
    })
    const job = await fleet.submit()
    await fleet.until(async () => (await fleet.job(job.id)).state === 'running')
    board.cut = true
    await fleet.agent('mini-2', { script: well })
    const done = await fleet.ended(job.id, 600_000)
    board.cut = false
    await fleet.until(async () => agent.attempts.size === 0, 60_000)
    expect(cancelledBy).toEqual(['not listed'])
    expect(await fleet.job(job.id)).toEqual(done)
    expect((await fleet.host('mini-1')).state).toBe('up')
  })

  it('ends the attempts of a boot that is over at once, since a new boot id proves it', async () => {
    const fleet = await start()
    const first = await fleet.agent('mini-1', { script: endless })
    const job = await fleet.submit()
    await fleet.until(async () => (await fleet.job(job.id)).state === 'running')
    first.kill()
    const at = fleet.time.elapsed()
    const second = await fleet.agent('mini-1', { script: well, bootId: 'boot-2', instanceId: 'second' })
    await fleet.until(async () => (await fleet.attempts(job.id))[0]?.state === 'ended')
    expect(fleet.time.elapsed() - at).toBeLessThan(2000)
    const done = await fleet.ended(job.id)
    expect((await fleet.attempts(job.id)).map(({ outcome }) => outcome?.kind)).toEqual(['infrastructure', 'exited'])
    expect(done.outcome).toEqual({ kind: 'exited', code: 0 })
    expect(second.begun).toHaveLength(1)
  })

  it('counts one power cut under several jobs as one failure of the host', async () => {
    const fleet = await start({ spec: { pools: { default: { quarantineAfter: 2 } } } })
    const first = await fleet.agent('mini-1', { script: endless })
    const jobs = [await fleet.submit(), await fleet.submit(), await fleet.submit()]
    for (const { id } of jobs) await fleet.until(async () => (await fleet.job(id)).state === 'running')
    first.kill()
    await fleet.agent('mini-1', { script: well, bootId: 'boot-2', instanceId: 'second' })
    for (const { id } of jobs) expect((await fleet.ended(id)).outcome).toEqual({ kind: 'exited', code: 0 })
    expect((await fleet.host('mini-1')).schedulable.kind).toBe('open')
  })
})

describe('a controller that dies', () => {
  it('goes on with the jobs, attempts and hosts that it had, and each job ends once', async () => {
    const first = await start()
    const script: Script = async ({ reach, sleep, desired }) => {
      reach('running')
      await sleep(20_000)
      return { kind: 'exited', code: Number(desired.job.spec.command?.[1] ?? 0) }
    }
    const agents = [await first.agent('mini-1', { script }), await first.agent('mini-2', { script })]
    const jobs: Job[] = []
    for (let code = 0; code < 6; code += 1) jobs.push(await first.submit({ command: ['exit', String(code)] }))
    await first.until(async () => (await first.job(the(jobs[5]).id)).state === 'running')
    await first.crash()
    await first.time.advance(5000)
    const second = await startFleet({ time: first.time, store: first.store, blobs: first.blobs, board: first.board, seed: 2 })
    running.push(second)
    expect(second.core.lead.epoch()).toBe(first.core.lead.epoch() + 1)
    for (const [code, { id }] of jobs.entries()) {
      const done = await second.ended(id, 120_000)
      expect(done).toMatchObject({ outcome: { kind: 'exited', code }, attempts: 1 })
    }
    expect(agents.flatMap(({ begun }) => begun)).toHaveLength(6)
    expect((await second.events()).filter(({ kind }) => kind === 'job.ended')).toHaveLength(6)
    expect((await second.host('mini-1')).state).toBe('up')
  })

  it('calls no host lost before it has listened for a whole lost interval', async () => {
    const first = await start()
    const agent = await first.agent('mini-1', { script: endless })
    const job = await first.submit()
    await first.until(async () => (await first.job(job.id)).state === 'running')
    await first.crash()
    // Down for longer than a host may be silent.
    await first.time.advance(300_000)
    const second = await startFleet({ time: first.time, store: first.store, blobs: first.blobs, board: first.board, seed: 2 })
    running.push(second)
    await second.time.advance(60_000)
    expect((await second.events()).filter(({ kind }) => kind === 'host.lost')).toEqual([])
    expect(await second.job(job.id)).toMatchObject({ state: 'running', attempts: 1 })
    expect(agent.begun).toHaveLength(1)
  })
})
