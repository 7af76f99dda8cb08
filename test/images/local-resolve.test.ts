import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { localRecipe, resolveLocal } from '../../src/main/host-image-build.ts'
import { listImages, openHostImages, type HostImages } from '../../src/main/host-images.ts'
import { testMetadata } from '../doubles/fake-image-store.ts'
import { startRegistryDouble, type RegistryDouble } from '../doubles/registry/registry-double.ts'
import { runCidery } from '../e2e/processes.ts'
import { makeImage } from './sparse-folder.ts'

const mib = 1024 ** 2
const flags = { forceRefresh: false, forceRemote: false, noUpdate: false }

describe('where this host gets the image of a recipe from', () => {
  let folder: string
  let registry: RegistryDouble
  let host: HostImages
  let recipeHash: string
  const { signal } = new AbortController()
  const repository = (): string => `${registry.host}/ci/debian-12`

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'cidery-resolve-'))
    registry = await startRegistryDouble()
    writeFileSync(join(folder, 'agent.yaml'), 'engines: { qemu: { slots: 2 } }\n')
    const lines = 'name: debian-12\nversion: "1.0"\nengine: qemu\nbase: { debian: bookworm }\nguest: { os: debian, release: "12" }\n'
    writeFileSync(join(folder, 'r.yaml'), `${lines}steps: [{ name: nothing, shell: "true" }]\n`)
    const lock = {
      format: 1,
      recipe: 'debian-12',
      base: { name: 'bookworm', digest: `sha256:${'0'.repeat(64)}` },
      downloads: [],
      packages: [],
    }
    writeFileSync(join(folder, 'debian-12.lock.json'), JSON.stringify(lock))
    host = await openHostImages({ stateDir: folder, exclusive: false })
    const { identity } = await localRecipe(host, join(folder, 'r.yaml'), null)
    recipeHash = identity.recipe
  })
  afterEach(async () => {
    await host.close()
    await registry.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  /** Puts a build into the store of this host. */
  function store(id: string, builtAt: number, seed = 1): void {
    const images = join(folder, 'engines/qemu/images')
    mkdirSync(images, { recursive: true })
    const recipe = { version: '1.0', hash: recipeHash, layers: [] }
    const metadata = testMetadata(id, { builtAt, recipe })
    makeImage(join(images, id), { diskBytes: 4 * mib, disk: [{ at: 0, seed, length: mib }], metadata: { ...metadata } })
  }

  const ask = async (): ReturnType<typeof resolveLocal> =>
    resolveLocal(host, await localRecipe(host, join(folder, 'r.yaml'), repository()), { flags, signal })

  it('is the registry first, by one small request when it has the same; bytes come only when the digest is another [002-01]', async () => {
    store('bld_old', 1000)
    const [engine] = host.engines
    await engine?.images.push('bld_old', { registry: registry.host, repository: 'ci/debian-12', tags: ['old', 'latest'] }, { signal })
    const before = registry.requests.length
    expect(await ask()).toMatchObject({ kind: 'useLocal', build: 'bld_old', why: 'this host has the same digest as the registry' })
    expect(registry.requests.slice(before).map(({ method, path }) => `${method} ${path}`)).toEqual([
      'HEAD /v2/ci/debian-12/manifests/latest',
    ])

    store('bld_new', 2000, 2)
    await engine?.images.push('bld_new', { registry: registry.host, repository: 'ci/debian-12', tags: ['new', 'latest'] }, { signal })
    await engine?.images.remove('bld_new')
    const second = registry.requests.length
    expect(await ask()).toMatchObject({ kind: 'useRemote', why: 'the registry has a newer one' })
    // What it says of itself, and no blob.
    expect(registry.requests.slice(second).map(({ method }) => method)).toEqual(['HEAD', 'GET'])
  })

  it('is this host when the registry lacks it or is down, with a warning [002-02]', async () => {
    store('bld_old', 1000)
    expect(await ask()).toMatchObject({ kind: 'useLocal', build: 'bld_old', warnings: ['the registry does not have it'] })
    await registry.stop()
    const decision = await resolveLocal(host, await localRecipe(host, join(folder, 'r.yaml'), '127.0.0.1:1/ci/debian-12'), {
      flags,
      signal: AbortSignal.timeout(100_000),
    })
    expect(decision).toMatchObject({ kind: 'useLocal', build: 'bld_old' })
    expect(decision.warnings.join()).toMatch(/the registry could not be asked/)
  })

  it('is asked of one engine alone when that is named', async () => {
    store('bld_old', 1000)
    writeFileSync(join(folder, 'agent.yaml'), 'engines: { qemu: { slots: 2 }, tart: {} }\n')
    const both = await openHostImages({ stateDir: folder, exclusive: false })
    const one = await openHostImages({ stateDir: folder, exclusive: false, engine: 'tart' })
    expect(both.engines.map(({ name }) => name).toSorted()).toEqual(['qemu', 'tart'])
    expect(one.engines.map(({ name }) => name)).toEqual(['tart'])
    await Promise.all([both.close(), one.close()])
    await expect(openHostImages({ stateDir: folder, exclusive: true, engine: 'user' })).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    // The lock is free again.
    await (await openHostImages({ stateDir: folder, exclusive: true })).close()
  })

  it('is told by a command, as a typed value with its reason, and nothing changes [002-24] [002-25]', async () => {
    const resolve = async (...more: readonly string[]): Promise<Record<string, unknown>> => {
      const words = [
        'image',
        'resolve',
        join(folder, 'r.yaml'),
        '--local',
        '--state',
        folder,
        '--registry',
        repository(),
        '--output',
        'json',
      ]
      const ran = await runCidery([...words, ...more])
      expect([ran.code, ran.stderr]).toEqual([0, ''])
      return JSON.parse(ran.stdout.toString()) as Record<string, unknown>
    }
    expect(await resolve()).toMatchObject({ kind: 'build_new', why: expect.stringContaining('this host has none of debian-12') as string })
    store('bld_old', 1000)
    expect(await resolve()).toMatchObject({ kind: 'use_local', build: 'bld_old' })
    expect(await resolve('--force-refresh')).toMatchObject({ kind: 'build_new' })
    expect((await listImages(host)).map(({ id }) => id)).toEqual(['bld_old'])
    expect(registry.requests.filter(({ method }) => method !== 'HEAD' && method !== 'GET')).toEqual([])
  })
})
