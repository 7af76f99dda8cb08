import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { buildImage } from '../../src/act/agent/images/build.ts'
import { makeTartEngine } from '../../src/drivers/engines/tart/index.ts'
import type { RecipeInput } from '../../src/model/image/recipe.ts'
import type { ImageEngine } from '../../src/ports/images.ts'
import { boot, inside, newId, plainPath, requestFor, shellInside } from '../engine/support/engine-under-test.ts'
import { startRealRegistry, type RealRegistry } from '../registry/real-registry.ts'
import { imageLab, macBuild, macLayers, macRecipe, pushGolden, signal, type Pinned } from './image-lab.ts'
import type { TartLab } from './lab.ts'

describe('builds of images in machines of Tart', () => {
  let registry: RealRegistry
  let base: Pinned
  let lab: TartLab
  let settings: ReturnType<typeof imageLab>['settings']
  let engine: ImageEngine

  beforeAll(async () => {
    registry = await startRealRegistry()
    base = await pushGolden(registry.host, 'acme/macos')
    ;({ lab, settings } = imageLab())
    engine = makeTartEngine(settings)
  })
  afterEach(async () => {
    expect(await engine.list()).toEqual([])
    for (const { id } of await engine.images.list()) await engine.images.remove(id)
    for (const { key } of await engine.builder.layers()) await engine.builder.removeLayer(key)
    expect(readdirSync(`${lab.home}/vms`)).toEqual([])
  })
  afterAll(async () => {
    await lab.remove()
    await registry.stop()
  })

  async function build(id: string, recipe: RecipeInput = macRecipe, on = engine): ReturnType<typeof macBuild> {
    const made = await macBuild(id, { engine: on, recipe, base })
    await buildImage(made).catch((error: unknown) => {
      throw new Error(made.said(), { cause: error })
    })
    return made
  }

  it('builds on one Mac, and another pulls, proves and boots it; what changes is all that is sent [002-130]', async () => {
    const first = await build('bld_first')
    expect(first.phases().map(({ phase, done, total }) => [phase, done, total])).toEqual([
      ['pull', expect.any(Number), expect.any(Number)],
      ['clone', 0, null],
      ['bootstrap', 6, 6],
      ['validate', 2, 2],
      ['seal', 0, null],
      ['prove', 4, 4],
    ])
    const [pull] = first.phases()
    expect(pull).toMatchObject({ unit: 'bytes', done: pull?.total })
    expect(first.said()).toContain('# step as the user (shell)\nadmin\n')
    expect(first.said()).toContain('has no network nat here: the guest gets host')
    const stored = (await engine.images.list()).find(({ id }) => id === 'bld_first')
    expect(stored).toMatchObject({
      reference: null,
      problems: [],
      metadata: {
        image: 'macos-15',
        recipe: { version: '3.6' },
        // What it was built on, by its digest.
        base: { reference: `${registry.host}/acme/macos:latest`, digest: base.digest },
        guest: { os: 'macos', release: '15', arch: 'arm64' },
        tools: [
          { name: 'tool', version: '2.3.4', demand: '2.3.4' },
          { name: 'xcode', version: '26.0', demand: '>=26 <27' },
        ],
      },
    })
    const to = (id: string): Parameters<ImageEngine['images']['push']>[1] => ({
      registry: registry.host,
      repository: 'ci/macos-15',
      tags: [id, 'latest'],
    })
    const pushed = await engine.images.push('bld_first', to('v1'), { signal })
    // The base is in that registry: most of the disk is as it was there.
    expect(pushed.failedTags).toEqual([])
    expect(pushed.reusedBytes).toBeGreaterThan(0)
    expect(await engine.images.push('bld_first', to('v1'), { signal })).toMatchObject({ digest: pushed.digest, sentBytes: 0 })

    const other = imageLab()
    const second = makeTartEngine(other.settings)
    try {
      const reference = { registry: registry.host, repository: 'ci/macos-15', tag: 'v1', digest: pushed.digest }
      const brought = await second.images.pull('bld_first', reference, { signal })
      expect(brought.metadata).toEqual(stored?.metadata)
      expect(await second.images.verify('bld_first', signal)).toEqual([])
      const job = await boot(second, { image: 'bld_first' })
      expect(await inside(second, job.id, { argv: ['/usr/local/bin/greeting'], env: plainPath })).toMatchObject({
        stdout: 'hello from the image\n',
      })
      expect(await shellInside(second, job.id, 'cat /opt/after /Users/admin/mine')).toMatchObject({
        stdout: expect.stringContaining('mine') as string,
      })
      await second.destroy(job.id)

      // Only the highest layer is another: the build starts from the lower one, and most layers of the disk are in the registry.
      const [system, tools] = macLayers
      const changed = {
        ...macRecipe,
        layers: [system, { ...tools, steps: [...tools.steps, { name: 'more', shell: 'echo more > ~/more' }] }],
        flakiness: { rounds: 1 },
      }
      const next = await build('bld_second', changed)
      expect(next.said()).toContain('# starts from the layer system, which is kept')
      const again = await engine.images.push('bld_second', to('v2'), { signal })
      expect(again.reusedBytes).toBeGreaterThan(again.sentBytes)
      await second.images.pull('bld_second', { ...reference, tag: 'v2', digest: again.digest }, { signal })
      expect((await second.images.list()).map(({ id }) => id)).toEqual(['bld_first', 'bld_second'])
      for (const id of ['bld_first', 'bld_second']) await second.images.remove(id)
      expect(await second.images.list()).toEqual([])
    } finally {
      for (const { id } of await second.list()) await second.destroy(id)
      await other.lab.remove()
    }
  })

  it('leaves an image that takes keys alone, with remote management and screen sharing off [X-17 on double] [002-11 on double]', async () => {
    await build('bld_keys', { ...macRecipe, flakiness: { rounds: 1 } })
    const id = newId('sbx')
    await engine.create(
      await requestFor(engine, { id, image: null, builder: { image: 'bld_keys' }, shape: { cpu: 2, memoryMiB: 2048, diskMiB: 32 } }),
    )
    await engine.start(id)
    const asRoot = (script: string): ReturnType<typeof inside> =>
      inside(engine, id, { argv: ['/bin/sh', '-c', script], env: { PATH: '/usr/sbin:/usr/bin:/bin' }, asRoot: true })
    expect((await asRoot('sshd -T')).stdout).toMatch(/^passwordauthentication no$/m)
    const { stdout: told } = await asRoot('cat /var/db/told')
    expect(told).toMatch(/^launchctl disable system\/com\.apple\.screensharing$/m)
    expect(told).toMatch(/^kickstart -deactivate -stop$/m)
    const { stdout: names } = await lab.tart(['list', '-q', '--source', 'local'])
    const name = names.split('\n').find((each) => each.includes(id.replace('_', '-'))) ?? ''
    const address = (await lab.tart(['ip', name])).stdout.trim()
    const words = [
      '-F',
      '/dev/null',
      '-o',
      'StrictHostKeyChecking=no',
      '-o',
      `UserKnownHostsFile=${lab.root}/known`,
      '-o',
      'PubkeyAuthentication=no',
    ]
    const ssh = spawnSync('ssh', [...words, '-o', 'ConnectTimeout=10', `admin@${address}`, 'true'], {
      encoding: 'utf8',
      env: { PATH: '/usr/bin:/bin' },
    })
    // It does not even ask for one.
    expect(ssh.stderr).toMatch(/Permission denied \(publickey\)/)
    await engine.destroy(id)
  })

  it('a base of another release than promised is refused before any step, and a build that became one before it is anybody’s [X-03]', async () => {
    const wrong = { ...macRecipe, name: 'macos-26', guest: { os: 'macos', release: '26' } } as RecipeInput
    const early = await macBuild('bld_wrong', { engine, recipe: wrong, base })
    await expect(buildImage(early)).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      message: expect.stringContaining('the guest has macos 15.6') as string,
    })
    expect(early.said()).not.toContain('# step')
    const upgrade = { name: 'upgrade', shell: 'sed -i s/15.6/26.0/g /usr/bin/sw_vers', as: 'root' as const }
    const late = await macBuild('bld_late', {
      engine,
      recipe: { ...macRecipe, layers: undefined, steps: [upgrade], tools: [], validation: {} },
      base,
    })
    await expect(buildImage(late)).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      message: expect.stringContaining('the guest has macos 26.0') as string,
    })
    expect((await engine.images.list()).map(({ id }) => id)).toEqual([`base-${base.digest.slice(7, 27)}`])
  })

  it('a guest that does not go down in time fails the build, and nothing of it is left', async () => {
    const deaf = { name: 'deaf', shell: 'printf "#!/bin/sh\\nexit 0\\n" > /usr/sbin/shutdown', as: 'root' as const }
    const recipe = { ...macRecipe, layers: undefined, steps: [deaf], tools: [], validation: {}, timeouts: { shutdown: '3s' } }
    const made = await macBuild('bld_deaf', { engine, recipe, base })
    await expect(buildImage(made)).rejects.toMatchObject({
      code: 'ENGINE_FAILED',
      message: expect.stringContaining('did not shut down within 3 s') as string,
    })
  })

  it('a build that fails leaves the old one serving, and one whose second look fails is nobody’s [X-02]', async () => {
    const simple = { ...macRecipe, layers: undefined, tools: [], flakiness: { rounds: 1 } }
    await build('bld_old', { ...simple, steps: [{ name: 'mark', shell: 'touch ~/old' }], validation: {} })
    const failing = { ...simple, steps: [{ name: 'break', shell: 'exit 1' }], validation: {} }
    await expect(build('bld_broken', failing)).rejects.toThrow('the step break ended with code 1')
    // Whole when it is sealed, and not after a boot of its own.
    const once = {
      ...simple,
      steps: [{ name: 'once', shell: 'touch /tmp/once' }],
      validation: { checks: [{ name: 'once', run: 'test -e /tmp/once' }] },
      cleanup: { temporary: false },
    }
    await expect(build('bld_once', once)).rejects.toThrow('second look')
    expect((await engine.images.list()).map(({ id }) => id).toSorted()).toEqual([`base-${base.digest.slice(7, 27)}`, 'bld_old'])
    const job = await boot(engine, { image: 'bld_old' })
    expect((await shellInside(engine, job.id, 'ls /Users/admin/old')).code).toBe(0)
    await engine.destroy(job.id)
  })
})
