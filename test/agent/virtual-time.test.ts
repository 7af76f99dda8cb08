import { describe, expect, it } from 'vitest'
import { virtualTime } from '../doubles/virtual-time.ts'

describe('virtual time', () => {
  it('fires timers in order of time, then in the order they were set', async () => {
    const time = virtualTime()
    const seen: string[] = []
    time.timers.after(20, () => seen.push('late'))
    time.timers.after(10, () => seen.push('first'))
    time.timers.after(10, () => seen.push('second'))
    await time.advance(15)
    expect(seen).toEqual(['first', 'second'])
    await time.advance(5)
    expect(seen).toEqual(['first', 'second', 'late'])
  })

  it('lets a loop that sleeps run many times within one advance', async () => {
    const time = virtualTime()
    const at: number[] = []
    void (async () => {
      for (let round = 0; round < 5; round += 1) {
        await time.timers.sleep(1000)
        at.push(time.elapsed())
      }
    })()
    await time.advance(3500)
    expect(at).toEqual([1000, 2000, 3000])
    await time.advance(10_000)
    expect(at).toEqual([1000, 2000, 3000, 4000, 5000])
    expect(time.pending()).toBe(0)
  })

  it('ends a sleep early when its signal is aborted, and leaves no timer', async () => {
    const time = virtualTime()
    const control = new AbortController()
    const sleep = time.timers.sleep(1000, control.signal)
    control.abort(new Error('enough'))
    await expect(sleep).rejects.toThrow('enough')
    expect(time.pending()).toBe(0)
  })

  it('jumps the wall clock without touching steady time', () => {
    const time = virtualTime({ startAt: 5000 })
    const steady = time.clock.steady()
    time.jumpWall(-3000)
    expect(time.clock.now()).toBe(2000)
    expect(time.clock.steady()).toBe(steady)
  })

  it('says which condition never came true', async () => {
    await expect(virtualTime().until(() => false, 1000)).rejects.toThrow('not so within 1000 ms')
  })
})
