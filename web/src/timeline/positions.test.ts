import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AttemptView } from '../../../src/model/api.ts'
import { phases, ticksOf, timelineOf, timesOf } from './positions.ts'

function attempt(number: number, times: AttemptView['times'], ended = true): AttemptView {
  return {
    number,
    times,
    id: `att_${number}`,
    hostId: 'host_1',
    hostName: `mini-${number}`,
    state: ended ? 'ended' : 'running',
    outcome: ended ? { kind: 'exited', code: 0 } : null,
    isolation: 'account',
    leaseUntil: 0,
    receiptAt: 0,
    logBytes: 0,
    logComplete: true,
    artifacts: [],
    artifactFailures: [],
    notes: [],
  }
}

describe('the timeline of a job', () => {
  it('has a lane per attempt, each beginning with the wait before it', () => {
    const timeline = timelineOf(
      {
        submittedAt: 1000,
        endedAt: 11_000,
        state: 'ended',
        attempts: [
          attempt(1, { assigned: 2000, booting: 2500, ended: 4000 }),
          attempt(2, { assigned: 5000, booting: 5000, preparing: 6000, running: 7000, collecting: 9000, cleaning: 10_000, ended: 11_000 }),
        ],
      },
      99_000,
    )
    expect(timeline).toMatchObject({ from: 1000, to: 11_000 })
    expect(timeline.lanes.map((lane) => [lane.attempt, lane.hostName, timesOf(lane).map(({ phase, ms }) => `${phase} ${ms}`)])).toEqual([
      [1, 'mini-1', ['queued 1000', 'assigned 500', 'booting 1500']],
      [2, 'mini-2', ['queued 1000', 'booting 1000', 'preparing 1000', 'running 2000', 'collecting 1000', 'cleaning 1000']],
    ])
    expect(timeline.lanes[1]?.segments.find(({ phase }) => phase === 'running')).toEqual({
      phase: 'running',
      from: 7000,
      to: 9000,
      isLive: false,
      left: 60,
      width: 20,
    })
  })

  it('grows with the present while something goes on', () => {
    const running = timelineOf(
      { submittedAt: 0, endedAt: null, state: 'running', attempts: [attempt(1, { assigned: 10, running: 20 }, false)] },
      100,
    )
    expect(running.lanes[0]?.segments.at(-1)).toMatchObject({ phase: 'running', from: 20, to: 100, isLive: true })
    const waiting = timelineOf({ submittedAt: 0, endedAt: null, state: 'queued', attempts: [attempt(1, { assigned: 10, ended: 30 })] }, 50)
    expect(waiting.lanes[1]).toMatchObject({
      attempt: null,
      segments: [{ phase: 'queued', from: 30, to: 50, isLive: true, left: 60, width: 40 }],
    })
  })

  it('never overlaps and never leaves the axis, whatever clocks said', () => {
    const anyTimes = fc.record(
      Object.fromEntries([...phases.slice(1), 'ended'].map((phase) => [phase, fc.integer({ min: 0, max: 10_000 })])),
      { requiredKeys: ['assigned'] },
    )
    fc.assert(
      fc.property(fc.array(anyTimes, { maxLength: 4 }), fc.integer({ min: 0, max: 20_000 }), (all, now) => {
        const attempts = all.map((times, index) => attempt(index + 1, times))
        const { lanes, from, to } = timelineOf({ submittedAt: 3000, endedAt: null, state: 'queued', attempts }, now)
        const segments = lanes.flatMap((lane) => lane.segments)
        for (const [index, segment] of segments.entries()) {
          expect(segment.from).toBeGreaterThanOrEqual(segments[index - 1]?.to ?? from)
          expect(segment.to).toBeLessThanOrEqual(to)
          expect(segment.left).toBeGreaterThanOrEqual(0)
          expect(segment.left + segment.width).toBeLessThanOrEqual(100.000_001)
          expect(segment.width).toBeGreaterThanOrEqual(0.4)
        }
      }),
    )
  })

  it('has few round ticks that stand within it', () => {
    expect(ticksOf(360_000).map(({ after }) => after)).toEqual([0, 60_000, 120_000, 180_000, 240_000, 300_000])
    expect(ticksOf(1).map(({ after }) => after)).toEqual([0])
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10 ** 11 }), (span) => {
        const ticks = ticksOf(span)
        expect(ticks.length).toBeLessThanOrEqual(7)
        for (const { left } of ticks) expect(left).toBeLessThanOrEqual(96)
      }),
    )
  })
})
