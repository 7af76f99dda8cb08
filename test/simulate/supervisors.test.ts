import { describe, expect, it } from 'vitest'
import type { SupervisedRun } from '../../src/ports/supervisors.ts'
import type { Happening } from '../../src/simulate/happening.ts'
import { simulatedSupervisors, type Program, type SimulatedSupervisors } from '../../src/simulate/supervisors.ts'
import { virtualTime, type VirtualTime } from '../../src/simulate/virtual-time.ts'
import { turn } from './turn.ts'

const log = 'x'.repeat(1000)
const programs: Readonly<Record<string, Program>> = {
  minute: { runsMs: 60_000, log, code: 3, stubborn: false },
  stubborn: { runsMs: 60_000, log, code: 0, stubborn: true },
  quick: { runsMs: 0, log, code: 0, stubborn: false },
}

interface Place {
  readonly time: VirtualTime
  readonly supervisors: SimulatedSupervisors
  readonly told: readonly Happening[]
}

function newPlace(): Place {
  const time = virtualTime({ turn })
  const told: Happening[] = []
  const programOf = (words: readonly string[]): Program => programs[words.at(-1) ?? ''] ?? { runsMs: 0, log: '', code: 0, stubborn: false }
  return {
    time,
    told,
    supervisors: simulatedSupervisors(time, { host: 'mini-1', tell: (happening) => void told.push(happening), programOf }),
  }
}

function runOf(id: string, program: string, timeLimitMs = 3_600_000): SupervisedRun {
  const launch = { argv: ['inside', `sandbox-${id}`, program], env: { CIDERY_JOB_ID: `job-${id}` }, cwd: '/' } as const
  return { id, launch, timeLimitMs, graceMs: 10_000, maxLogBytes: 1_000_000 } as unknown as SupervisedRun
}

describe('simulated supervisors', () => {
  it('let a command run as long as it does, and keep its code, its log and when it was', async () => {
    const { time, supervisors, told } = newPlace()
    await supervisors.start(runOf('a', 'minute'))
    await supervisors.start(runOf('a', 'minute'))
    expect([await supervisors.list(), supervisors.alive()]).toEqual([['a'], ['a']])
    await time.runTo(30_000)
    const half = await supervisors.logLength('a')
    expect(half).toBeGreaterThan(0)
    expect(half).toBeLessThan(1000)
    expect(Buffer.from(await supervisors.readLog('a', 100, 50)).toString()).toBe('x'.repeat(50))
    await time.runTo(61_000)
    expect(await supervisors.inspect('a')).toMatchObject({
      state: 'ended',
      exit: { code: 3, signal: null, cause: 'exited', logBytes: 1000 },
    })
    expect(told.map(({ kind }) => kind)).toEqual(['runStarted', 'runEnded'])
  })

  it('end a command at its time limit', async () => {
    const { time, supervisors } = newPlace()
    await supervisors.start(runOf('a', 'minute', 20_000))
    await time.runTo(20_000)
    expect(await supervisors.inspect('a')).toMatchObject({ state: 'ended', exit: { code: null, signal: 15, cause: 'timedOut' } })
  })

  it('cancel by TERM, and by KILL after the grace where TERM is ignored', async () => {
    const { time, supervisors } = newPlace()
    await supervisors.start(runOf('a', 'minute'))
    await supervisors.start(runOf('b', 'stubborn'))
    await time.runTo(1000)
    for (const id of ['a', 'b', 'c']) await supervisors.cancel(id)
    expect(supervisors.alive()).toEqual(['b'])
    expect(await supervisors.inspect('a')).toMatchObject({ exit: { signal: 15, cause: 'cancelled' } })
    await time.runTo(11_000)
    expect(await supervisors.inspect('b')).toMatchObject({ exit: { signal: 9, cause: 'cancelled' } })
  })

  it('know of a run that died with its supervisor or its machine only that there is no record', async () => {
    const { time, supervisors, told } = newPlace()
    await supervisors.start(runOf('a', 'minute'))
    await supervisors.start(runOf('b', 'minute'))
    await supervisors.start(runOf('c', 'quick'))
    await time.runTo(1000)
    supervisors.kill('a')
    supervisors.machineDown()
    expect(await supervisors.inspect('a')).toMatchObject({ state: 'dead' })
    expect(await supervisors.inspect('b')).toMatchObject({ state: 'dead' })
    expect(await supervisors.inspect('c')).toMatchObject({ state: 'ended', exit: { code: 0 } })
    await time.runTo(200_000)
    expect(told.filter(({ kind }) => kind === 'runEnded')).toHaveLength(3)
  })

  it('see a command of a sandbox that went away end as a broken connection does', async () => {
    const { time, supervisors } = newPlace()
    await supervisors.start(runOf('a', 'minute'))
    await time.runTo(1000)
    supervisors.sandboxDied('a')
    expect(await supervisors.inspect('a')).toMatchObject({ state: 'ended', exit: { code: 255, cause: 'exited' } })
  })

  it('wake who waits at the end, or when he gives up', async () => {
    const { time, supervisors } = newPlace()
    await supervisors.start(runOf('a', 'minute'))
    const woken: (readonly [string, string, number])[] = []
    const giveUp = new AbortController()
    void supervisors.wait('a', new AbortController().signal).then(({ state }) => woken.push(['patient', state, time.elapsed()]))
    void supervisors.wait('a', giveUp.signal).then(({ state }) => woken.push(['hasty', state, time.elapsed()]))
    time.timers.after(10_000, () => giveUp.abort())
    await time.runTo(70_000)
    expect(woken).toEqual([
      ['hasty', 'running', 10_000],
      ['patient', 'ended', 60_000],
    ])
  })

  it('forget what is removed, and end it when it runs', async () => {
    const { time, supervisors } = newPlace()
    await supervisors.start(runOf('a', 'minute'))
    await supervisors.remove('a')
    await time.runTo(100_000)
    expect([await supervisors.inspect('a'), await supervisors.list(), supervisors.alive()]).toEqual([{ state: 'none' }, [], []])
    expect(await supervisors.logLength('a')).toBe(0)
  })
})
