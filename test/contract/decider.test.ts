import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { advanceWorld, emptyWorld } from '../../src/decide/advance-world.ts'
import { createSystemTimers } from '../../src/drivers/clocks/system-timers.ts'
import { createInlineDecider } from '../../src/drivers/deciders/inline-decider.ts'
import { createWorkerDecider } from '../../src/drivers/deciders/worker-decider.ts'
import { decisionRules } from '../../src/loop/controller/rules.ts'
import { JobSpec, type Job } from '../../src/model/job.ts'
import { defaultSpec } from '../../src/model/spec.ts'
import type { Change } from '../../src/model/world.ts'
import type { Decider } from '../../src/ports/decider.ts'

const now = 1_790_000_000_000
const entry = new URL('./decider-entry.ts', import.meta.url)
const rules = decisionRules(() => {})

function queued(i: number): Change {
  const id: Job['id'] = `job_${String(i).padStart(26, '0')}`
  const spec = JobSpec.parse({ command: ['true'], priority: i % 3 })
  const resolved = {
    spec,
    engine: 'user',
    image: null,
    shape: { cpu: 1, memoryMiB: 512, diskMiB: 10 },
    timeoutS: 60,
    retries: 0,
    network: 'nat',
    logBytes: 1000,
  } as const
  const job: Job = {
    id,
    queue: 'default',
    state: 'queued',
    resolved,
    submittedAt: now - i,
    submittedBy: 'user:alice',
    generation: 1,
    attempts: 0,
    infrastructureFailures: 0,
    notBefore: 0,
    avoidHosts: [],
    cancelRequested: i % 10 === 9 ? { by: 'user:alice', at: now } : null,
    outcome: null,
    endedAt: null,
  }
  return { of: 'job', id, job }
}

const jobs = Array.from({ length: 300 }, (_, i) => queued(i))

const drivers: Record<string, () => Decider> = {
  inline: () => createInlineDecider(rules),
  worker: () => createWorkerDecider({ entry, timers: createSystemTimers() }),
}

describe.each(Object.entries(drivers))('a decider (%s)', (_name, open) => {
  let decider: Decider
  beforeEach(() => {
    decider = open()
  })
  afterEach(() => decider.close())

  it('decides over the world that it was given and all that was advanced before', async () => {
    const world = advanceWorld(emptyWorld(now - 1_000_000), jobs.slice(0, 200), defaultSpec)
    await decider.reset(defaultSpec, world)
    expect(await decider.decide(now)).toEqual(rules.decide(defaultSpec, world, now))
    decider.advance(jobs.slice(200, 250))
    decider.advance(jobs.slice(250))
    decider.advance([{ of: 'job', id: jobs[0]?.id ?? '', job: null }])
    const later = advanceWorld(
      advanceWorld(world, jobs.slice(200), defaultSpec),
      [{ of: 'job', id: jobs[0]?.id ?? '', job: null }],
      defaultSpec,
    )
    const plan = await decider.decide(now + 5)
    expect(plan).toEqual(rules.decide(defaultSpec, later, now + 5))
    expect(plan.steps.length).toBeGreaterThan(0)
    expect(plan.waiting.length).toBeGreaterThan(0)
  })

  it('decides by the newest spec', async () => {
    await decider.reset(defaultSpec, advanceWorld(emptyWorld(now), jobs, defaultSpec))
    const spec = { ...defaultSpec, queues: {} }
    await decider.setSpec(spec)
    const world = advanceWorld(advanceWorld(emptyWorld(now), jobs, defaultSpec), [], spec)
    expect(await decider.decide(now)).toEqual(rules.decide(spec, world, now))
  })

  it('explains by the same rules', async () => {
    const world = advanceWorld(emptyWorld(now), jobs, defaultSpec)
    await decider.reset(defaultSpec, world)
    const subject = `job/${jobs[1]?.id ?? ''}`
    expect(await decider.explain(subject, now)).toEqual(rules.explain({ spec: defaultSpec, world, now, subject }))
    await expect(decider.explain('nonsense/x', now)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    // A question that was refused does no harm to the next.
    expect(await decider.decide(now)).toEqual(rules.decide(defaultSpec, world, now))
  })

  it('refuses to decide without a world', async () => {
    await expect(decider.decide(now)).rejects.toMatchObject({ code: expect.stringMatching(/INTERNAL|UNAVAILABLE/) as string })
  })
})

describe('a deciding thread', () => {
  it('that died or hangs is told of, and replaced when the world is given again', async () => {
    const decider = createWorkerDecider({ entry, timers: createSystemTimers(), limit: 4000 })
    try {
      const world = advanceWorld(emptyWorld(now), jobs, defaultSpec)
      for (const subject of ['test/die', 'test/hang']) {
        await decider.reset(defaultSpec, world)
        const [asked, behind] = await Promise.allSettled([decider.explain(subject, now), decider.decide(now)])
        for (const answer of [asked, behind]) expect(answer).toMatchObject({ status: 'rejected', reason: { code: 'UNAVAILABLE' } })
        decider.advance(jobs)
        await expect(decider.decide(now)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
      }
      await decider.reset(defaultSpec, world)
      expect(await decider.decide(now)).toEqual(rules.decide(defaultSpec, world, now))
    } finally {
      await decider.close()
    }
    await expect(decider.decide(now)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    await expect(decider.reset(defaultSpec, emptyWorld(now))).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  })

  it('leaves the thread of the requests free', async () => {
    const decider = createWorkerDecider({ entry, timers: createSystemTimers(), limit: 4000 })
    await decider.reset(defaultSpec, emptyWorld(now))
    const hanging = decider.explain('test/hang', now).catch(() => 'given up')
    let turns = 0
    const count = setInterval(() => (turns += 1), 5)
    expect(await hanging).toBe('given up')
    clearInterval(count)
    expect(turns).toBeGreaterThan(20)
    await decider.close()
  })
})
