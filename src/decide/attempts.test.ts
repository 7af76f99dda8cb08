import { describe, expect, it } from 'vitest'
import { makeAttempt, makeHost, makeJob, makeSpec, makeWorld, start } from '../../test/decide/build-world.ts'
import type { Host } from '../model/host.ts'
import { hour, minute, second } from '../model/instant.ts'
import type { Attempt, Job } from '../model/job.ts'
import { advanceWorld } from './advance-world.ts'
import { leaseOverAt } from './attempts.ts'
import { decide } from './decide.ts'

const spec = makeSpec()
const job = makeJob(1, { changes: { state: 'running', generation: 2 } })
const lostHost = makeHost(1, { state: 'lost' })

function decideAt(host: Host, moment: number, given: { attempt?: Partial<Attempt>; job?: Partial<Job>; listeningSince?: number } = {}) {
  const attempt = makeAttempt(1, { job, host }, given.attempt)
  const things = { hosts: [host], jobs: [{ ...job, ...given.job }], attempts: [attempt] }
  return decide(spec, makeWorld(given.listeningSince === undefined ? things : { ...things, listeningSince: given.listeningSince }), moment)
}

function ended(host: Host, code: string, message: string) {
  const { id, jobId, generation } = makeAttempt(1, { job, host })
  return {
    kind: 'endAttempt',
    attemptId: id,
    jobId,
    generation,
    outcome: { kind: 'infrastructure', part: 'host', code, message },
    why: message,
  }
}

describe('an attempt is over', () => {
  it('when its host runs under another boot id', () => {
    const host = makeHost(1, { bootId: 'boot-2' })
    const attempt = { hostBootId: 'boot-1' }
    expect(decideAt(host, start, { attempt }).steps).toEqual([ended(host, 'HOST_REBOOTED', 'mini-1 was restarted while the job ran')])
    expect(decideAt({ ...host, bootId: null }, start, { attempt }).steps).toEqual([])
    expect(decideAt(host, start, { attempt: { hostBootId: '' } }).steps).toEqual([])
    expect(decideAt({ ...host, bootId: 'boot-1' }, start, { attempt }).steps).toEqual([])
  })

  it('when its host left the fleet', () => {
    const host = makeHost(1, { state: 'retired' })
    expect(decideAt(host, start).steps).toEqual([ended(host, 'HOST_RETIRED', 'mini-1 left the fleet')])
  })

  it('when its host was silent for the lease, a tenth more and a minute, to the millisecond', () => {
    const over = start + 34 * minute
    const waits = decideAt(lostHost, over - 1)
    expect(waits.steps).toEqual([])
    expect(waits.nextAt).toBe(over)
    expect(waits.waiting.find(({ subject }) => subject.startsWith('attempt/'))).toEqual({
      subject: `attempt/${makeAttempt(1, { job, host: lostHost }).id}`,
      code: 'leaseRunning',
      message: 'mini-1 is silent and may still run the job; it is tried elsewhere in 1ms',
      cure: 'bring mini-1 back, or when it is gone for good: cidery host retire mini-1',
      hosts: [lostHost.id],
      hostCount: 1,
      jobCount: 1,
      since: start,
    })
    expect(decideAt(lostHost, over).steps).toEqual([
      ended(lostHost, 'LEASE_EXPIRED', "mini-1 was silent for longer than the attempt's lease"),
    ])
  })

  it('counted from the last word of the host, of the attempt or otherwise', () => {
    const attempt = { receiptAt: start + minute, leaseUntil: start + 31 * minute }
    expect(decideAt(lostHost, start + 34 * minute, { attempt }).steps).toEqual([])
    expect(decideAt(lostHost, start + 35 * minute, { attempt }).steps).toHaveLength(1)
    expect(decideAt({ ...lostHost, lastSeenAt: start + 2 * minute }, start + 35 * minute, { attempt }).steps).toEqual([])
  })

  it('by the longer lease, when the spec has another than the host was told', () => {
    const world = { hosts: new Map([[lostHost.id as string, lostHost]]), lastSeen: new Map(), listeningSince: 0 }
    const live = (leaseMs: number) => ({
      attempt: makeAttempt(1, { job, host: lostHost }, { leaseUntil: start + leaseMs }),
      queue: 'default',
      engine: 'user' as const,
      shape: job.resolved.shape,
      jobGeneration: 2,
      jobCancelled: null,
    })
    expect(leaseOverAt(live(60 * minute), world, spec.limits)).toBe(start + 67 * minute)
    expect(leaseOverAt(live(10 * minute), world, spec.limits)).toBe(start + 34 * minute)
    expect(leaseOverAt(live(60 * minute + 1), world, spec.limits)).toBe(start + 67 * minute + 2)
    expect(leaseOverAt(live(30 * minute), { ...world, hosts: new Map() }, spec.limits)).toBe(start + 34 * minute)
    expect(leaseOverAt(live(30 * minute), { ...world, listeningSince: start + hour }, spec.limits)).toBe(start + hour + 90 * second)
  })

  it('never before a controller that just took the lead has listened for a lost interval', () => {
    const listeningSince = start + 2 * hour
    expect(decideAt(lostHost, listeningSince + 90 * second - 1, { listeningSince }).steps).toEqual([])
    expect(decideAt(lostHost, listeningSince + 90 * second, { listeningSince }).steps).toHaveLength(1)
  })

  it('also on a host that nobody knows any more, by its lease alone', () => {
    const attempt = makeAttempt(1, { job, host: lostHost })
    const world = makeWorld({ jobs: [job], attempts: [attempt] })
    expect(decide(spec, world, start + 33 * minute).waiting).toMatchObject([{ code: 'leaseRunning', since: start, hosts: [lostHost.id] }])
    expect(decide(spec, world, start + 34 * minute).steps).toMatchObject([
      { kind: 'endAttempt', outcome: { message: `${lostHost.id} was silent for longer than the attempt's lease` } },
    ])
  })

  it('and not while its host reports', () => {
    const host = makeHost(1)
    const world = advanceWorld(makeWorld({ hosts: [host], jobs: [job], attempts: [makeAttempt(1, { job, host })] }), [
      { of: 'lastSeen', id: host.id, at: start + 10 * hour },
    ])
    expect(decide(spec, world, start + 10 * hour).steps).toEqual([])
    expect(decide(spec, world, start + 10 * hour).waiting.filter(({ subject }) => subject.startsWith('attempt/'))).toEqual([])
  })

  it('on a short lease even before the host counts as lost', () => {
    const short = makeSpec({ limits: { attemptLease: '10s', syncPoll: '10m' } })
    const host = makeHost(1)
    const world = makeWorld({ hosts: [host], jobs: [job], attempts: [makeAttempt(1, { job, host }, { leaseUntil: start + 10 * second })] })
    expect(decide(short, world, start + 71 * second - 1).steps).toEqual([])
    expect(decide(short, world, start + 70 * second).nextAt).toBe(start + 71 * second)
    expect(decide(short, world, start + 71 * second).steps).toMatchObject([{ kind: 'endAttempt' }])
  })
})

describe('an attempt is asked to stop', () => {
  const cancelRequested = { by: 'user:alice', at: start }
  const host = makeHost(1)
  const { id, jobId } = makeAttempt(1, { job, host })

  it('once, when its job is cancelled', () => {
    const cancelled = { cancelRequested, generation: 3 }
    expect(decideAt(host, start, { job: cancelled }).steps).toEqual([
      { kind: 'cancelAttempt', attemptId: id, jobId, generation: 2, by: 'user:alice' },
    ])
    expect(decideAt(host, start, { job: cancelled, attempt: { cancelRequested } }).steps).toEqual([])
  })

  it('at the deadline of a drain, and not before', () => {
    const draining = (deadline: number | null) =>
      makeHost(1, { schedulable: { kind: 'draining', by: 'user:bob', at: start, reason: '', deadline } })
    expect(decideAt(draining(start + 10), start + 9).steps).toEqual([])
    expect(decideAt(draining(start + 10), start + 9).nextAt).toBe(start + 10)
    expect(decideAt(draining(start + 10), start + 10).steps).toEqual([
      { kind: 'cancelAttempt', attemptId: id, jobId, generation: 2, by: 'drain of mini-1 by user:bob' },
    ])
    expect(decideAt(draining(start + 10), start + 10, { attempt: { cancelRequested } }).steps).toEqual([])
    expect(decideAt(draining(null), start + 10).steps).toEqual([])
  })
})

it('ends a cancelled job that is still queued, unless an attempt of it may be alive', () => {
  const host = makeHost(1)
  const cancelled = makeJob(2, { changes: { cancelRequested: { by: 'user:alice', at: start }, generation: 5 } })
  expect(decide(spec, makeWorld({ hosts: [host], jobs: [cancelled] }), start).steps).toEqual([
    { kind: 'cancelQueued', jobId: cancelled.id, jobGeneration: 5 },
  ])
  const attempt = makeAttempt(1, { job: cancelled, host })
  expect(decide(spec, makeWorld({ hosts: [host], jobs: [cancelled], attempts: [attempt] }), start).steps.map(({ kind }) => kind)).toEqual([
    'cancelAttempt',
  ])
  const delayed = makeJob(2, { changes: { notBefore: start + hour } })
  expect(decide(spec, makeWorld({ hosts: [host], jobs: [delayed] }), start).steps).toEqual([])
})
