import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { localClock, simulatedEpoch, virtualTime, type VirtualTime } from '../../src/simulate/virtual-time.ts'
import { turn } from './turn.ts'

function newTime(): VirtualTime {
  return virtualTime({ turn })
}

describe('virtual time', () => {
  it('fires timers in order of time, then in the order they were set, whatever that was', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(20), { maxLength: 40 }), async (delays) => {
        const time = newTime()
        const fired: (readonly [number, number])[] = []
        for (const [index, delay] of delays.entries()) time.timers.after(delay, () => fired.push([time.elapsed(), index]))
        await time.runTo(100)
        const expected = delays.map((delay, index) => [delay, index] as const)
        expect(fired).toEqual(expected.toSorted(([one, first], [other, second]) => one - other || first - second))
        expect([time.pending(), time.fired(), time.elapsed()]).toEqual([0, delays.length, 100])
      }),
      { numRuns: 30 },
    )
  })

  it('does not fire what was cancelled, and takes a second cancel or a late one', async () => {
    const time = newTime()
    const fired: string[] = []
    const gone = time.timers.after(10, () => fired.push('gone'))
    const kept = time.timers.after(10, () => fired.push('kept'))
    time.timers.after(5, () => gone.cancel())
    gone.cancel()
    expect(time.pending()).toBe(2)
    await time.runTo(20)
    kept.cancel()
    expect([fired, time.pending()]).toEqual([['kept'], 0])
  })

  it('fires what a timer sets at once in the same moment, before later ones', async () => {
    const time = newTime()
    const order: string[] = []
    time.timers.after(5, () => {
      order.push('first')
      time.timers.after(0, () => order.push('set by the first'))
      time.timers.after(-3, () => order.push('not in the past'))
    })
    time.timers.after(6, () => order.push('later'))
    await time.runTo(10)
    expect(order).toEqual(['first', 'set by the first', 'not in the past', 'later'])
  })

  it('lets everything run that is runnable before the clock moves on', async () => {
    const time = newTime()
    const seen: number[] = []
    time.timers.after(5, () => {
      void (async () => {
        for (let step = 0; step < 50; step += 1) await Promise.resolve()
        seen.push(time.elapsed())
      })()
    })
    time.timers.after(6, () => seen.push(time.elapsed()))
    await time.runTo(10)
    expect(seen).toEqual([5, 6])
  })

  it('ends a sleep whose signal is aborted, and forgets its timer', async () => {
    const time = newTime()
    const stop = new AbortController()
    const slept = time.timers.sleep(1000, stop.signal).then(
      () => 'slept',
      (error: Error) => error.message,
    )
    time.timers.after(10, () => stop.abort(new Error('enough')))
    await time.runTo(20)
    expect([await slept, time.pending()]).toEqual(['enough', 0])
    await expect(time.timers.sleep(5, stop.signal)).rejects.toThrow('enough')
  })

  it('stops early where it is told to', async () => {
    const time = newTime()
    for (let at = 1; at <= 10; at += 1) time.timers.after(at * 10, () => undefined)
    await time.runTo(1000, () => time.fired() === 4)
    expect([time.elapsed(), time.fired()]).toEqual([40, 4])
  })

  it('tells a wall clock in whole milliseconds and a steady one that goes on', async () => {
    const time = newTime()
    const steady = time.clock.steady()
    await time.runTo(1234.75)
    expect(time.clock.now()).toBe(simulatedEpoch + 1234)
    expect(time.clock.steady() - steady).toBeCloseTo(1234.75)
  })
})

describe('the clock of a machine', () => {
  it('jumps and drifts by itself, and never goes wrong in its steady time', async () => {
    const time = newTime()
    const clock = localClock(time.clock)
    const off = (): number => clock.now() - time.clock.now()
    clock.jump(-3_600_000)
    expect(off()).toBe(-3_600_000)
    clock.drift(500)
    await time.runTo(1_000_000)
    expect(off()).toBe(-3_600_000 + 500)
    clock.drift(0)
    await time.runTo(2_000_000)
    expect(off()).toBe(-3_600_000 + 500)
    clock.jump(3_600_000)
    expect(off()).toBe(500)
    expect(clock.steady()).toBe(time.clock.steady())
  })
})
