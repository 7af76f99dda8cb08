import { describe, expect, it } from 'vitest'
import { simulatedEngine, type EngineShape, type SimulatedEngine } from '../../src/simulate/engine.ts'
import { noMachineFaults, unreachableAfter } from '../../src/simulate/faults-of-machine.ts'
import type { Happening } from '../../src/simulate/happening.ts'
import { seededRandom } from '../../src/simulate/random.ts'
import { virtualTime, type VirtualTime } from '../../src/simulate/virtual-time.ts'
import { engineLifeContract } from '../contract/engine-suite.ts'
import { requestFor } from '../engine/support/engine-under-test.ts'
import { turn } from './turn.ts'

const macs: EngineShape = { name: 'tart', slots: 2, images: ['macos-15'], bootMs: [15_000, 40_000] }
const accounts: EngineShape = { name: 'user', slots: 4, images: [], bootMs: [300, 900] }

function build(shape: EngineShape, time: Pick<VirtualTime, 'clock' | 'timers'>): Built {
  const faults = noMachineFaults()
  const happenings: Happening[] = []
  const cut: string[] = []
  const engine = simulatedEngine(shape, {
    host: 'mini-1',
    clock: time.clock,
    timers: time.timers,
    random: seededRandom(1),
    faults,
    tell: (happening) => void happenings.push(happening),
    cutOff: (id) => void cut.push(id),
  })
  return { engine, faults, happenings, cut }
}

interface Built {
  readonly engine: SimulatedEngine
  readonly faults: ReturnType<typeof noMachineFaults>
  readonly happenings: readonly Happening[]
  readonly cut: readonly string[]
}

/** Time that passes as soon as somebody waits for it: the contract knows of no virtual clock. */
function hastyTime(): Pick<VirtualTime, 'clock' | 'timers'> {
  let now = 1_790_000_000_000
  return {
    clock: { now: () => now, steady: () => now },
    timers: {
      after: (delay, run) => {
        const immediate = setImmediate(() => {
          now += delay
          run()
        })
        return { cancel: () => clearImmediate(immediate) }
      },
      async sleep(delay) {
        await turn()
        now += delay
      },
    },
  }
}

// Commands of simulated jobs are words that the simulated supervisors understand; nothing runs inside, so only the part on sandboxes applies.
for (const shape of [macs, accounts]) {
  engineLifeContract(`${shape.name}, simulated`, () => {
    const { engine } = build(shape, hastyTime())
    return {
      name: shape.name,
      make: () => engine,
      request: { image: shape.images[0] ?? null },
      victim: '',
      left: () => engine.ids(),
      remove: () => undefined,
    }
  })
}

describe('a simulated engine', () => {
  async function inTime<T>(time: VirtualTime, work: Promise<T>, ms = 60_000): Promise<T> {
    let result: { readonly value: T } | { readonly error: unknown } | null = null
    work.then(
      (value) => (result = { value }),
      (error: unknown) => (result = { error }),
    )
    await time.runTo(time.elapsed() + ms)
    const found = result as { readonly value: T } | { readonly error: unknown } | null
    if (found === null) throw new Error('nothing came of it')
    if ('error' in found) throw found.error
    return found.value
  }

  async function created(time: VirtualTime, engine: SimulatedEngine): Promise<string> {
    return (await inTime(time, engine.create(await requestFor(engine, { image: 'macos-15' })))).id
  }

  it('starts no third machine, and none in a slot that a ghost holds, until the machine is started anew', async () => {
    const time = virtualTime({ turn })
    const { engine, faults } = build(macs, time)
    const ids = [await created(time, engine), await created(time, engine), await created(time, engine)] as const
    for (const id of ids.slice(0, 2)) await inTime(time, engine.start(id))
    await expect(inTime(time, engine.start(ids[2]))).rejects.toThrow('exceeds the limit of the system')
    await inTime(time, engine.stop(ids[0], 0))
    faults.ghostSlots = 1
    expect([engine.slots(), engine.taken()]).toEqual([1, 2])
    await expect(inTime(time, engine.start(ids[2]))).rejects.toThrow('exceeds the limit of the system')
    expect(await engine.needsReboot()).toMatch(/slot/)
  })

  it('boots slowly, never, not at all, or without ever answering, as its faults say', async () => {
    const time = virtualTime({ turn })
    const { engine, faults } = build(macs, time)
    const [slow, hung, failing, deaf] = [
      await created(time, engine),
      await created(time, engine),
      await created(time, engine),
      await created(time, engine),
    ]
    faults.boot = 'slow'
    await expect(inTime(time, engine.start(slow), 60_000)).rejects.toThrow('nothing came of it')
    await time.runTo(time.elapsed() + 20 * 40_000)
    expect(engine.answers(slow)).toBe(true)
    await inTime(time, engine.destroy(slow))
    faults.boot = 'fails'
    await expect(inTime(time, engine.start(failing))).rejects.toThrow('did not start')
    faults.boot = 'unreachable'
    await expect(inTime(time, engine.start(deaf), unreachableAfter + 60_000)).rejects.toThrow('nothing answers inside')
    expect([engine.answers(deaf), engine.taken()]).toEqual([false, 1])
    faults.boot = 'hangs'
    await expect(inTime(time, engine.start(hung), 24 * 3_600_000)).rejects.toThrow('nothing came of it')
  })

  it('boots anew a sandbox whose boot hung, when it was stopped in between', async () => {
    const time = virtualTime({ turn })
    const { engine, faults } = build(macs, time)
    const id = await created(time, engine)
    faults.boot = 'hangs'
    await expect(inTime(time, engine.start(id))).rejects.toThrow('nothing came of it')
    faults.boot = null
    await inTime(time, engine.stop(id, 0))
    expect((await inTime(time, engine.start(id))).state).toBe('running')
    expect(engine.answers(id)).toBe(true)
  })

  it('keeps what it is told to remove while its faults say so, and cuts off what runs inside when a sandbox goes', async () => {
    const time = virtualTime({ turn })
    const { engine, faults, cut, happenings } = build(macs, time)
    const id = await created(time, engine)
    await inTime(time, engine.start(id))
    faults.destroyLeaves = true
    await expect(inTime(time, engine.destroy(id))).rejects.toMatchObject({ code: 'SANDBOX_RESIDUE' })
    expect((await engine.sweep(new Set())).failures).toHaveLength(1)
    faults.destroyLeaves = false
    faults.stopFails = true
    await expect(inTime(time, engine.stop(id, 0))).rejects.toMatchObject({ code: 'ENGINE_FAILED' })
    expect(cut).toEqual([])
    faults.stopFails = false
    await inTime(time, engine.destroy(id))
    expect(cut).toEqual([id])
    expect(happenings.map(({ kind }) => kind)).toEqual(['sandboxMade', 'sandboxStarted', 'proved', 'sandboxStopped', 'sandboxGone'])
  })

  it('has machines off and accounts as they are when its machine goes down', async () => {
    const time = virtualTime({ turn })
    const { engine } = build(macs, time)
    const id = await created(time, engine)
    await inTime(time, engine.start(id))
    engine.machineDown()
    expect((await engine.list()).map(({ state }) => state)).toEqual(['stopped'])
    expect(engine.killSandbox(id)).toBe(false)
  })

  it('has no room on a full disk, and no image that somebody removed', async () => {
    const time = virtualTime({ turn })
    const { engine, faults } = build(macs, time)
    const wanted = await requestFor(engine, { image: 'macos-15' })
    faults.diskFull = true
    expect(await engine.check('macos-15')).toMatchObject({ ok: false, reason: 'the disk of the host is full' })
    await expect(inTime(time, engine.create(wanted))).rejects.toMatchObject({ code: 'STORAGE_FULL' })
    faults.diskFull = false
    faults.imagesGone = true
    expect(await engine.check('macos-15')).toMatchObject({ ok: false })
    await expect(inTime(time, engine.create(wanted))).rejects.toMatchObject({ code: 'UNSUPPORTED' })
  })
})
