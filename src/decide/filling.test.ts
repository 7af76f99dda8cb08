import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { makeAttempt, makeEngine, makeFacts, makeHost, makeJob, makeSpec, makeWorld, start } from '../../test/decide/build-world.ts'
import { effort } from '../../test/decide/effort.ts'
import { liveThrough, type Arrival } from '../../test/decide/virtual-fleet.ts'
import type { Host } from '../model/host.ts'
import { minute, second } from '../model/instant.ts'
import type { Plan } from '../model/plan.ts'
import type { Spec } from '../model/spec.ts'
import { decide } from './decide.ts'

const now = start + second

function bigHost(number: number, slots: number): Host {
  const engines = [makeEngine('user', { slots })]
  return makeHost(number, {
    facts: makeFacts({
      engines,
      capacity: { cpu: 100, memoryMiB: 1_000_000, diskMiB: 1_000_000 },
      free: { cpu: 100, memoryMiB: 1_000_000, diskMiB: 1_000_000 },
    }),
  })
}

function jobsOf(queue: string, spec: Spec, range: { from: number; count: number; cpu?: number }) {
  const shape = { cpu: range.cpu ?? 0.5, memoryMiB: 10, diskMiB: 10 }
  return Array.from({ length: range.count }, (_, index) => makeJob(range.from + index, { spec, wants: { queue, shape } }))
}

/** Jobs placed per queue. */
function shares(plan: Plan, jobs: readonly { id: string; queue: string }[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const step of plan.steps) {
    if (step.kind !== 'assign') continue
    const queue = jobs.find(({ id }) => id === step.jobId)?.queue ?? '?'
    counts[queue] = (counts[queue] ?? 0) + 1
  }
  return counts
}

describe('slots are shared between queues', () => {
  it('by their weights', () => {
    const spec = makeSpec({ queues: { a: { weight: 1 }, b: { weight: 3 } } })
    const jobs = [...jobsOf('a', spec, { from: 1, count: 50 }), ...jobsOf('b', spec, { from: 100, count: 50 })]
    expect(shares(decide(spec, makeWorld({ hosts: [bigHost(1, 12)], jobs }), now), jobs)).toEqual({ a: 3, b: 9 })
  })

  it('with what one leaves lent to the others', () => {
    const spec = makeSpec({ queues: { a: {}, b: {} } })
    const jobs = [...jobsOf('a', spec, { from: 1, count: 50 }), ...jobsOf('b', spec, { from: 100, count: 2 })]
    expect(shares(decide(spec, makeWorld({ hosts: [bigHost(1, 12)], jobs }), now), jobs)).toEqual({ a: 10, b: 2 })
  })

  it('counting what runs already', () => {
    const spec = makeSpec({ queues: { a: {}, b: {} } })
    const host = bigHost(1, 12)
    const busy = jobsOf('a', spec, { from: 900, count: 6 }).map((job) => ({ ...job, state: 'running' as const }))
    const attempts = busy.map((job, index) => makeAttempt(index, { job, host }))
    const jobs = [...jobsOf('a', spec, { from: 1, count: 20 }), ...jobsOf('b', spec, { from: 100, count: 20 })]
    expect(shares(decide(spec, makeWorld({ hosts: [host], jobs: [...jobs, ...busy], attempts }), now), jobs)).toEqual({ b: 6 })
  })

  it('counting each attempt that runs, of whatever shape', () => {
    const spec = makeSpec({ queues: { a: {}, b: {} } })
    const host = bigHost(1, 20)
    const busy = [
      ...jobsOf('a', spec, { from: 900, count: 4 }),
      ...jobsOf('a', spec, { from: 910, count: 1, cpu: 22 }),
      ...jobsOf('b', spec, { from: 920, count: 2 }),
    ].map((job) => ({ ...job, state: 'running' as const }))
    const attempts = busy.map((job, index) => makeAttempt(index, { job, host }))
    const jobs = [...jobsOf('a', spec, { from: 1, count: 20 }), ...jobsOf('b', spec, { from: 100, count: 20 })]
    // Of 20 slots and 100 CPUs, a has 4/20 + 22/100 = 42 % and b 2/20 = 10 %: b gets seven to pass a, then each in turn.
    const plan = decide(spec, makeWorld({ hosts: [host], jobs: [...jobs, ...busy], attempts }), now)
    expect(shares({ ...plan, steps: plan.steps.slice(0, 7) }, jobs)).toEqual({ b: 7 })
    expect(shares(plan, jobs)).toEqual({ a: 3, b: 10 })
  })

  it('by the largest part of the fleet that a job takes: slots, CPU or memory', () => {
    const spec = makeSpec({ queues: { a: {}, b: {}, c: {} } })
    const wants = (queue: string, shape: Record<string, number>, from: number) =>
      Array.from({ length: 20 }, (_, index) => makeJob(from + index, { spec, wants: { queue, shape: { diskMiB: 0, ...shape } } }))
    // Of 100 CPUs, 1,000,000 MiB and 40 slots: a takes a tenth by CPU, b a tenth by memory, c a fortieth by slots.
    const jobs = [
      ...wants('a', { cpu: 10, memoryMiB: 1 }, 1),
      ...wants('b', { cpu: 0.1, memoryMiB: 100_000 }, 100),
      ...wants('c', { cpu: 0.1, memoryMiB: 1 }, 200),
    ]
    const plan = decide(spec, makeWorld({ hosts: [bigHost(1, 40)], jobs }), now)
    const first = plan.steps.slice(0, 18)
    expect(shares({ ...plan, steps: first }, jobs)).toEqual({ a: 3, b: 3, c: 12 })
  })

  it('to the queue whose next job waits longest, then by name, when shares are equal', () => {
    const spec = makeSpec({ queues: { a: {}, b: {} } })
    const [fromA, fromB] = [makeJob(2, { spec, wants: { queue: 'a' } }), makeJob(1, { spec, wants: { queue: 'b' } })]
    const older = makeJob(3, { spec, wants: { queue: 'b' }, changes: { submittedAt: start - 1 } })
    const one = makeHost(1, { facts: makeFacts({ engines: [makeEngine('user', { slots: 1 })] }) })
    expect(decide(spec, makeWorld({ hosts: [one], jobs: [fromA, older] }), now).steps).toMatchObject([{ jobId: older.id }])
    expect(decide(spec, makeWorld({ hosts: [one], jobs: [fromA, fromB] }), now).steps).toMatchObject([{ jobId: fromB.id }])
  })

  it('never beyond the limit of a queue, which others may use up', () => {
    const spec = makeSpec({ queues: { a: { maxRunning: 2 }, b: {} } })
    const jobs = [...jobsOf('a', spec, { from: 1, count: 20 }), ...jobsOf('b', spec, { from: 100, count: 20 })]
    expect(shares(decide(spec, makeWorld({ hosts: [bigHost(1, 12)], jobs }), now), jobs)).toEqual({ a: 2, b: 10 })
  })
})

describe('a queue with a thousand jobs', () => {
  it("cannot push another queue's wait past the longest run of one job, and gets all that others leave [W-11]", () => {
    const spec = makeSpec({ queues: { crowd: {}, few: {} } })
    const hosts = [bigHost(1, 4), bigHost(2, 4)]
    const runsMs = 10 * minute
    const crowd: Arrival[] = jobsOf('crowd', spec, { from: 1, count: effort(1000, 100) }).map((job, index) => ({
      at: start,
      job,
      runsMs: runsMs - (index % 8) * minute,
    }))
    const few: Arrival[] = jobsOf('few', spec, { from: 5000, count: effort(20, 3) }).map((job, index) => {
      const at = start + minute + index * 17 * minute
      return { at, job: { ...job, submittedAt: at, notBefore: at }, runsMs }
    })
    const lived = liveThrough({ spec, hosts, arrivals: [...crowd, ...few], tickMs: 30 * second }, (plan, scene) => {
      // Nothing is idle while something waits.
      const waits = plan.waiting.some(({ subject }) => subject.startsWith('class/'))
      const placed = plan.steps.filter(({ kind }) => kind === 'assign').length
      if (waits) expect(scene.world.attempts.size + placed).toBe(8)
    })
    for (const { job, at } of few) expect((lived.startedAt.get(job.id) ?? Infinity) - at).toBeLessThanOrEqual(runsMs + 30 * second)
  })

  it('shares slots with others by weight for as long as both have jobs [W-11]', () => {
    fc.assert(
      fc.property(fc.constantFrom(1, 2, 3), fc.constantFrom(1, 2, 5), fc.integer({ min: 4, max: 12 }), (weightA, weightB, slots) => {
        const spec = makeSpec({ queues: { a: { weight: weightA }, b: { weight: weightB } } })
        const arrivals = ['a', 'b'].flatMap((queue, index) =>
          jobsOf(queue, spec, { from: 1 + index * 1000, count: 60 }).map((job) => ({ at: start, job, runsMs: minute })),
        )
        liveThrough({ spec, hosts: [bigHost(1, slots)], arrivals, tickMs: minute }, (plan, scene) => {
          const queued = (queue: string) =>
            [...scene.world.classes.values()].filter((jobClass) => jobClass.queue === queue).reduce((sum, { jobs }) => sum + jobs.size, 0)
          const given = shares(plan, [...scene.jobs.values()])
          if (queued('a') < slots || queued('b') < slots) return
          expect(Math.abs((given['a'] ?? 0) - (slots * weightA) / (weightA + weightB))).toBeLessThanOrEqual(1)
        })
      }),
      { numRuns: effort(10, 2) },
    )
  })
})

describe('a large job among small ones', () => {
  const spec = makeSpec({ queues: { big: {}, small: {} }, limits: { holdAfter: '10m' } })
  const plain = makeJob(1)
  const large = { ...plain, queue: 'big', resolved: { ...plain.resolved, shape: { cpu: 8, memoryMiB: 1024, diskMiB: 4096 } } }

  function scene(waitedMs: number) {
    const hosts = [makeHost(1), makeHost(2)]
    const [first, second_] = hosts
    if (first === undefined || second_ === undefined) throw new Error('two hosts were made')
    const busy = [
      { host: first, cpu: 3 },
      { host: second_, cpu: 1 },
    ].map(({ host, cpu }, index) => {
      const job = makeJob(100 + index, { spec, wants: { queue: 'small', shape: { cpu, memoryMiB: 100 } }, changes: { state: 'running' } })
      return { job, attempt: makeAttempt(index, { job, host }) }
    })
    const small = [1, 2, 3, 4].map((number) =>
      makeJob(200 + number, { spec, wants: { queue: 'small', shape: { cpu: 2, memoryMiB: 100 } } }),
    )
    const waiting = { ...large, submittedAt: now - waitedMs, notBefore: now - waitedMs }
    const world = makeWorld({
      hosts,
      jobs: [waiting, ...small, ...busy.map(({ job }) => job)],
      attempts: busy.map(({ attempt }) => attempt),
    })
    return { plan: decide(spec, world, now), hosts }
  }

  function hostsUsed(plan: Plan): Set<string> {
    return new Set(plan.steps.flatMap((step) => (step.kind === 'assign' ? [step.hostId] : [])))
  }

  it('lets them pass while it waits for less than holdAfter', () => {
    const { plan, hosts } = scene(10 * minute - 1)
    expect(hostsUsed(plan)).toEqual(new Set(hosts.map(({ id }) => id)))
    expect(plan.nextAt).toBe(now + 1)
  })

  it('then has the host that is nearest to having room kept free, and both sides are told', () => {
    const { plan, hosts } = scene(10 * minute)
    expect(hostsUsed(plan)).toEqual(new Set([hosts[0]?.id]))
    const told = plan.waiting.filter(({ subject }) => subject.startsWith('class/'))
    expect(told.map(({ subject, code, message, cure, hosts: held }) => [subject.split('/')[1], code, message, cure, held.length])).toEqual([
      [
        'big',
        'noCapacity',
        '2 matching hosts are full: 2 of 2 lack CPU; mini-2 is kept free for it',
        'wait for running jobs, ask for less, or add a host: cidery host add',
        2,
      ],
      [
        'small',
        'noCapacity',
        '1 matching host is full: 1 of 1 lacks CPU',
        'wait for running jobs, ask for less, or add a host: cidery host add',
        1,
      ],
      [
        'small',
        'fairShare',
        '1 host with room is kept free for a job of queue big that waited longer than limits.holdAfter',
        'wait, or give queue small a larger weight',
        1,
      ],
    ])
  })

  it('starts at last, however many small ones come', () => {
    const hosts = [makeHost(1), makeHost(2)]
    const small: Arrival[] = Array.from({ length: effort(300, 150) }, (_, index) => {
      const at = start + index * 20 * second
      const job = makeJob(10 + index, { spec, wants: { queue: 'small', shape: { cpu: 2, memoryMiB: 100 } }, changes: { submittedAt: at } })
      return { at, job, runsMs: 3 * minute + (index % 5) * 10 * second }
    })
    const lived = liveThrough({
      spec,
      hosts,
      arrivals: [...small, { at: start + minute, job: { ...large, submittedAt: start + minute }, runsMs: minute }],
      tickMs: 10 * second,
    })
    const waited = (lived.startedAt.get(large.id) ?? Infinity) - start - minute
    expect(waited).toBeGreaterThan(9 * minute)
    expect(waited).toBeLessThan(10 * minute + 4 * minute)
  })

  it('of the queue with the larger share does not hold what another queue waits for', () => {
    const host = makeHost(1)
    const running = makeJob(300, { spec, wants: { queue: 'big', shape: { cpu: 2, memoryMiB: 100 } }, changes: { state: 'running' } })
    const rival = makeJob(301, {
      spec,
      wants: { queue: 'small', shape: { cpu: 7, memoryMiB: 100 } },
      changes: { submittedAt: now - 20 * minute },
    })
    const waiting = { ...large, submittedAt: now - 30 * minute }
    const world = makeWorld({ hosts: [host], jobs: [running, rival, waiting], attempts: [makeAttempt(1, { job: running, host })] })
    const told = decide(spec, world, now).waiting
    expect(told.find(({ subject }) => subject.startsWith('class/small'))?.message).toContain('mini-1 is kept free for it')
    expect(told.find(({ subject }) => subject.startsWith('class/big'))?.message).not.toContain('kept free')
  })

  it('holds the first by id, of hosts that are equally near, in whatever group they are', () => {
    const hosts = [makeHost(1, { labels: { rack: 'b' } }), makeHost(2, { labels: { rack: 'a' } }), makeHost(3, { labels: { rack: 'b' } })]
    const busy = hosts.map((host, index) => {
      const job = makeJob(300 + index, {
        spec,
        wants: { queue: 'small', shape: { cpu: index === 0 ? 6 : 4, memoryMiB: 100 } },
        changes: { state: 'running' },
      })
      return { job, attempt: makeAttempt(index, { job, host }) }
    })
    const rack = makeJob(400, { spec, wants: { queue: 'small', labels: { rack: 'z' } } })
    const waiting = { ...large, submittedAt: now - 30 * minute, notBefore: now - 30 * minute }
    const world = makeWorld({ hosts, jobs: [waiting, rack, ...busy.map(({ job }) => job)], attempts: busy.map(({ attempt }) => attempt) })
    const told = decide(spec, world, now).waiting.find(({ subject }) => subject.startsWith('class/big'))
    expect(told?.message).toContain('mini-2 is kept free for it')
  })

  it('of two queues in pools of their own holds one host in each', () => {
    const apart = makeSpec({
      pools: {
        left: { hosts: ['mini-1'], engines: { user: { limits: 'advisory' } } },
        right: { hosts: ['mini-2'], engines: { user: { limits: 'advisory' } } },
      },
      queues: { big: { pools: ['left'] }, small: { pools: ['right'] } },
    })
    const hosts = [makeHost(1), makeHost(2)]
    const busy = hosts.map((host, index) => {
      const job = makeJob(300 + index, {
        spec: apart,
        wants: { queue: index === 0 ? 'big' : 'small', shape: { cpu: 2 } },
        changes: { state: 'running' },
      })
      return { job, attempt: makeAttempt(index, { job, host }) }
    })
    const waiting = ['big', 'small'].map((queue, index) =>
      makeJob(400 + index, { spec: apart, wants: { queue, shape: { cpu: 8 } }, changes: { submittedAt: now - 30 * minute } }),
    )
    const { waiting: told } = decide(
      apart,
      makeWorld({ hosts, jobs: [...waiting, ...busy.map(({ job }) => job)], attempts: busy.map(({ attempt }) => attempt) }),
      now,
    )
    expect(told.map(({ message }) => message)).toEqual([
      '1 matching host is full: 1 of 1 lacks CPU; mini-1 is kept free for it',
      '1 matching host is full: 1 of 1 lacks CPU; mini-2 is kept free for it',
    ])
  })

  it('does not hold while its queue is at its limit, or while it waits for its retry', () => {
    const limited = makeSpec({ queues: { big: { maxRunning: 1 }, small: {} } })
    const host = makeHost(1)
    const running = makeJob(300, { spec, wants: { queue: 'big', shape: { cpu: 2 } }, changes: { state: 'running' } })
    const small = makeJob(301, { spec, wants: { queue: 'small' } })
    const world = (changes: object) =>
      makeWorld({
        hosts: [host],
        jobs: [running, small, { ...large, submittedAt: now - 30 * minute, ...changes }],
        attempts: [makeAttempt(1, { job: running, host })],
      })
    const overdue = { notBefore: now - 30 * minute }
    expect(decide(limited, world(overdue), now).steps).toHaveLength(1)
    expect(decide(spec, world({ notBefore: now - minute }), now).steps).toHaveLength(1)
    expect(decide(spec, world(overdue), now).steps).toHaveLength(0)
  })
})
