import { describe, expect, it } from 'vitest'
import type { Job } from '../../src/model/job.ts'
import { startFleet, type Fleet } from '../doubles/controller-fleet.ts'
import type { Program } from '../doubles/fake-supervisors.ts'
import { addLinkedHost as addHost, linkedSpec as spec } from '../doubles/linked-host.ts'
import { the } from '../doubles/the.ts'

/** The words that a command was started with tell what it does: `work 3000 7` runs three seconds and exits with 7. */
function work(words: readonly string[]): Program {
  const at = words.indexOf('work')
  return { runsMs: Number(words[at + 1]), code: Number(words[at + 2]), log: `began ${words[at + 2]}\nended ${words[at + 2]}\n` }
}

async function submitAll(fleet: Fleet, count: number, runsMs: number): Promise<readonly Job[]> {
  const jobs: Job[] = []
  for (let code = 0; code < count; code += 1) jobs.push(await fleet.submit({ command: ['work', String(runsMs), String(code)] }))
  return jobs
}

async function logOf(fleet: Fleet, jobId: string): Promise<string> {
  const [attempt] = await fleet.attempts(jobId)
  const parts: Buffer[] = []
  for await (const part of fleet.blobs.read(`logs/${the(attempt).id}`, 0) as AsyncIterable<Buffer>) parts.push(part)
  return Buffer.concat(parts).toString()
}

describe('the controller loop and the agent loop together, in virtual time', () => {
  it('carry jobs from submission to outcome and log, with nothing left behind on the hosts', async () => {
    const fleet = await startFleet({ spec })
    const hosts = [await addHost(fleet, 'mini-1', work), await addHost(fleet, 'mini-2', work)]
    for (const host of hosts) await host.startAgent()
    const jobs = await submitAll(fleet, 12, 3000)
    for (const [code, { id }] of jobs.entries()) {
      expect((await fleet.ended(id, 300_000)).outcome).toEqual({ kind: 'exited', code })
      await fleet.until(async () => (await fleet.attempts(id)).some(({ logComplete }) => logComplete))
      expect(await logOf(fleet, id)).toBe(`began ${code}\nended ${code}\n`)
    }
    await fleet.time.advance(30_000)
    for (const host of hosts) expect(await host.engine.list()).toEqual([])
    expect(hosts.flatMap(({ supervisors }) => supervisors.runs)).toHaveLength(12)
    expect(fleet.faults).toEqual([])
    for (const host of hosts) await host.killAgent()
    await fleet.stop()
  })

  it('go on with every job over the death of either, and each job runs once and ends once [003-23]', async () => {
    const first = await startFleet({ spec })
    const hosts = [await addHost(first, 'mini-1', work), await addHost(first, 'mini-2', work)]
    for (const host of hosts) await host.startAgent()
    const jobs = await submitAll(first, 6, 120_000)
    await first.until(async () => (await first.job(the(jobs[5]).id)).state === 'running', 120_000)
    const before = await Promise.all(jobs.map(({ id }) => first.job(id)))

    await the(hosts[0]).killAgent()
    // What the controller knows does not go with the agent.
    expect(await Promise.all(jobs.map(({ id }) => first.job(id)))).toEqual(before)
    await the(hosts[0]).startAgent()

    await first.crash()
    await first.time.advance(20_000)
    const second = await startFleet({ time: first.time, store: first.store, blobs: first.blobs, board: first.board, seed: 2, spec })
    for (const [code, { id }] of jobs.entries()) {
      expect(await second.ended(id, 600_000)).toMatchObject({ outcome: { kind: 'exited', code }, attempts: 1 })
    }
    expect(hosts.flatMap(({ supervisors }) => supervisors.runs)).toHaveLength(6)
    expect((await second.events()).filter(({ kind }) => kind === 'job.ended')).toHaveLength(6)
    for (const host of hosts) await host.killAgent()
    await second.stop()
    await first.stop()
    expect([...first.faults, ...second.faults]).toEqual([])
  })

  it('have one leader of two controllers, and another within ten seconds of its death', async () => {
    const first = await startFleet({ spec, others: true })
    const hosts = [await addHost(first, 'mini-1', work), await addHost(first, 'mini-2', work)]
    for (const host of hosts) await host.startAgent()
    const jobs = await submitAll(first, 6, 120_000)
    // From here on the second answers the agents, whoever leads.
    const second = await startFleet({
      time: first.time,
      store: first.store,
      blobs: first.blobs,
      board: first.board,
      seed: 2,
      spec,
      others: true,
    })
    await first.until(async () => (await first.job(the(jobs[5]).id)).state === 'running', 120_000)
    expect([first.core.lead.leads(), second.core.lead.leads()]).toEqual([true, false])
    await first.crash()
    first.board.core = second.core
    const diedAt = first.time.elapsed()
    await second.until(() => Promise.resolve(second.core.lead.leads()), 60_000)
    expect(first.time.elapsed() - diedAt).toBeLessThanOrEqual(10_000)
    for (const [code, { id }] of jobs.entries()) {
      expect(await second.ended(id, 600_000)).toMatchObject({ outcome: { kind: 'exited', code }, attempts: 1 })
    }
    expect(hosts.flatMap(({ supervisors }) => supervisors.runs)).toHaveLength(6)
    for (const host of hosts) await host.killAgent()
    await second.stop()
    await first.stop()
    expect([...first.faults, ...second.faults]).toEqual([])
  })

  it('end a cancelled job within its grace, and give a crowded fleet its slots one by one', async () => {
    const fleet = await startFleet({ spec })
    const host = await addHost(fleet, 'mini-1', work)
    await host.startAgent()
    const jobs = await submitAll(fleet, 20, 60_000)
    await fleet.time.advance(10_000)
    const states = async (): Promise<readonly string[]> => Promise.all(jobs.map(async ({ id }) => (await fleet.job(id)).state))
    const runningNow = (await states()).filter((state) => state === 'running').length
    expect(runningNow).toBeGreaterThan(0)
    expect(runningNow).toBeLessThan(20)
    // Each that waits says why.
    const reasons = fleet.core.loop.plan().waiting.filter(({ subject }) => subject.startsWith('class/'))
    expect(reasons.length).toBeGreaterThan(0)
    const first = the(jobs[0])
    const at = fleet.time.elapsed()
    await fleet.cancel(first.id)
    expect((await fleet.ended(first.id, 30_000)).outcome).toMatchObject({ kind: 'cancelled' })
    expect(fleet.time.elapsed() - at).toBeLessThan(15_000)
    for (const { id } of jobs.slice(1)) expect((await fleet.ended(id, 1_200_000)).outcome?.kind).toBe('exited')
    await host.killAgent()
    await fleet.stop()
    expect(fleet.faults).toEqual([])
  })
})
