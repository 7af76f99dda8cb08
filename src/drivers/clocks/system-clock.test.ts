import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { createSystemClock } from './system-clock.ts'
import { createSystemTimers } from './system-timers.ts'

/** A machine whose sources move as a test says. */
function machine() {
  const at = { wall: 1_790_000_000_000.7, monotonic: 5000, uptime: 8000 }
  let reads = 0
  function uptime(): number {
    reads += 1
    return Math.floor(at.uptime / 10) * 10
  }
  return {
    at,
    uptimeReads: () => reads,
    clock: createSystemClock({ wall: () => at.wall, monotonic: () => at.monotonic, uptime }),
    awake(ms: number) {
      at.wall += ms
      at.monotonic += ms
      at.uptime += ms
    },
    asleep(ms: number) {
      at.wall += ms
      at.uptime += ms
    },
  }
}

describe('the system clock', () => {
  it('tells whole milliseconds', () => {
    expect(machine().clock.now()).toBe(1_790_000_000_000)
  })

  it('counts time awake exactly and time asleep to the hundredth of a second', () => {
    const { clock, awake, asleep } = machine()
    awake(1234.5)
    expect(clock.steady()).toBe(8000 + 1234.5)
    asleep(3_600_000)
    expect(clock.steady()).toBeGreaterThan(3_609_234 - 20)
    expect(clock.steady()).toBeLessThan(3_609_234 + 20)
    const before = clock.steady()
    awake(10_000)
    expect(clock.steady() - before).toBe(10_000)
    asleep(500)
    expect(clock.steady() - before).toBeGreaterThan(10_450)
  })

  it('does not follow the wall clock when it is set', () => {
    const { clock, at, awake } = machine()
    awake(1000)
    for (const jump of [86_400_000, -200_000_000]) {
      at.wall += jump
      expect(clock.steady()).toBe(9000)
    }
    expect(clock.now()).toBe(Math.floor(at.wall))
  })

  it('asks for the uptime when the wall clock jumped and once a second, not at each call', () => {
    const { clock, awake, asleep, at, uptimeReads } = machine()
    const before = uptimeReads()
    for (let i = 0; i < 900; i += 1) {
      awake(1)
      clock.steady()
    }
    expect(uptimeReads()).toBe(before)
    awake(100)
    clock.steady()
    expect(uptimeReads()).toBe(before + 1)
    asleep(150)
    expect(clock.steady()).toBeGreaterThan(9120)
    at.wall -= 5000
    clock.steady()
    expect(uptimeReads()).toBe(before + 3)
  })

  it('counts sleep within a second though the wall clock was set back by as much meanwhile', () => {
    const { clock, at, awake, asleep } = machine()
    awake(10)
    clock.steady()
    asleep(60_000)
    at.wall -= 60_000
    awake(1000)
    expect(clock.steady()).toBeGreaterThan(68_980)
  })

  it('never goes back, however coarse its sources are', () => {
    const { clock, awake, asleep } = machine()
    let last = 0
    for (let i = 0; i < 2000; i += 1) {
      if (i % 97 === 0) asleep(i)
      awake((i * 7) % 13)
      const now = clock.steady()
      expect(now).toBeGreaterThanOrEqual(last)
      last = now
    }
  })

  it('goes with the real time of this machine', async () => {
    const clock = createSystemClock()
    const [now, steady] = [clock.now(), clock.steady()]
    await pause(50)
    expect(clock.steady() - steady).toBeGreaterThanOrEqual(48)
    expect(clock.now() - now).toBeGreaterThanOrEqual(48)
  })
})

describe('the system timers', () => {
  const timers = createSystemTimers()

  it('call once, after the delay, unless cancelled', async () => {
    const calls: string[] = []
    timers.after(10, () => calls.push('kept'))
    timers.after(10, () => calls.push('cancelled')).cancel()
    await timers.sleep(60)
    expect(calls).toEqual(['kept'])
  })

  it('reject a sleep with the reason of its signal, also when it was aborted before', async () => {
    const controller = new AbortController()
    const sleeping = timers.sleep(60_000, controller.signal)
    const reason = new Error('enough')
    controller.abort(reason)
    await expect(sleeping).rejects.toBe(reason)
    await expect(timers.sleep(60_000, controller.signal)).rejects.toBe(reason)
  })

  it('do not fire at once when the delay is longer than the event loop can count', async () => {
    let fired = false
    const timer = timers.after(30 * 86_400_000, () => {
      fired = true
    })
    await timers.sleep(20)
    expect(fired).toBe(false)
    timer.cancel()
  })
})
