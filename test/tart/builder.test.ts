import { spawn } from 'node:child_process'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { makeTartEngine } from '../../src/drivers/engines/tart/index.ts'
import type { BuilderBase } from '../../src/ports/engine.ts'
import type { ImageEngine } from '../../src/ports/images.ts'
import { boot, inside, newId, requestFor } from '../engine/support/engine-under-test.ts'
import { startRealRegistry, type RealRegistry } from '../registry/real-registry.ts'
import { imageLab, metadataOf, pushGolden, signal } from './image-lab.ts'
import type { TartLab } from './lab.ts'

const environment = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }
const shape = { cpu: 2, memoryMiB: 2048, diskMiB: 32 }

describe('machines of the tart engine whose disks become images', () => {
  let lab: TartLab
  let settings: ReturnType<typeof imageLab>['settings']
  let engine: ImageEngine
  let registry: RealRegistry

  beforeAll(async () => {
    registry = await startRealRegistry()
    ;({ lab, settings } = imageLab())
    engine = makeTartEngine(settings)
    await engine.images.pull('base-mac', await pushGolden(registry.host, 'acme/macos'), { signal })
    await engine.images.pull('base-linux', await pushGolden(registry.host, 'acme/debian', { os: 'linux' }), { signal })
  })
  afterEach(async () => {
    lab.faults([])
    for (const { id } of await engine.list()) await engine.destroy(id)
  })
  afterAll(async () => {
    for (const { id } of await engine.images.list()) await engine.images.remove(id)
    expect((await lab.tart(['list', '-q'])).stdout).toBe('')
    await registry.stop()
    await lab.remove()
  })

  async function builder(base: BuilderBase, changes: Partial<typeof shape> = {}): Promise<string> {
    const id = newId('sbx')
    await engine.create(await requestFor(engine, { id, image: null, shape: { ...shape, ...changes }, builder: base }))
    await engine.start(id)
    return id
  }

  const asRoot = (id: string, script: string): ReturnType<typeof inside> =>
    inside(engine, id, { argv: ['/bin/sh', '-c', script], env: environment, asRoot: true })

  async function nameOf(id: string): Promise<string> {
    const { stdout } = await lab.tart(['list', '-q', '--source', 'local'])
    return stdout.split('\n').find((name) => name.includes(id.replace('_', '-'))) ?? ''
  }

  it.each(['base-mac', 'base-linux'])('keeps what root did, in layers, as a build that is whole and boots: %s', async (base) => {
    const first = await builder({ image: base })
    expect(await asRoot(first, 'id -u; echo lower > /opt/lower')).toMatchObject({ code: 0, stdout: '0\n' })
    expect(await inside(engine, first, { argv: ['id', '-un'], env: environment })).toMatchObject({ stdout: 'admin\n' })
    await engine.builder.shutDown(first, 30_000)
    await engine.builder.shutDown(first, 30_000)
    await engine.builder.keepLayer(first, 'aaaaaaaaaaaaaaaa')
    await engine.builder.keepLayer(first, 'aaaaaaaaaaaaaaaa')
    await engine.start(first)
    expect(await asRoot(first, 'cat /opt/lower && echo upper > /opt/upper')).toMatchObject({ code: 0, stdout: 'lower\n' })
    await engine.builder.shutDown(first, 30_000)
    const sealed = await engine.builder.seal(first, metadataOf('bld_one'))
    expect(sealed).toMatchObject({ id: 'bld_one', engine: 'tart', problems: [], users: [], metadata: { name: 'macos-15-bld_one' } })
    await expect(engine.builder.seal(first, metadataOf('bld_one'))).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(await engine.images.verify('bld_one', signal)).toEqual([])
    await engine.destroy(first)
    // What others sweep is theirs.
    await engine.sweep(new Set())
    expect(await engine.images.sweep(new Set())).toEqual([])

    const second = await builder({ layer: 'aaaaaaaaaaaaaaaa' })
    expect(await asRoot(second, 'ls /opt/lower /opt/upper')).toMatchObject({ stdout: '/opt/lower\n' })
    await expect(engine.builder.removeLayer('aaaaaaaaaaaaaaaa')).rejects.toMatchObject({ code: 'CONFLICT' })
    await engine.destroy(second)
    expect((await engine.builder.layers()).map(({ key }) => key)).toEqual(['aaaaaaaaaaaaaaaa'])
    await engine.builder.removeLayer('aaaaaaaaaaaaaaaa')
    await expect(engine.builder.removeLayer('aaaaaaaaaaaaaaaa')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(builder({ layer: 'aaaaaaaaaaaaaaaa' })).rejects.toMatchObject({ code: 'NOT_FOUND' })

    const job = await boot(engine, { image: 'bld_one' })
    expect(await inside(engine, job.id, { argv: ['cat', '/opt/lower', '/opt/upper'], env: environment })).toMatchObject({
      stdout: 'lower\nupper\n',
    })
    expect(await engine.check('bld_one')).toMatchObject({ ok: true })
    await expect(engine.command(job.id, { argv: ['id'], env: environment, asRoot: true })).rejects.toMatchObject({ code: 'FORBIDDEN' })
    await expect(engine.images.remove('bld_one')).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining(job.id) as string,
    })
    expect((await engine.images.list()).find(({ id }) => id === 'bld_one')?.users).toEqual([job.id])
    await engine.destroy(job.id)
    await engine.images.remove('bld_one')
    expect(await engine.check('bld_one')).toMatchObject({ ok: false, reason: 'this host has no image bld_one' })
    expect((await lab.tart(['list', '-q', '--source', 'local'])).stdout).toBe('')
  })

  it('makes no build of a machine that runs, was switched off, does not go down in time, or sleeps [002-17 on double]', async () => {
    const id = await builder({ image: 'base-mac' })
    await expect(engine.builder.seal(id, metadataOf('bld_two'))).rejects.toMatchObject({ code: 'CONFLICT' })
    await asRoot(id, 'printf "#!/bin/sh\\necho no >&2; exit 1\\n" > /usr/sbin/shutdown')
    await expect(engine.builder.shutDown(id, 2000)).rejects.toMatchObject({
      code: 'ENGINE_FAILED',
      message: 'the guest did not shut down within 2 s; it said: no',
    })
    // Switched off, and not closed: nobody knows what of it was written.
    await engine.stop(id, 0)
    for (const keeps of [() => engine.builder.seal(id, metadataOf('bld_two')), () => engine.builder.keepLayer(id, 'bbbbbbbbbbbbbbbb')])
      await expect(keeps()).rejects.toMatchObject({ code: 'CONFLICT' })
    await expect(engine.builder.shutDown(id, 2000)).rejects.toMatchObject({ code: 'ENGINE_FAILED' })
    await expect(engine.builder.seal(newId('sbx'), metadataOf('bld_two'))).rejects.toMatchObject({ code: 'NOT_FOUND' })
    // One that was closed and runs again is open again.
    const again = await builder({ image: 'base-mac' })
    await engine.builder.shutDown(again, 30_000)
    writeFileSync(`${lab.path(await nameOf(again))}/state.vzvmsave`, 'a snapshot')
    await expect(engine.builder.seal(again, metadataOf('bld_two'))).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('suspended') as string,
    })
    await engine.start(again)
    await engine.stop(again, 0)
    await expect(engine.builder.seal(again, metadataOf('bld_two'))).rejects.toMatchObject({ code: 'CONFLICT' })
    expect((await engine.images.list()).map((image) => image.id)).toEqual(['base-linux', 'base-mac'])
    expect(await engine.builder.layers()).toEqual([])
  })

  it('a machine that fails while it shuts down is no build [002-17 on double]', async () => {
    const id = await builder({ image: 'base-mac' })
    await engine.stop(id, 0)
    lab.faults([{ command: 'run', exit: 1, afterMs: 2500, stderr: 'Error Domain=VZErrorDomain Code=1 "Internal Virtualization error."' }])
    await engine.start(id)
    await asRoot(id, 'printf "#!/bin/sh\\nsleep 60\\n" > /usr/sbin/shutdown')
    await expect(engine.builder.shutDown(id, 30_000)).rejects.toMatchObject({ code: 'ENGINE_FAILED', details: { fault: 'internal' } })
    await expect(engine.builder.seal(id, metadataOf('bld_three'))).rejects.toMatchObject({ code: 'CONFLICT' })
  })

  it.each(['agent', 'ssh'])('ends what root runs as it ends the rest, in by %s', async (door) => {
    if (door === 'ssh') lab.faults([{ command: 'run', effects: ['noAgent'] }])
    const entering = makeTartEngine({ ...settings, agentSeconds: 0, ssh: { passwordFile: lab.passwordFile } })
    const id = newId('sbx')
    await entering.create(await requestFor(entering, { id, image: null, shape, builder: { image: 'base-linux' } }))
    await entering.start(id)
    const root = (script: string): ReturnType<typeof inside> =>
      inside(entering, id, { argv: ['/bin/sh', '-c', script], env: environment, asRoot: true })
    expect(await root('id -u; exit 7')).toMatchObject({ code: 7, stdout: '0\n' })
    const { argv, env, cwd } = await entering.command(id, {
      argv: ['/bin/sh', '-c', 'echo up; sleep 987 & sleep 988'],
      env: environment,
      asRoot: true,
    })
    const child = spawn(argv[0], argv.slice(1), { env, cwd, stdio: ['ignore', 'pipe', 'inherit'] })
    const ended = new Promise((resolve) => child.once('close', (code, signal) => resolve(signal ?? code)))
    await new Promise((resolve) => child.stdout.once('data', resolve))
    child.kill('SIGTERM')
    expect(await ended).toBe('SIGTERM')
    expect((await root("ps ax | grep -c 'slee[p] 98'")).stdout).toBe('0\n')
    await entering.builder.shutDown(id, 30_000)
    await entering.destroy(id)
  })

  it('makes the disk of a builder as large as asked, never smaller, and leaves those of jobs', async () => {
    const size = async (id: string): Promise<number> => statSync(`${lab.path(await nameOf(id))}/disk.img`).size
    const small = await builder({ image: 'base-linux' })
    expect(await size(small)).toBe(64_000_000)
    const large = await builder({ image: 'base-linux' }, { diskMiB: 1500 })
    expect(await size(large)).toBe(2_000_000_000)
    const job = await engine.create(await requestFor(engine, { image: 'base-linux', shape: { ...shape, diskMiB: 1500 } }))
    expect(await size(job.id)).toBe(64_000_000)
  })

  it('a builder is one of the two macOS guests that a host may run', async () => {
    const [one] = [await boot(engine, { image: 'base-mac' }), await boot(engine, { image: 'base-mac' })]
    await expect(builder({ image: 'base-mac' })).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('2 macOS guests') as string,
    })
    await engine.destroy(one.id)
    await builder({ image: 'base-mac' })
    await expect(boot(engine, { image: 'base-mac' })).rejects.toMatchObject({ code: 'CONFLICT' })
  })

  it('leaves a layer or build half made of no crash: part names are swept when their process is gone, persons’ machines never', async () => {
    const id = await builder({ image: 'base-linux' })
    await engine.builder.shutDown(id, 30_000)
    lab.faults([
      { command: 'rename', call: 1, exit: 1, stderr: 'cut off' },
      { command: 'rename', call: 2, exit: 1, stderr: 'cut off' },
    ])
    await expect(engine.builder.keepLayer(id, 'cccccccccccccccc')).rejects.toThrow('cut off')
    await expect(engine.builder.seal(id, metadataOf('bld_four'))).rejects.toThrow('cut off')
    expect(await engine.builder.layers()).toEqual([])
    expect((await engine.images.list()).some((image) => image.id === 'bld_four')).toBe(false)
    // The same build, tried again.
    expect(await engine.builder.seal(id, metadataOf('bld_four'))).toMatchObject({ id: 'bld_four' })
    const owner = readFileSync(`${settings.stateDir}/owner`, 'utf8')
    const left = `cidery-${owner}-part-999999-abcd`
    for (const name of [left, 'persons', `cidery-ffffffff-part-999999-abcd`]) await lab.tart(['clone', await nameOf(id), name])
    expect(await makeTartEngine(settings).images.sweep(new Set())).toEqual([left])
    await engine.images.remove('bld_four')
    expect(readdirSync(`${lab.home}/vms`).filter((name) => !name.includes(id.replace('_', '-')))).toEqual([
      'cidery-ffffffff-part-999999-abcd',
      'persons',
    ])
    for (const name of ['persons', 'cidery-ffffffff-part-999999-abcd']) await lab.tart(['delete', name])
  })

  it('makes no base of a restore image or of packages, and says what to start from', async () => {
    const asked = { signal, onLine: () => undefined }
    for (const source of [
      { kind: 'ipsw', file: '/tmp/a.ipsw', diskMiB: 1 },
      { kind: 'debian', suite: 'bookworm', packages: [], diskMiB: 1 },
    ] as const) {
      await expect(engine.builder.prepareBase(source, asked)).rejects.toMatchObject({
        code: 'UNSUPPORTED',
        hint: expect.stringContaining('oci') as string,
      })
    }
  })
})
