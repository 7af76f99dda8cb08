import { describe, expect, it } from 'vitest'
import { createLine, type Line } from '../../src/simulate/line.ts'
import { namedRandom } from '../../src/simulate/random.ts'
import { virtualTime, type VirtualTime } from '../../src/simulate/virtual-time.ts'
import { turn } from './turn.ts'

interface Way {
  readonly time: VirtualTime
  readonly line: Line
  /** What reached the other side, in order. */
  readonly arrived: number[]
  readonly answered: number[]
  readonly lost: number[]
  /** Sends so many messages, one each so often, ms. */
  send(count: number, every: number): Promise<void>
}

function newWay(seed = 1): Way {
  const time = virtualTime({ turn })
  const line = createLine(time.timers, namedRandom(seed, 'line'))
  const way: Way = {
    time,
    line,
    arrived: [],
    answered: [],
    lost: [],
    async send(count, every) {
      for (let index = 0; index < count; index += 1) {
        time.timers.after(index * every, () => {
          const sent = line.carry(async () => {
            way.arrived.push(index)
            return index
          })
          sent.then(
            (answer) => way.answered.push(answer),
            () => way.lost.push(index),
          )
        })
      }
      await time.runTo(time.elapsed() + count * every + 120_000)
    },
  }
  return way
}

describe('a line', () => {
  it('that is good carries each message once, in order, and its answer', async () => {
    const way = newWay()
    await way.send(100, 50)
    expect(way.arrived).toEqual(Array.from({ length: 100 }, (_, index) => index))
    expect(way.answered).toEqual(way.arrived)
  })

  it('loses requests and answers; who waits hears of a broken connection', async () => {
    const way = newWay()
    way.line.faults.lose = 0.3
    await way.send(400, 50)
    expect(way.answered.length + way.lost.length).toBe(400)
    // About 0.7 of the requests arrive, and of those 0.7 are answered.
    expect(way.arrived.length).toBeGreaterThan(240)
    expect(way.arrived.length).toBeLessThan(320)
    expect(way.answered.length).toBeLessThan(way.arrived.length)
  })

  it('doubles requests: the other side does the work twice, the caller hears once', async () => {
    const way = newWay()
    way.line.faults.double = 0.5
    await way.send(200, 50)
    expect(way.answered).toHaveLength(200)
    expect(new Set(way.answered).size).toBe(200)
    expect(way.arrived.length).toBeGreaterThan(260)
  })

  it('brings messages late, so that some overtake others', async () => {
    const way = newWay()
    way.line.faults.lateMs = 5000
    await way.send(50, 100)
    expect(way.arrived).not.toEqual(way.arrived.toSorted((one, other) => one - other))
    expect(way.answered).toHaveLength(50)
  })

  it('that is cut carries nothing, and drops what is on its way', async () => {
    const way = newWay()
    way.line.faults.lateMs = 1000
    way.time.timers.after(2000, () => Object.assign(way.line.faults, { cut: true }))
    await way.send(40, 100)
    expect(Math.max(...way.arrived)).toBeLessThan(20)
    expect(way.lost.length).toBeGreaterThan(20)
    Object.assign(way.line.faults, { cut: false, lateMs: 0 })
    way.arrived.length = 0
    await way.send(5, 100)
    expect(way.arrived).toHaveLength(5)
  })

  it('lets the other side hear that the caller went away', async () => {
    const { time, line } = newWay()
    const caller = new AbortController()
    const heard: (readonly [string, number])[] = []
    const asked = line.carry(
      (far) =>
        new Promise<void>(() => {
          far.addEventListener('abort', () => heard.push(['the far side', time.elapsed()]))
        }),
      caller.signal,
    )
    asked.catch(() => heard.push(['the caller', time.elapsed()]))
    time.timers.after(1000, () => caller.abort(new Error('enough')))
    await time.runTo(5000)
    expect(heard).toMatchObject([
      ['the caller', 1000],
      ['the far side', expect.any(Number)],
    ])
    expect(heard[1]?.[1]).toBeGreaterThan(1000)
  })

  it('is the same in each run of a seed', async () => {
    async function lost(seed: number): Promise<readonly number[]> {
      const way = newWay(seed)
      way.line.faults.lose = 0.3
      await way.send(50, 50)
      return way.lost
    }
    expect(await lost(3)).toEqual(await lost(3))
    expect(await lost(3)).not.toEqual(await lost(4))
  })
})
