import { describe, expect, it } from 'vitest'
import { minute, second } from '../../src/model/instant.ts'
import type { SandboxRequest, WarmingEngine } from '../../src/ports/engine.ts'
import { simulatedEngine, type SimulatedEngine } from '../../src/simulate/engine.ts'
import { noMachineFaults } from '../../src/simulate/faults-of-machine.ts'
import { seededRandom } from '../../src/simulate/random.ts'
import { virtualTime, type VirtualTime } from '../../src/simulate/virtual-time.ts'

const bootMs = 40 * second
const like = {
  image: 'ci',
  shape: { cpu: 2, memoryMiB: 4096, diskMiB: 0 },
  network: 'nat',
  limits: 'enforced',
  blockedAddresses: [],
} as const
const request = (id: string, cpu = 2): SandboxRequest => ({ ...like, id, jobId: id, mount: null, shape: { ...like.shape, cpu } })

function lab(slots = 2): { readonly engine: SimulatedEngine & WarmingEngine; readonly time: VirtualTime } {
  const time = virtualTime({ turn: () => new Promise((resolve) => void setImmediate(resolve)) })
  const engine = simulatedEngine(
    { name: 'qemu', slots, images: ['ci'], bootMs: [bootMs, bootMs], workMs: [0, 0], warms: true },
    {
      host: 'mini-1',
      clock: time.clock,
      timers: time.timers,
      random: seededRandom(1),
      faults: noMachineFaults(),
      tell: () => undefined,
      cutOff: () => undefined,
    },
  )
  if (!('keepWarm' in engine)) throw new Error('it keeps nothing warm')
  return { engine: engine as SimulatedEngine & WarmingEngine, time }
}

/** Milliseconds of virtual time that something takes. */
async function took(time: VirtualTime, work: Promise<unknown>): Promise<number> {
  const from = time.elapsed()
  let end: number | null = null
  const done = work.then(() => (end = time.elapsed()))
  await time.runTo(from + 10 * minute, () => end !== null)
  await done
  return time.elapsed() - from
}

const bootOf = async ({ engine }: ReturnType<typeof lab>, wanted: SandboxRequest) => {
  const { id } = await engine.create(wanted)
  await engine.start(id)
}

const stopping = new AbortController().signal

describe('warm sandboxes of a simulated engine', () => {
  it('are given to the first job that is alike, at once and whole', async () => {
    const one = lab()
    expect(await took(one.time, one.engine.keepWarm([{ like, count: 1 }], stopping))).toBe(bootMs)
    expect(await one.engine.list()).toEqual([])
    expect(await took(one.time, bootOf(one, request('sbx-1')))).toBe(0)
    expect((await one.engine.list()).map(({ id, state }) => [id, state])).toEqual([['sbx-1', 'running']])
    expect(one.engine.answers('sbx-1')).toBe(true)
    expect(await took(one.time, bootOf(one, request('sbx-2')))).toBe(bootMs)
  })

  it('are waited for when one is just being made', async () => {
    const one = lab(1)
    const kept = one.engine.keepWarm([{ like, count: 1 }], stopping)
    await one.time.runTo(30 * second)
    expect(await took(one.time, bootOf(one, request('sbx-1')))).toBe(10 * second)
    await kept
    expect(one.engine.taken()).toBe(1)
  })

  it('make room for a job that none of them is like', async () => {
    const one = lab()
    await took(one.time, one.engine.keepWarm([{ like, count: 2 }], stopping))
    expect(one.engine.taken()).toBe(2)
    expect(await took(one.time, bootOf(one, request('sbx-1', 4)))).toBe(bootMs)
    expect(one.engine.taken()).toBe(2)
  })

  it('give way also while they boot, and that is no failure', async () => {
    const one = lab(1)
    const kept = one.engine.keepWarm([{ like, count: 1 }], stopping)
    await one.time.runTo(5 * second)
    expect(await took(one.time, bootOf(one, request('sbx-1', 4)))).toBe(bootMs)
    await expect(kept).resolves.toBeUndefined()
    expect(one.engine.taken()).toBe(1)
  })

  it('take no slot that a job has, stay through a sweep, and go when they are no longer wanted', async () => {
    const one = lab()
    await took(one.time, bootOf(one, request('sbx-1')))
    await took(one.time, one.engine.keepWarm([{ like, count: 2 }], stopping))
    expect(one.engine.taken()).toBe(2)
    expect((await one.engine.sweep(new Set(['sbx-1']))).sandboxes).toEqual([])
    await one.engine.keepWarm([], stopping)
    expect(one.engine.taken()).toBe(1)
  })
})
