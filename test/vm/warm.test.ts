import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { totalmem } from 'node:os'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { QemuEngine } from '../../src/drivers/engines/qemu/engine.ts'
import type { WarmRequest } from '../../src/ports/engine.ts'
import { requestFor, shellInside } from '../engine/support/engine-under-test.ts'
import { eventually } from '../engine/support/eventually.ts'
import { machines, type Machines } from './machines.ts'

const signal = new AbortController().signal

describe('machines that are started before anybody asks', () => {
  let own: Machines
  let engine: QemuEngine

  beforeAll(async () => {
    own = await machines({ slots: 2 })
    engine = own.make() as QemuEngine
  })

  afterEach(async () => {
    await engine.keepWarm([], signal)
    await engine.sweep(new Set())
    expect(own.left()).toEqual([])
  })

  afterAll(() => own.remove())

  function recordOf(id: string): { readonly holder: { readonly pid: number }; readonly warm: boolean } {
    return JSON.parse(readFileSync(`${own.stateDir}/records/${id}.json`, 'utf8')) as ReturnType<typeof recordOf>
  }

  function warm(): readonly string[] {
    const ids = readdirSync(`${own.stateDir}/records`).map((name) => name.replace(/\.json$/, ''))
    return ids.filter((id) => recordOf(id).warm)
  }

  async function wanted(count: number): Promise<readonly [WarmRequest]> {
    const { id: _id, jobId: _jobId, mount: _mount, ...like } = await requestFor(engine, { image: 'debian' })
    return [{ like, count }]
  }

  it('go to the first request that is alike, clean and as they are; nobody sees or sweeps them before', async () => {
    await engine.keepWarm(await wanted(1), signal)
    const [name = ''] = warm()
    const { pid } = recordOf(name).holder
    expect(await engine.list()).toEqual([])
    await engine.sweep(new Set())
    await engine.keepWarm(await wanted(1), signal)
    expect(warm()).toEqual([name])
    const request = await requestFor(engine, { image: 'debian' })
    await engine.create(request)
    const sandbox = await engine.start(request.id)
    expect(sandbox).toMatchObject({ id: request.id, state: 'running', notes: [] })
    expect(recordOf(request.id).holder.pid).toBe(pid)
    expect((await shellInside(engine, request.id, 'ls -A /home/job /home/job/work; id -un')).stdout).toBe(
      '/home/job:\ntmp\nwork\n\n/home/job/work:\njob\n',
    )
    expect((await engine.list()).map(({ id }) => id)).toEqual([request.id])
    // Another one takes its place, and what was given away is removed as any machine.
    await engine.keepWarm(await wanted(1), signal)
    expect(warm()).toHaveLength(1)
    await engine.stop(request.id, 1000)
    await engine.start(request.id)
    expect((await shellInside(engine, request.id, 'echo again')).stdout).toBe('again\n')
    await engine.stop(request.id, 1000)
    await engine.destroy(request.id)
    expect(await engine.list()).toEqual([])
  })

  it('make room for a request that is not alike, and are not made beyond the slots', async () => {
    await engine.keepWarm(await wanted(5), signal)
    expect(warm()).toHaveLength(2)
    const [gone] = warm().toSorted((a, b) => recordOf(a).holder.pid - recordOf(b).holder.pid)
    const other = await requestFor(engine, { image: 'debian', shape: { cpu: 1, memoryMiB: 320, diskMiB: 64 } })
    await engine.create(other)
    await engine.start(other.id)
    expect(warm()).toHaveLength(1)
    expect(warm()).not.toContain(gone)
    expect((await shellInside(engine, other.id, 'echo runs')).stdout).toBe('runs\n')
    await engine.destroy(other.id)
  })

  it('make room for two requests at once, and are not made where they would take a job’s memory', async () => {
    await engine.keepWarm(await wanted(2), signal)
    expect(warm()).toHaveLength(2)
    const shape = { cpu: 1, memoryMiB: 320, diskMiB: 64 }
    const others = [await requestFor(engine, { image: 'debian', shape }), await requestFor(engine, { image: 'debian', shape })]
    await Promise.all(others.map((other) => engine.create(other)))
    expect(warm()).toEqual([])
    for (const { id } of others) await engine.destroy(id)
    const [one] = await wanted(1)
    const { like } = one
    const most = Math.ceil(totalmem() / 1024 ** 2)
    await engine.keepWarm([{ like: { ...like, shape: { ...like.shape, memoryMiB: most } }, count: 1 }], signal)
    expect(warm()).toEqual([])
  })

  it('are made for one queue also where another asks for what is not here', async () => {
    const [one] = await wanted(1)
    const { like } = one
    const both = [
      { like: { ...like, image: 'nowhere' }, count: 1 },
      { like, count: 1 },
    ]
    await expect(engine.keepWarm(both, signal)).rejects.toThrow(/nowhere/)
    expect(warm()).toHaveLength(1)
  })

  it('are given to a request that comes while one that is alike is being made', async () => {
    const making = engine.keepWarm(await wanted(2), signal)
    await eventually(() => expect(warm().length).toBeGreaterThan(0))
    const requests = [await requestFor(engine, { image: 'debian' }), await requestFor(engine, { image: 'debian' })]
    for (const request of requests) await engine.create(request)
    for (const request of requests) await engine.start(request.id)
    await making
    expect((await engine.list()).map(({ state }) => state)).toEqual(['running', 'running'])
    for (const { id } of requests) await engine.destroy(id)
  })

  it('go when nobody wants them, and when they died; a crash while one is given away costs it nothing', async () => {
    await engine.keepWarm(await wanted(1), signal)
    const [name = ''] = warm()
    process.kill(recordOf(name).holder.pid, 'SIGKILL')
    await eventually(async () => {
      await engine.keepWarm(await wanted(1), signal)
      expect(warm()).not.toContain(name)
      expect(warm()).toHaveLength(1)
    })
    const [second = ''] = warm()
    const before = readFileSync(`${own.stateDir}/records/${second}.json`, 'utf8')
    const request = await requestFor(engine, { image: 'debian' })
    await engine.create(request)
    // As it would be if the host's power had gone between the two steps.
    writeFileSync(`${own.stateDir}/records/${second}.json`, before)
    const again = own.make() as QemuEngine
    const report = await again.sweep(new Set([request.id]))
    expect(report.failures).toEqual([])
    await again.keepWarm([], signal)
    await again.start(request.id)
    expect((await shellInside(again, request.id, 'echo alive')).stdout).toBe('alive\n')
    expect(warm()).toEqual([])
    await again.destroy(request.id)
    rmSync(`${own.stateDir}/records/${second}.json`, { force: true })
  })
})
