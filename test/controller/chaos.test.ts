import { describe, expect, it } from 'vitest'
import type { LoopStatus } from '../../src/loop/controller.ts'
import { createReadiness } from '../../src/main/controller-readiness.ts'
import { CideryError } from '../../src/model/errors.ts'
import type { Store } from '../../src/ports/store.ts'
import { cordonHost, retireHost } from '../../src/record/hosts.ts'
import { seededRandom } from '../../src/simulate/random.ts'
import { startFleet, type Fleet } from '../doubles/controller-fleet.ts'
import type { Script, SimulatedAgentOptions } from '../doubles/simulated-agent.ts'
import { the } from '../doubles/the.ts'
import { virtualTime } from '../doubles/virtual-time.ts'

type Link = SimulatedAgentOptions['link']

/** A line that loses requests, loses answers, doubles requests and is slow, as a seed says. */
function badLine(fleet: Fleet, link: Link, seed: number): { readonly link: Link; calm: boolean } {
  const random = seededRandom(seed)
  const line = { link, calm: false }
  async function through<T>(work: () => Promise<T>): Promise<T> {
    if (line.calm) return work()
    const fate = random.fraction()
    await fleet.time.timers.sleep(Math.floor(random.fraction() * 400))
    if (fate < 0.15) throw new CideryError('UNREACHABLE', 'the request was lost')
    if (fate < 0.25) await work().catch(() => undefined)
    const answer = await work()
    if (fate > 0.85) throw new CideryError('UNREACHABLE', 'the answer was lost')
    return answer
  }
  line.link = {
    sync: (request, signal) => through(() => link.sync(request, signal)),
    appendLog: (id, offset, bytes) => through(() => link.appendLog(id, offset, bytes)),
    finishLog: (id, length) => through(() => link.finishLog(id, length)),
  }
  return line
}

const script: Script = async ({ reach, write, sleep, desired }) => {
  reach('running')
  const words = desired.job.spec.command?.[1] ?? ''
  for (let line = 0; line < 5; line += 1) {
    await write(`${words} ${line}\n`)
    await sleep(700)
  }
  return { kind: 'exited', code: Number(words) }
}

describe('a controller behind bad lines', () => {
  it.each([1, 2, 3, 4, 5, 6])(
    'loops on, ends each job once with its own result and its whole log, and never has two attempts of one alive (seed %i) [003-40]',
    async (seed) => {
      const fleet = await startFleet({ seed })
      const lines: { calm: boolean }[] = []
      for (const name of ['mini-1', 'mini-2', 'mini-3']) {
        const line = badLine(fleet, fleet.link(await fleet.enrol(name)), seed * 100 + lines.length)
        lines.push(line)
        await fleet.agent(name, { script, link: line.link, pollMs: 5000 })
      }
      const jobs: string[] = []
      for (let code = 0; code < 30; code += 1) {
        jobs.push((await fleet.submit({ command: ['exit', String(code)] })).id)
        await fleet.time.advance(200)
        const live = await fleet.store.read((db) =>
          db.selectFrom('attempts').select('job_id').where('ended_at', 'is', null).orderBy('id').execute(),
        )
        expect(new Set(live.map(({ job_id }) => job_id)).size).toBe(live.length)
      }
      for (const line of lines) line.calm = true
      for (const [code, id] of jobs.entries()) {
        const job = await fleet.ended(id, 300_000)
        expect(job).toMatchObject({ outcome: { kind: 'exited', code }, attempts: 1 })
        const attempt = the((await fleet.attempts(id))[0])
        await fleet.until(async () => (await fleet.attempts(id)).every(({ logComplete }) => logComplete), 300_000)
        const parts: Buffer[] = []
        for await (const part of fleet.blobs.read(`logs/${attempt.id}`, 0) as AsyncIterable<Buffer>) parts.push(part)
        expect(Buffer.concat(parts).toString()).toBe([0, 1, 2, 3, 4].map((line) => `${code} ${line}\n`).join(''))
      }
      expect((await fleet.events()).filter(({ kind }) => kind === 'job.ended')).toHaveLength(30)
      expect(fleet.core.loop.status()).toMatchObject({ failures: 0, problem: null })
      expect(fleet.faults).toEqual([])
      await fleet.stop()
    },
  )
})

describe('readiness', () => {
  const good: LoopStatus = { lastPassAt: 0, lastPassMs: 1, passes: 1, failures: 0, staleSteps: 0, problem: null }

  it('follows the real loop: a loop that stands still is not ready, though the process answers [003-40]', async () => {
    const fleet = await startFleet()
    const look = createReadiness({
      store: fleet.store,
      clock: fleet.time.clock,
      timers: fleet.time.timers,
      instance: 'ctl',
      loop: fleet.core.loop.status,
    })
    const signal = new AbortController().signal
    await fleet.time.advance(60_000)
    expect(await look(signal)).toEqual({ ready: true, reasons: [] })
    // Nothing to do for minutes: it passes all the same.
    await fleet.time.advance(300_000)
    expect(await look(signal)).toMatchObject({ ready: true })
    const stopped = fleet.core.loop.stop()
    await fleet.time.advance(30_000)
    await stopped
    expect(await look(signal)).toEqual({ ready: false, reasons: [expect.stringMatching(/^the loop has not passed for \d+ s$/)] })
    await fleet.stop()
  })

  it('tells a store that fails and one that hangs, and asks it no more than once a second', async () => {
    const time = virtualTime()
    let writes = 0
    let how: 'fails' | 'hangs' = 'fails'
    const store = {
      write: () => {
        writes += 1
        return how === 'fails' ? Promise.reject(new Error('the disk is gone')) : new Promise(() => undefined)
      },
    } as unknown as Store
    const look = createReadiness({
      store,
      clock: time.clock,
      timers: time.timers,
      instance: 'ctl',
      loop: () => ({ ...good, lastPassAt: time.clock.now() }),
    })
    const signal = new AbortController().signal
    expect(await look(signal)).toEqual({ ready: false, reasons: ['the store does not write'] })
    await look(signal)
    expect(writes).toBe(1)
    how = 'hangs'
    await time.advance(2000)
    const hanging = look(signal)
    await time.advance(5000)
    expect(await hanging).toEqual({ ready: false, reasons: ['the store did not answer within 5 s'] })
  })
})

describe('a pass that throws', () => {
  it('is logged and counted, backed off, and does not end the loop', async () => {
    const fleet = await startFleet()
    const { store } = fleet
    const read = store.read.bind(store)
    let broken = true
    Object.assign(store, {
      read: (work: Parameters<Store['read']>[0]) => (broken ? Promise.reject(new Error('a disk error')) : read(work)),
    })
    await fleet.time.advance(60_000)
    const { failures, problem } = fleet.core.loop.status()
    expect(problem).toContain('a disk error')
    // Doubling waits up to ten seconds: not hundreds in a minute.
    expect(failures).toBeGreaterThan(5)
    expect(failures).toBeLessThan(20)
    expect(fleet.log.lines.filter(({ message }) => message === 'a pass of the loop failed').length).toBe(failures)
    broken = false
    await fleet.agent('mini-1')
    const job = await fleet.submit()
    await fleet.ended(job.id)
    expect(fleet.core.loop.status().problem).toBeNull()
    await fleet.stop()
  })
})

describe('reasons', () => {
  it('are there for every waiting job at every instant, with the hosts they hold for, since when, and a cure [W-01]', async () => {
    const spec = { pools: { default: {}, far: {} }, queues: { default: {}, narrow: { maxRunning: 1 }, remote: { pools: ['far'] } } }
    const fleet = await startFleet({ spec })
    const random = seededRandom(11)
    const agents: { kill(): void }[] = []
    const kinds = [
      {},
      {},
      { labels: { xcode: '16' } },
      { queue: 'narrow' },
      { queue: 'remote' },
      { shape: { cpu: 500 } },
      { shape: { memoryMiB: 9000 } },
    ]
    const seen = new Set<string>()

    async function everyWaitingJobHasItsReason(): Promise<void> {
      await fleet.time.advance(20)
      const { items } = {
        items: await fleet.store.read((db) => db.selectFrom('jobs').select('id').where('state', '=', 'queued').orderBy('id').execute()),
      }
      for (const { id } of items) {
        const waiting = await fleet.core.services.judgement.explain(`job/${id}`, fleet.time.clock.now())
        const [first] = waiting
        expect([id, first?.code]).toEqual([id, expect.any(String)])
        for (const reason of waiting) {
          seen.add(reason.code)
          expect(reason.cure).not.toBe('')
          expect(reason.message).not.toBe('')
          expect(reason.since).toBeLessThanOrEqual(fleet.time.clock.now())
          expect(reason.hostCount).toBeGreaterThanOrEqual(reason.hosts.length)
        }
      }
    }

    const busy: Script = async ({ reach, sleep }) => {
      reach('running')
      await sleep(20_000 + random.fraction() * 20_000)
      return random.fraction() < 0.3 ? { kind: 'infrastructure', part: 'boot', code: 'X', message: 'x' } : { kind: 'exited', code: 0 }
    }
    for (let turn = 0; turn < 120; turn += 1) {
      const what = random.fraction()
      if (what < 0.6) await fleet.submit(kinds[Math.floor(random.fraction() * kinds.length)])
      else if (what < 0.75 && agents.length < 4) agents.push(await fleet.agent(`mini-${agents.length}`, { script: busy, slots: 2 }))
      else if (what < 0.8) agents[Math.floor(random.fraction() * agents.length)]?.kill()
      else await fleet.time.advance(random.fraction() * 30_000)
      await everyWaitingJobHasItsReason()
    }
    expect(seen.size).toBeGreaterThan(4)
    expect(fleet.faults).toEqual([])
    await fleet.stop()
  })

  it('change within one loop of their cause [W-01]', async () => {
    const fleet = await startFleet()
    const endless: Script = async ({ reach, cancelled }) => {
      reach('running')
      return { kind: 'cancelled', by: await cancelled }
    }
    const waiting = await fleet.submit()
    // A loop is begun within milliseconds of a commit; twenty are many.
    const soon = async (): Promise<readonly string[]> => {
      await fleet.time.advance(20)
      return (await fleet.core.services.judgement.explain(`job/${waiting.id}`, fleet.time.clock.now())).map(({ code }) => code)
    }
    const as = { actor: 'user:test', origin: null }
    expect(await soon()).toEqual(['noHosts'])
    await fleet.enrol('mini-0')
    await fleet.core.recorder.write(as, (tx) => cordonHost(tx, { host: 'mini-0', ifMatch: null }, 'test'))
    expect(await soon()).toEqual(['hostCordoned'])
    await fleet.core.recorder.write(as, (tx) => retireHost(tx, { host: 'mini-0', ifMatch: null }))
    expect(await soon()).toEqual(['noHosts'])
    // The job runs as soon as there is a host; the next one finds its only slot taken.
    const agent = await fleet.agent('mini-1', { slots: 1, script: endless })
    expect(await soon()).toEqual([])
    const second = await fleet.submit()
    await fleet.time.advance(20)
    const reasons = async (): Promise<readonly string[]> =>
      (await fleet.core.services.judgement.explain(`job/${second.id}`, fleet.time.clock.now())).map(({ code }) => code)
    expect(await reasons()).toEqual(['noCapacity'])
    agent.kill()
    await fleet.until(async () => (await fleet.host('mini-1')).state === 'lost', 200_000)
    await fleet.time.advance(20)
    expect(await reasons()).toEqual(['hostLost'])
    const [attempt] = await fleet.core.services.judgement.explain(`job/${waiting.id}`, fleet.time.clock.now())
    expect(attempt).toMatchObject({ code: 'leaseRunning', hostCount: 1 })
    await fleet.stop()
  })
})
