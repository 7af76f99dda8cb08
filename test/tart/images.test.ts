import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { makeTartEngine } from '../../src/drivers/engines/tart/index.ts'
import { pushTartImage } from '../../src/drivers/engines/tart/oci/push.ts'
import { formatImageReference } from '../../src/model/image/reference.ts'
import type { ImageEngine, TransferOptions, Transferred } from '../../src/ports/images.ts'
import { testClient } from '../doubles/registry/client.ts'
import { boot, requestFor, shellInside } from '../engine/support/engine-under-test.ts'
import { startNastyProxy, type NastyProxy } from '../images/nasty-proxy.ts'
import { startRealRegistry, type RealRegistry } from '../registry/real-registry.ts'
import { imageLab, pieceBytes, pushGolden, signal, type Pinned } from './image-lab.ts'
import type { TartLab } from './lab.ts'

const repository = 'acme/macos'

interface Layer {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
}

describe('images of the tart engine', () => {
  let registry: RealRegistry
  let proxy: NastyProxy
  let lab: TartLab
  let settings: ReturnType<typeof imageLab>['settings']
  let engine: ImageEngine
  let golden: Pinned
  let other: Pinned

  beforeAll(async () => {
    registry = await startRealRegistry()
    golden = await pushGolden(registry.host, repository)
    other = await pushGolden(registry.host, repository, { os: 'darwin', release: '15.7' })
  })
  afterAll(() => registry.stop())
  beforeEach(async () => {
    proxy = await startNastyProxy(registry.url)
    ;({ lab, settings } = imageLab())
    engine = makeTartEngine(settings)
  })
  afterEach(async () => {
    for (const { id } of await engine.list()) await engine.destroy(id)
    await proxy.stop()
    await lab.remove()
  })

  /** An image behind the proxy, which may answer anything. */
  const behind = (pinned: Pinned): Pinned => ({ ...pinned, registry: proxy.host })
  const cacheOf = ({ registry: host }: Pinned): string => `${lab.home}/cache/OCIs/${host.replace(':', '%3A')}/${repository}`
  const inCache = (pinned: Pinned): readonly string[] => (existsSync(cacheOf(pinned)) ? readdirSync(cacheOf(pinned)).toSorted() : [])
  const pull = (id: string, from: Pinned, options: Partial<TransferOptions> = {}): ReturnType<ImageEngine['images']['pull']> =>
    engine.images.pull(id, from, { signal, ...options })

  async function layersOf({ digest }: Pinned): Promise<readonly Layer[]> {
    const { bytes } = await testClient().readManifest({ registry: registry.host, repository }, digest, signal)
    return (JSON.parse(Buffer.from(bytes).toString()) as { layers: readonly Layer[] }).layers
  }

  it('brings an image by its digest, once, and tells how far it is in bytes [000-18]', async () => {
    const told: Transferred[] = []
    const stored = await pull('bld_a', golden, { onProgress: (transferred) => told.push(transferred) })
    expect(stored).toMatchObject({
      id: 'bld_a',
      engine: 'tart',
      metadata: null,
      users: [],
      problems: [],
      reference: formatImageReference(golden),
    })
    const packed = (await layersOf(golden)).slice(1, -1).reduce((sum, { size }) => sum + size, 0)
    expect(told[0]).toEqual({ done: 0, total: packed, network: 0 })
    expect(told.at(-1)).toEqual({ done: packed, total: packed, network: packed })
    expect(told.length).toBeGreaterThan(5)
    expect(told.map(({ done }) => done)).toEqual(told.map(({ done }) => done).toSorted((a, b) => a - b))
    // So that Tart never collects it.
    expect(existsSync(`${cacheOf(golden)}/${golden.digest}/.explicitly-pulled`)).toBe(true)
    expect(await engine.images.verify('bld_a', signal)).toEqual([])

    const before = settings.log.lines.length
    expect(await pull('bld_a', golden, { bandwidth: 1000 })).toEqual(stored)
    const words = settings.log.lines.slice(before).map(({ message, facts }) => `${message} ${JSON.stringify(facts['words'] ?? '')}`)
    expect(words.filter((line) => line.includes('pull'))).toEqual([])
    expect(words.join('\n')).toContain('the limit of a transfer is not kept')

    expect(await engine.check('bld_a')).toMatchObject({ ok: true, reason: '' })
    const sandbox = await boot(engine, { image: 'bld_a' })
    expect(await shellInside(engine, sandbox.id, 'sw_vers -productVersion')).toMatchObject({ stdout: '15.6\n' })
    await expect(engine.images.remove('bld_a')).rejects.toMatchObject({ code: 'CONFLICT' })
    await engine.destroy(sandbox.id)
    await engine.images.remove('bld_a')
    expect(inCache(golden)).toEqual([])
    expect(await engine.images.list()).toEqual([])
    await expect(engine.images.remove('bld_a')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(engine.images.verify('bld_a', signal)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(pull('bld_a', { ...golden, digest: `sha256:${'0'.repeat(64)}` })).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(await engine.images.list()).toEqual([])
  })

  it.each([
    ['config.json', 0, 20],
    ['the disk', 1, 200],
    ['nvram.bin', -1, 20],
  ])('refuses and removes an image with a flipped byte in %s', async (name, number, where) => {
    const digest = (await layersOf(golden)).at(number)?.digest ?? ''
    proxy.change = (path, body) => {
      if (!path.endsWith(digest)) return body
      const changed = Buffer.from(body)
      changed[where] = (changed[where] ?? 0) ^ 1
      return changed
    }
    const failure = await pull('bld_a', behind(golden)).catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'DIGEST_MISMATCH' })
    expect((failure as Error).message).toMatch(name === 'the disk' ? /piece 0 \(bytes|failed to decompress/ : name)
    await engine.images.sweep(new Set())
    expect(inCache(behind(golden))).toEqual([])
    expect(await engine.images.list()).toEqual([])
    // With bytes that are right it is brought as if nothing had been.
    proxy.change = (_, body) => body
    expect(await pull('bld_a', behind(golden))).toMatchObject({ problems: [] })
  })

  it('refuses another image in place of the one that is named, and the link that Tart makes of it', async () => {
    const { bytes } = await testClient().readManifest({ registry: registry.host, repository }, other.digest, signal)
    // cidery's own client looks first, and would not even begin.
    let manifests = 0
    proxy.change = (path, body) => (path.includes('/manifests/') && (manifests += 1) > 1 ? Buffer.from(bytes) : body)
    await expect(pull('bld_a', behind(golden))).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
      message: expect.stringContaining('is a link to another image') as string,
    })
    expect(inCache(behind(golden))).toEqual([])
    expect(await engine.images.list()).toEqual([])
    await expect(boot(engine, { image: 'bld_a' })).rejects.toMatchObject({ code: 'UNSUPPORTED' })
  })

  it('says when a pull was cut, lists nothing of it, and goes on with it', async () => {
    const [, disk] = await layersOf(golden)
    proxy.change = (path, body) => (path.endsWith(disk?.digest ?? '') ? { cutAfter: 1000 } : body)
    await expect(pull('bld_a', behind(golden))).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(await engine.images.list()).toEqual([])
    expect(await engine.check('bld_a')).toMatchObject({ ok: false })
    // Who still wants it is not swept away.
    expect(await engine.images.sweep(new Set(['bld_a']))).toEqual([])
    expect(await engine.images.sweep(new Set())).toEqual(['bld_a'])
    proxy.change = (_, body) => body
    expect(await pull('bld_a', behind(golden))).toMatchObject({ problems: [] })
  })

  it('ends a pull that is cancelled, at once and with all that it began', async () => {
    const control = new AbortController()
    const reason = new Error('not wanted any more')
    const pulling = pull('bld_a', golden, { signal: control.signal, onProgress: ({ done }) => done > 0 && control.abort(reason) })
    await expect(pulling).rejects.toBe(reason)
    await engine.images.sweep(new Set())
    expect(await engine.images.list()).toEqual([])
    expect(inCache(golden)).toEqual([])
  })

  it('says when the disk is full, before and while it pulls, with how much is needed', async () => {
    // Zeros are packed to nothing: what has to be written is more than what is fetched.
    const folder = `${lab.root}/large`
    mkdirSync(folder)
    writeFileSync(
      `${folder}/config.json`,
      JSON.stringify({ os: 'linux', arch: 'arm64', diskFormat: 'raw', macAddress: '7a:00:01:02:03:04' }),
    )
    writeFileSync(`${folder}/nvram.bin`, 'x')
    writeFileSync(`${folder}/disk.img`, Buffer.alloc(24 * 1024 ** 2, 'much of the same '))
    const where = { registry: registry.host, repository }
    const options = { signal, uploadTime: '2026-11-30T00:00:00Z', rangeBytes: pieceBytes, scratch: lab.root }
    const { digest } = await pushTartImage(folder, { registry: testClient(), where }, options)
    const large = { ...golden, digest }
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', lab.home])
    try {
      await expect(pull('bld_a', large)).rejects.toMatchObject({ code: 'STORAGE_FULL', details: { neededBytes: 24 * 1024 ** 2 } })
      expect(await engine.images.list()).toEqual([])
      await engine.images.sweep(new Set())
      expect(inCache(large)).toEqual([])
      // What the pull left goes with the next command of Tart.
      await lab.tart(['list'])
      expect((await engine.images.room()).usedBytes).toBe(0)
      writeFileSync(`${lab.home}/filler`, Buffer.alloc((await engine.images.room()).freeBytes - 40_000))
      const before = settings.log.lines.length
      await expect(pull('bld_a', large)).rejects.toMatchObject({
        code: 'STORAGE_FULL',
        message: expect.stringContaining('at least') as string,
      })
      expect(settings.log.lines.slice(before).filter(({ message }) => message === 'tart was called')).toEqual([])
    } finally {
      execFileSync('umount', [lab.home])
    }
  })

  it('never removes what a person pulled, before or by a tag, nor what agent.yaml or another build names', async () => {
    const name = `${registry.host}/${repository}`
    await lab.tart(['pull', '--insecure', `${name}@${golden.digest}`])
    await pull('bld_a', golden)
    await engine.images.remove('bld_a')
    expect(inCache(golden)).toEqual([golden.digest])

    await pull('bld_b', other)
    await pull('bld_c', other)
    await engine.images.remove('bld_b')
    expect(await engine.images.list()).toMatchObject([{ id: 'bld_c', problems: [] }])
    await lab.tart(['pull', '--insecure', `${name}:latest`])
    await engine.images.remove('bld_c')
    expect(inCache(golden)).toEqual(['latest', golden.digest, other.digest].toSorted())
    await lab.tart(['delete', `${name}:latest`])
    await lab.tart(['delete', `${name}@${other.digest}`])

    const named = makeTartEngine({ ...settings, images: { mine: `${name}@${other.digest}` } })
    await named.images.pull('bld_d', other, { signal })
    await named.images.remove('bld_d')
    expect(inCache(golden)).toContain(other.digest)
    await expect(named.images.remove('mine')).rejects.toMatchObject({ code: 'CONFLICT' })
  })

  it('says that a person’s image is broken, and leaves it', async () => {
    await lab.tart(['pull', '--insecure', `${registry.host}/${repository}@${golden.digest}`])
    const config = `${cacheOf(golden)}/${golden.digest}/config.json`
    const text = readFileSync(config, 'utf8')
    writeFileSync(config, text.replace('arm64', 'arm65'))
    await expect(pull('bld_a', golden)).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
      message: expect.stringMatching(/config\.json: .*stays there: tart delete/) as string,
    })
    expect(inCache(golden)).toEqual([golden.digest])
    // Of its own it takes care itself.
    await lab.tart(['delete', `${registry.host}/${repository}@${golden.digest}`])
    await pull('bld_a', golden)
    writeFileSync(config, text.replace('arm64', 'arm65'))
    expect(await engine.images.verify('bld_a', signal)).toEqual([expect.stringMatching(/^config\.json: it is sha256:/)])
    await lab.tart(['delete', `${registry.host}/${repository}@${golden.digest}`])
    expect(await engine.images.list()).toMatchObject([{ id: 'bld_a', problems: [expect.stringContaining('Tart’s cache has it no more')] }])
    expect(await engine.check('bld_a')).toMatchObject({ ok: false })
    expect(await pull('bld_a', golden)).toMatchObject({ problems: [] })
  })

  it('names the machine whose config.json keeps everything from being cloned', async () => {
    await pull('bld_a', golden)
    await lab.tart(['clone', `${registry.host}/${repository}@${golden.digest}`, 'persons'])
    const config = `${lab.path('persons')}/config.json`
    const text = readFileSync(config, 'utf8')
    writeFileSync(config, '{ "os": ')
    expect(await engine.check('bld_a')).toMatchObject({ ok: false, reason: expect.stringContaining(config) as string })
    await expect(engine.create(await requestFor(engine, { image: 'bld_a' }))).rejects.toMatchObject({
      code: 'ENGINE_FAILED',
      message: expect.stringContaining(config) as string,
      details: { fault: 'configBroken' },
    })
    writeFileSync(config, text)
    expect(await engine.check('bld_a')).toMatchObject({ ok: true })
    await lab.tart(['delete', 'persons'])
  })

  it('boots no macOS that is newer than its host [X-03]', async () => {
    const id = 'bld_a'
    await pull(id, golden)
    const path = `${settings.stateDir}/images/${id}.json`
    const record = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
    const guest = { os: 'macos', release: '26', arch: 'arm64' }
    const metadata = {
      build: id,
      image: 'macos-26',
      name: id,
      engine: 'tart',
      recipe: null,
      base: null,
      productVersion: null,
      guest,
      builtAt: 0,
      builtOn: '',
      tools: [],
      labels: {},
    }
    writeFileSync(path, JSON.stringify({ ...record, metadata }))
    for (const [release, ok] of [
      ['15.6', false],
      ['26.1', true],
      ['27.0', true],
      [null, true],
    ] as const) {
      const host = makeTartEngine({ ...settings, hostRelease: () => Promise.resolve(release) })
      expect((await host.check(id)).ok).toBe(ok)
      const said = await host.create(await requestFor(host, { image: id })).then(
        () => null,
        (error: Error) => error.message,
      )
      expect(said).toEqual(ok ? null : expect.stringContaining('has macOS 26, and this host runs 15.6'))
    }
  })

  it('sends an image that was pulled as it is, under its own digest, to another place', async () => {
    await pull('bld_a', golden)
    const to = { registry: registry.host, repository: 'acme/promoted', tags: ['v1', 'stable'] }
    const pushed = await engine.images.push('bld_a', to, { signal })
    expect(pushed).toMatchObject({ digest: golden.digest, sentBytes: 0, failedTags: [] })
    expect(await engine.images.list()).toMatchObject([{ reference: `${registry.host}/acme/promoted:v1@${golden.digest}` }])
    const where = { registry: registry.host, repository: 'acme/promoted' }
    expect(await testClient().resolve(where, 'stable', signal)).toMatchObject({ digest: golden.digest })
    const { registry: _, ...withoutRegistry } = settings
    await expect(engine.images.push('bld_x', to, { signal })).rejects.toMatchObject({ code: 'NOT_FOUND' })
    const without = makeTartEngine(withoutRegistry)
    await expect(without.images.push('bld_a', to, { signal })).rejects.toMatchObject({ code: 'UNSUPPORTED' })
  })

  it('gives who asks for an image while it comes, or goes, the whole of it or nothing [X-02]', async () => {
    const coming = pull('bld_a', golden)
    const made: string[] = []
    const isThere = coming.then(() => true)
    while (!(await Promise.race([isThere, sleep(20).then(() => false)]))) {
      const request = await requestFor(engine, { image: 'bld_a' })
      const failure = await engine.create(request).then(
        ({ id }) => void made.push(id),
        (error: unknown) => error,
      )
      if (failure !== undefined) expect(failure).toMatchObject({ code: 'UNSUPPORTED' })
    }
    const [request, other] = [await requestFor(engine, { image: 'bld_a' }), await requestFor(engine, { image: 'bld_a' })]
    const [created, removed] = await Promise.allSettled([engine.create(request), engine.images.remove('bld_a')])
    // One of them was first.
    expect([created.status, removed.status].toSorted()).toEqual(['fulfilled', 'rejected'])
    if (created.status === 'fulfilled') await engine.destroy(request.id)
    for (const id of made) await engine.destroy(id)
    await engine.images.remove('bld_a').catch(() => undefined)
    await expect(engine.create(other)).rejects.toMatchObject({ code: 'UNSUPPORTED' })
  })

  it('says when a place of Tart is another user’s, and keeps what it knows to its own [000-50]', async () => {
    await pull('bld_a', golden)
    expect(statSync(`${settings.stateDir}/images`).mode & 0o777).toBe(0o700)
    expect(statSync(`${settings.stateDir}/images/bld_a.json`).mode & 0o777).toBe(0o600)
    chmodSync(settings.stateDir, 0o755)
    expect(await makeTartEngine(settings).check('bld_a')).toMatchObject({ ok: true })
    expect(statSync(settings.stateDir).mode & 0o777).toBe(0o700)
    chownSync(`${lab.home}/vms`, 12_345, 12_345)
    expect(await makeTartEngine(settings).check('bld_a')).toMatchObject({
      ok: false,
      reason: `${lab.home}/vms is another user's: chown -R root ${lab.home}`,
    })
    chownSync(`${lab.home}/vms`, 0, 0)
    expect(await makeTartEngine(settings).check('bld_a')).toMatchObject({ ok: true })
  })

  it('tells how much room there is on the disk of TART_HOME, and what of it images take', async () => {
    const before = await engine.images.room()
    expect(before.usedBytes).toBe(0)
    expect(before.freeBytes).toBeLessThanOrEqual(before.totalBytes)
    const { sizeBytes } = await pull('bld_a', golden)
    expect((await engine.images.room()).usedBytes).toBe(sizeBytes)
    expect(sizeBytes).toBeLessThan(64_000_000)
  })
})
