import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { makeFacts, makeHost, makeJob, makeSpec, makeWorld, start } from '../../test/decide/build-world.ts'
import type { Host } from '../model/host.ts'
import { hour, minute, second } from '../model/instant.ts'
import { advanceWorld } from './advance-world.ts'
import { decide } from './decide.ts'
import { heardAt, lostInterval, staleInterval, syncMargin } from './silence.ts'

const spec = makeSpec()

function stepsAt(host: Host, moment: number, listeningSince = start - hour) {
  return decide(spec, makeWorld({ hosts: [host], listeningSince }), moment).steps
}

describe('a host is lost', () => {
  it('when it missed three syncs and their margin, to the millisecond [003-24]', () => {
    expect(syncMargin).toBe(5 * second)
    expect(staleInterval(spec.limits)).toBe(30 * second)
    expect(lostInterval(spec.limits)).toBe(90 * second)
    const host = makeHost(1, { generation: 4 })
    expect(stepsAt(host, start + 90 * second - 1)).toEqual([])
    expect(stepsAt(host, start + 90 * second)).toEqual([{ kind: 'hostLost', hostId: host.id, hostGeneration: 4, silentMs: 90 * second }])
  })

  it('by the poll and the count that the spec says', () => {
    const slow = makeSpec({ limits: { syncPoll: '55s', missedSyncs: 2 } })
    expect(lostInterval(slow.limits)).toBe(2 * minute)
  })

  it('never before the controller itself has listened for a whole lost interval', () => {
    const host = makeHost(1, { lastSeenAt: start - hour })
    expect(stepsAt(host, start + 90 * second - 1, start)).toEqual([])
    expect(stepsAt(host, start + 90 * second, start)).toMatchObject([{ kind: 'hostLost', silentMs: hour + 90 * second }])
    expect(decide(spec, makeWorld({ hosts: [host], listeningSince: start }), start + second).nextAt).toBe(start + 90 * second)
  })

  it('counted from the last word of it, whether written down or only heard', () => {
    const host = makeHost(1)
    const heard = advanceWorld(makeWorld({ hosts: [host] }), [{ of: 'lastSeen', id: host.id, at: start + minute }])
    expect(decide(spec, heard, start + 90 * second).steps).toEqual([])
    expect(decide(spec, heard, start + minute + 90 * second).steps).toHaveLength(1)
    expect(heardAt(host, heard.lastSeen)).toBe(start + minute)
    expect(heardAt(makeHost(2, { lastSeenAt: null, enrolledAt: 5 }), heard.lastSeen)).toBe(5)
    const older = advanceWorld(makeWorld({ hosts: [host] }), [{ of: 'lastSeen', id: host.id, at: start - minute }])
    expect(decide(spec, older, start + 89 * second).steps).toEqual([])
    const stranger = advanceWorld(older, [{ of: 'lastSeen', id: 'host_of_another_fleet', at: start }])
    expect(decide(spec, stranger, start).steps).toEqual([])
  })

  it('by receipts alone: nothing that it says of itself keeps it alive or ends it [003-12]', () => {
    const claims = fc.record({
      at: fc.integer({ min: start - hour, max: start + hour }),
      clockSkewMs: fc.option(fc.integer({ min: -hour, max: hour })),
      load1: fc.float({ min: 0, max: 1000, noNaN: true }),
      problems: fc.array(fc.string(), { maxLength: 3 }),
    })
    fc.assert(
      fc.property(claims, fc.integer({ min: 0, max: 200 * second }), (claim, silentMs) => {
        const host = makeHost(1, { facts: makeFacts(claim) })
        const lost = stepsAt(host, start + silentMs).some(({ kind }) => kind === 'hostLost')
        expect(lost).toBe(silentMs >= lostInterval(spec.limits))
      }),
    )
  })

  it('once: not again while it is lost, and not before it ever reported', () => {
    for (const state of ['lost', 'enrolled', 'retired'] as const)
      expect(stepsAt(makeHost(1, { state, lastSeenAt: null }), start + hour)).toEqual([])
  })
})

describe('a host goes into quarantine', () => {
  const failing = makeHost(1, { failureStreak: 3, generation: 2 })

  it('after as many infrastructure failures in a row as its pool allows, with reason and cure', () => {
    expect(stepsAt(makeHost(1, { failureStreak: 2 }), start)).toEqual([])
    expect(stepsAt(failing, start)).toEqual([
      {
        kind: 'quarantineHost',
        hostId: failing.id,
        hostGeneration: 2,
        reason: '3 attempts in a row failed there for a fault of the infrastructure',
        cure: 'look at the last failures with cidery host show mini-1, repair it, then cidery host uncordon mini-1',
        repair: null,
      },
    ])
  })

  it('and gets no job in the same pass', () => {
    const plan = decide(spec, makeWorld({ hosts: [failing], jobs: [makeJob(1)] }), start)
    expect(plan.steps.map(({ kind }) => kind)).toEqual(['quarantineHost'])
    expect(plan.waiting[0]).toMatchObject({
      code: 'hostQuarantined',
      message: '3 attempts in a row failed there for a fault of the infrastructure',
      since: start,
    })
  })

  it('not when a person closed it already, when it is lost, or when no pool says how many are too many', () => {
    expect(stepsAt({ ...failing, schedulable: { kind: 'cordoned', by: 'user:bob', at: start, reason: '' } }, start)).toEqual([])
    expect(stepsAt({ ...failing, pool: 'gone' }, start)).toEqual([])
    expect(stepsAt(failing, start + hour).map(({ kind }) => kind)).toEqual(['hostLost'])
  })
})

it('does not place jobs on a host from the moment it is lost, before that is written down', () => {
  const host = makeHost(1, { facts: makeFacts({ at: start + hour }), lastSeenAt: start - hour })
  const plan = decide(spec, makeWorld({ hosts: [host], jobs: [makeJob(1)] }), start)
  expect(plan.steps.map(({ kind }) => kind)).toEqual(['hostLost'])
  expect(plan.waiting[0]).toMatchObject({ code: 'hostLost', since: start })
})
