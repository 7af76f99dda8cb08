import { existsSync, readdirSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { makeQemuEngine } from '../../src/drivers/engines/qemu/index.ts'
import type { ImageMetadata } from '../../src/model/image/stored.ts'
import type { ImageEngine } from '../../src/ports/images.ts'
import { inside, newId, requestFor } from '../engine/support/engine-under-test.ts'
import { machines, type Machines } from './machines.ts'

const environment = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }

describe('machines of the qemu engine whose disks become images', () => {
  let own: Machines
  let engine: ImageEngine

  beforeAll(async () => {
    own = await machines()
    engine = own.make()
  })
  afterEach(async () => {
    for (const { id } of await engine.list()) await engine.destroy(id)
  })
  afterAll(async () => {
    await engine.sweep(new Set())
    expect(own.left()).toEqual([])
    own.remove()
  })

  const metadata = (build: string): ImageMetadata => ({
    build,
    image: 'debian-12',
    name: 'debian-12-test',
    engine: 'qemu',
    recipe: null,
    base: { reference: 'debian', digest: null },
    productVersion: null,
    guest: { os: 'linux', release: '12', arch: 'x64' },
    builtAt: 0,
    builtOn: 'here',
    tools: [],
    labels: {},
  })

  async function builder(base: { image: string } | { layer: string }): Promise<string> {
    const id = newId('sbx')
    const shape = { cpu: 1, memoryMiB: 512, diskMiB: 5120 }
    await engine.create(await requestFor(engine, { id, image: null, shape, network: 'none', builder: base }))
    await engine.start(id)
    return id
  }

  const asRoot = (id: string, script: string): ReturnType<typeof inside> =>
    inside(engine, id, { argv: ['/bin/sh', '-c', script], env: environment, asRoot: true })

  it('keeps what root did, in layers, as a build that is whole and boots', async () => {
    const first = await builder({ image: 'debian' })
    // Its disk is larger than the image's, and so is the file system.
    expect(await asRoot(first, "id -u; df -m / | awk 'END { print ($2 > 4500) }'; echo lower > /opt/lower")).toMatchObject({
      code: 0,
      stdout: '0\n1\n',
    })
    expect(await inside(engine, first, { argv: ['id', '-un'], env: environment })).toMatchObject({ stdout: 'job\n' })
    await engine.builder.shutDown(first, 60_000)
    await engine.builder.keepLayer(first, 'aaaaaaaaaaaaaaaa')
    await engine.start(first)
    expect(await asRoot(first, 'cat /opt/lower && echo upper > /opt/upper')).toMatchObject({ code: 0, stdout: 'lower\n' })
    await engine.builder.shutDown(first, 60_000)
    const sealed = await engine.builder.seal(first, metadata('bld_one'))
    expect(sealed).toMatchObject({ id: 'bld_one', problems: [], users: [], metadata: { name: 'debian-12-test' } })
    await engine.destroy(first)

    const second = await builder({ layer: 'aaaaaaaaaaaaaaaa' })
    expect(await asRoot(second, 'ls /opt')).toMatchObject({ stdout: 'lower\n' })
    await expect(engine.builder.removeLayer('aaaaaaaaaaaaaaaa')).rejects.toMatchObject({ code: 'CONFLICT' })
    await engine.destroy(second)
    await engine.builder.removeLayer('aaaaaaaaaaaaaaaa')

    const job = await requestFor(engine, { image: 'bld_one' })
    await engine.create(job)
    await engine.start(job.id)
    expect(await inside(engine, job.id, { argv: ['cat', '/opt/lower', '/opt/upper'], env: environment })).toMatchObject({
      stdout: 'lower\nupper\n',
    })
    expect(await engine.check('bld_one')).toMatchObject({ ok: true })
    await expect(engine.command(job.id, { argv: ['id'], env: environment, asRoot: true })).rejects.toMatchObject({ code: 'FORBIDDEN' })
    await expect(engine.images.remove('bld_one')).rejects.toMatchObject({ code: 'CONFLICT' })
    await engine.destroy(job.id)
    await engine.images.remove('bld_one')
    expect(await engine.images.list()).toEqual([])
    expect(await engine.check('bld_one')).toMatchObject({ ok: false })
    expect(readdirSync(`${own.stateDir}/images`)).toEqual([])
  })

  it('makes no build of a machine that still runs, or whose disk was not left whole', async () => {
    const id = await builder({ image: 'debian' })
    await expect(engine.builder.seal(id, metadata('bld_two'))).rejects.toMatchObject({ code: 'CONFLICT' })
    // Switched off, and not closed: nobody knows what of it was written.
    await engine.stop(id, 0)
    for (const keeps of [() => engine.builder.seal(id, metadata('bld_two')), () => engine.builder.keepLayer(id, 'bbbbbbbbbbbbbbbb')])
      await expect(keeps()).rejects.toMatchObject({ code: 'CONFLICT' })
    await expect(engine.builder.shutDown(id, 10_000)).rejects.toMatchObject({ code: 'ENGINE_FAILED' })
    await expect(engine.builder.seal(newId('sbx'), metadata('bld_two'))).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(await engine.images.list()).toEqual([])
    expect((await makeQemuEngine({ stateDir: own.stateDir, slots: 4 }).images.sweep(new Set())).length).toBe(0)
    expect(existsSync(`${own.stateDir}/images/bld_two`)).toBe(false)
  })
})
