import { describe, expect, it } from 'vitest'
import { changesOf, makeAttempt, makeHost, makeJob, makeOperation, makeSandbox, makeWorld, start } from '../../test/decide/build-world.ts'
import { effort } from '../../test/decide/effort.ts'
import type { Change, World } from '../model/world.ts'
import { advanceWorld, classKey, emptyWorld, labelsKey } from './advance-world.ts'
import type { SortedMap } from './sorted-map.ts'

const host = makeHost(1)
const cancel = { by: 'user:alice', at: start }

function only<T>(map: ReadonlyMap<string, T>): T {
  const [value, ...others] = [...map.values()]
  if (value === undefined || others.length > 0) throw new Error(`one entry expected, ${map.size} found`)
  return value
}

function idsIn(world: World): string[][] {
  return [...world.classes.values()].map((jobClass) => [...jobClass.jobs.values()].map((job) => job.id))
}

it('starts with nothing but the moment since which it listens', () => {
  const world = emptyWorld(start)
  expect(world.listeningSince).toBe(start)
  for (const map of [
    world.hosts,
    world.jobs,
    world.classes,
    world.attempts,
    world.hostLoads,
    world.queueLoads,
    world.operations,
    world.sandboxes,
    world.lastSeen,
  ]) {
    expect(map.size).toBe(0)
  }
})

describe('queued jobs', () => {
  it('form one class when placement sees no difference, in the order they were submitted', () => {
    const [first, second, third] = [
      makeJob(3, { changes: { submittedAt: start } }),
      makeJob(1, { changes: { submittedAt: start + 1 } }),
      makeJob(2),
    ]
    expect(idsIn(makeWorld({ jobs: [second, first, third] }))).toEqual([[third.id, first.id, second.id]])
  })

  it('stand in classes of their own when queue, engine, image, labels, shape, network or priority differ', () => {
    const parts = {
      queue: 'ci',
      engine: 'user',
      image: null,
      labels: { b: '1', a: 'x,y=z' },
      shape: { cpu: 1, memoryMiB: 2, diskMiB: 3 },
      network: 'nat',
      priority: 0,
    } as const
    expect(classKey(parts)).toBe('ci/user/-/1x2x3/nat/0/a=x%2Cy%3Dz,b=1')
    const others = [
      { ...parts, queue: 'x' },
      { ...parts, engine: 'tart' as const },
      { ...parts, image: 'macos' },
      { ...parts, labels: {} },
      { ...parts, shape: { ...parts.shape, cpu: 2 } },
      { ...parts, shape: { ...parts.shape, memoryMiB: 9 } },
      { ...parts, shape: { ...parts.shape, diskMiB: 9 } },
      { ...parts, network: 'none' as const },
      { ...parts, priority: 1 },
    ]
    expect(new Set([parts, ...others].map(classKey)).size).toBe(10)
    expect(labelsKey({})).toBe('')
  })

  it('leave their class when they are assigned, and the world when they end or are gone', () => {
    const job = makeJob(1)
    const world = makeWorld({ jobs: [job] })
    const assigned = advanceWorld(world, changesOf({ jobs: [{ ...job, state: 'assigned' }] }))
    expect(assigned.classes.size).toBe(0)
    expect(assigned.jobs.get(job.id)?.state).toBe('assigned')
    expect(advanceWorld(assigned, changesOf({ jobs: [{ ...job, state: 'ended' }] })).jobs.size).toBe(0)
    const gone = advanceWorld(world, [{ of: 'job', id: job.id, job: null }])
    expect([gone.jobs.size, gone.classes.size]).toEqual([0, 0])
    expect(advanceWorld(gone, [{ of: 'job', id: job.id, job: null }]).jobs.size).toBe(0)
  })

  it('keep their class while others of it are assigned', () => {
    const [a, b] = [makeJob(1), makeJob(2)]
    const world = advanceWorld(makeWorld({ jobs: [a, b] }), changesOf({ jobs: [{ ...a, state: 'assigned' }] }))
    expect(idsIn(world)).toEqual([[b.id]])
  })

  it('move to another class when what they want changes', () => {
    const job = makeJob(1)
    const world = advanceWorld(makeWorld({ jobs: [job] }), changesOf({ jobs: [makeJob(1, { wants: { priority: 5 } })] }))
    expect(only(world.classes).priority).toBe(5)
    expect(only(world.classes)).toMatchObject({ queue: 'default', engine: 'user', image: null, network: 'nat', labels: {} })
  })

  it('are looked at one by one only when cancelled, delayed or still under way', () => {
    const [plain, cancelled, delayed, busy] = [
      makeJob(1),
      makeJob(2, { changes: { cancelRequested: cancel } }),
      makeJob(3, { changes: { notBefore: start + 1 } }),
      makeJob(4),
    ]
    const world = makeWorld({ jobs: [plain, cancelled, delayed, busy], attempts: [makeAttempt(1, { job: busy, host })] })
    const { jobs, special } = only(world.classes)
    expect(jobs.size).toBe(4)
    expect([...special.values()]).toEqual([
      expect.objectContaining({ id: cancelled.id, cancelRequested: true, isBusy: false }),
      expect.objectContaining({ id: delayed.id, cancelRequested: false, isBusy: false, notBefore: start + 1 }),
      expect.objectContaining({ id: busy.id, cancelRequested: false, isBusy: true }),
    ])
    const later = advanceWorld(world, changesOf({ jobs: [{ ...delayed, notBefore: start }] }))
    expect([...only(later.classes).special.values()].map(({ id }) => id)).toEqual([cancelled.id, busy.id])
    const over = advanceWorld(later, [{ of: 'attempt', id: makeAttempt(1, { job: busy, host }).id, attempt: null }])
    expect([...only(over.classes).special.values()].map(({ id }) => id)).toEqual([cancelled.id])
  })
})

describe('attempts', () => {
  const plain = makeJob(1, { changes: { state: 'running' } })
  const job = { ...plain, resolved: { ...plain.resolved, shape: { cpu: 2, memoryMiB: 1024, diskMiB: 4096 } } }
  const attempt = makeAttempt(1, { job, host })

  it('take queue, engine and shape from their job, in whatever order one commit tells of them', () => {
    const attemptFirst = advanceWorld(emptyWorld(start), [...changesOf({ attempts: [attempt] }), ...changesOf({ jobs: [job] })])
    expect(only(attemptFirst.attempts)).toEqual({
      attempt,
      queue: 'default',
      engine: 'user',
      shape: job.resolved.shape,
      jobGeneration: 1,
      jobCancelled: null,
    })
    expect(only(attemptFirst.jobs).attempts).toEqual([attempt.id])
  })

  it('are counted on their host and queue', () => {
    const other = makeJob(2, { changes: { state: 'running' } })
    const world = makeWorld({
      jobs: [job, other],
      attempts: [makeAttempt(2, { job: other, host }, { hostBootId: 'boot-9', times: { assigned: start + 5 } }), attempt],
    })
    expect(only(world.hostLoads)).toMatchObject({
      cpu: 3,
      memoryMiB: 2048,
      diskMiB: 8192,
      sandboxes: { user: 2, qemu: 0, tart: 0 },
      assignedAt: start + 5,
      bootId: null,
      isCancelling: false,
    })
    expect(only(world.hostLoads).attempts.map((live) => live.attempt.id)).toEqual([attempt.id, makeAttempt(2, { job: other, host }).id])
    const load = world.queueLoads.get('default')
    expect(load?.running).toBe(2)
    expect([...(load?.parts.values() ?? [])].map(({ shape, count }) => [shape.cpu, count])).toEqual([
      [1, 1],
      [2, 1],
    ])
  })

  it('leave host and queue when they end', () => {
    const world = makeWorld({ jobs: [job], attempts: [attempt] })
    expect(only(world.hostLoads).bootId).toBe('boot-1')
    const ended = advanceWorld(world, changesOf({ attempts: [{ ...attempt, state: 'ended' }] }))
    expect([ended.attempts.size, ended.hostLoads.size, ended.queueLoads.size]).toEqual([0, 0, 0])
    expect(only(ended.jobs).attempts).toEqual([])
    expect(advanceWorld(ended, changesOf({ attempts: [{ ...attempt, state: 'ended' }] })).attempts.size).toBe(0)
    const two = makeJob(2, { wants: { shape: { cpu: 2 } }, changes: { state: 'running' } })
    const twoRun = advanceWorld(world, changesOf({ jobs: [two], attempts: [makeAttempt(2, { job: two, host })] }))
    const oneLeft = advanceWorld(twoRun, [{ of: 'attempt', id: attempt.id, attempt: null }])
    expect(only(oneLeft.hostLoads).cpu).toBe(2)
    expect(only(only(oneLeft.queueLoads).parts).count).toBe(1)
  })

  it('hear of the cancellation of their job', () => {
    const world = makeWorld({ jobs: [job], attempts: [attempt] })
    const cancelled = advanceWorld(world, changesOf({ jobs: [{ ...job, cancelRequested: cancel, generation: 2 }] }))
    expect(only(cancelled.attempts)).toMatchObject({ jobCancelled: cancel, jobGeneration: 2 })
    expect(only(cancelled.hostLoads).isCancelling).toBe(true)
    const told = advanceWorld(cancelled, changesOf({ attempts: [{ ...attempt, cancelRequested: cancel }] }))
    expect(only(told.hostLoads).isCancelling).toBe(false)
    expect(only(told.queueLoads).running).toBe(1)
  })

  it('keep what was known of a job that is gone, since they still take room', () => {
    const world = makeWorld({ jobs: [job], attempts: [attempt] })
    const orphaned = advanceWorld(world, [{ of: 'job', id: job.id, job: null }])
    const changed = advanceWorld(orphaned, changesOf({ attempts: [{ ...attempt, state: 'cleaning' }] }))
    expect(only(changed.attempts)).toMatchObject({ queue: 'default', shape: { cpu: 2 }, attempt: { state: 'cleaning' } })
    expect(only(changed.hostLoads).cpu).toBe(2)
  })

  it('of which no job was ever heard take a slot and nothing else', () => {
    const world = makeWorld({ attempts: [attempt] })
    expect(only(world.attempts)).toMatchObject({ queue: '', engine: 'user', shape: { cpu: 0, memoryMiB: 0, diskMiB: 0 }, jobGeneration: 1 })
    expect(only(world.hostLoads).sandboxes.user).toBe(1)
  })

  it('count as assigned at their last receipt when nobody wrote down when', () => {
    const world = makeWorld({ jobs: [job], attempts: [{ ...attempt, times: {}, receiptAt: start + 9 }] })
    expect(only(world.hostLoads).assignedAt).toBe(start + 9)
  })
})

describe('other things', () => {
  it('stay while they live', () => {
    const world = makeWorld({ hosts: [host], operations: [makeOperation(1, host)], sandboxes: [makeSandbox(1, host)] })
    expect([world.hosts.size, world.operations.size, world.sandboxes.size]).toEqual([1, 1, 1])
  })

  it('leave when they ended or are gone', () => {
    const [operation, sandbox] = [makeOperation(1, host), makeSandbox(1, host)]
    const world = makeWorld({ hosts: [host], operations: [operation], sandboxes: [sandbox] })
    const ended = advanceWorld(
      world,
      changesOf({ operations: [{ ...operation, state: 'SUCCESS' }], sandboxes: [{ ...sandbox, state: 'gone' }] }),
    )
    expect([ended.operations.size, ended.sandboxes.size]).toEqual([0, 0])
    const gone = advanceWorld(world, [
      { of: 'operation', id: operation.id, operation: null },
      { of: 'sandbox', id: sandbox.id, sandbox: null },
      { of: 'lastSeen', id: host.id, at: start },
      { of: 'host', id: host.id, host: null },
    ])
    expect([gone.hosts.size, gone.operations.size, gone.sandboxes.size, gone.lastSeen.size]).toEqual([0, 0, 0, 0])
  })

  it('keep a retired host, which proves that its attempts are over', () => {
    expect(makeWorld({ hosts: [{ ...host, state: 'retired' }] }).hosts.size).toBe(1)
  })

  it('remember when a host was last heard of, and never go back', () => {
    const seen = advanceWorld(emptyWorld(start), [{ of: 'lastSeen', id: 'h', at: 5 }])
    const again = advanceWorld(seen, [{ of: 'lastSeen', id: 'h', at: 4 }])
    expect(again.lastSeen).toBe(seen.lastSeen)
    expect(advanceWorld(seen, [{ of: 'lastSeen', id: 'h', at: 6 }]).lastSeen.get('h')).toBe(6)
  })
})

it('shares all but one leaf with the world before, also with 100,000 jobs', () => {
  const size = effort(100_000, 3000)
  const world = advanceWorld(
    emptyWorld(start),
    Array.from({ length: size }, (_, index) => numbered(index)),
  )
  const next = advanceWorld(world, [numbered(size)])
  const before = new Set(leavesOf(world.jobs))
  expect(before.size).toBeGreaterThan(size / 128)
  expect(leavesOf(next.jobs).filter((leaf) => !before.has(leaf))).toHaveLength(1)
  const line = new Set(leavesOf(only(world.classes).jobs))
  expect(leavesOf(only(next.classes).jobs).filter((leaf) => !line.has(leaf))).toHaveLength(1)
  expect(next.hosts).toBe(world.hosts)
})

const template = makeJob(0)

function numbered(number: number): Change {
  const id = `job_${String(number).padStart(26, '0')}` as const
  return { of: 'job', id, job: { ...template, id, submittedAt: start + number } }
}

function leavesOf(map: ReadonlyMap<string, unknown>): readonly object[] {
  if (!('leaves' in map)) throw new Error('the world is made of sorted maps')
  return (map as SortedMap<unknown>).leaves
}
