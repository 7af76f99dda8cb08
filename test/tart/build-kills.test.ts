import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildImage } from '../../src/act/agent/images/build.ts'
import { makeTartEngine } from '../../src/drivers/engines/tart/index.ts'
import type { RecipeInput } from '../../src/model/image/recipe.ts'
import type { ImageEngine } from '../../src/ports/images.ts'
import { boot } from '../engine/support/engine-under-test.ts'
import { eventually } from '../engine/support/eventually.ts'
import { killAt } from '../images/kill-at.ts'
import { startRealRegistry, type RealRegistry } from '../registry/real-registry.ts'
import { imageLab, macBuild, macRecipe, pushGolden, signal, type Pinned } from './image-lab.ts'
import type { TartLab } from './lab.ts'

/** Two layers, so that one is kept in the middle of it. */
const recipe: RecipeInput = {
  ...macRecipe,
  layers: [
    { name: 'lower', steps: [{ name: 'mark', shell: 'touch /opt/lower', as: 'root' }] },
    { name: 'upper', steps: [{ name: 'mark', shell: 'touch /opt/upper', as: 'root' }] },
  ],
  tools: [],
  validation: { checks: [{ name: 'marks', run: 'ls /opt/lower /opt/upper' }] },
  flakiness: { rounds: 1 },
}

const idOfBase = (digest: string): string => `base-${digest.slice(7, 27)}`

describe('a build on Tart whose process is killed', () => {
  let registry: RealRegistry
  let lab: TartLab
  let settings: ReturnType<typeof imageLab>['settings']
  let base: Pinned
  let fresh: Pinned
  let baseId: string

  beforeAll(async () => {
    registry = await startRealRegistry()
    base = await pushGolden(registry.host, 'acme/macos')
    fresh = await pushGolden(registry.host, 'acme/macos')
    baseId = idOfBase(base.digest)
    ;({ lab, settings } = imageLab())
    const engine = makeTartEngine(settings)
    const old = await macBuild('bld_old', { engine, recipe, base })
    await buildImage(old).catch((error: unknown) => {
      throw new Error(old.said(), { cause: error })
    })
    for (const { key } of await engine.builder.layers()) await engine.builder.removeLayer(key)
  }, 120_000)
  afterAll(async () => {
    const engine = makeTartEngine(settings)
    for (const { id } of await engine.images.list()) await engine.images.remove(id)
    for (const { key } of await engine.builder.layers()) await engine.builder.removeLayer(key)
    expect((await lab.tart(['list', '-q'])).stdout).toBe('')
    await lab.remove()
    await registry.stop()
  })

  /** Builds in a process of its own, which is killed so long after it said the phase; gives the phase that it had come to. */
  function kill(phase: string, afterMs: number): Promise<string> {
    const { log: _, registry: __, bootId: ___, ...plain } = settings
    const about = { settings: plain, recipe, id: `bld_${phase}`, base: phase === 'pull' ? fresh : base }
    return killAt({ script: join(import.meta.dirname, 'build.child.ts'), about, phase, afterMs })
  }

  /** What is on this Mac that no image, layer or sandbox owns. */
  async function strays(next: ImageEngine): Promise<readonly string[]> {
    const images = (await next.images.list()).map(({ id }) => id)
    const pulled = new Set([base, fresh].map(({ digest }) => digest).filter((digest) => images.includes(idOfBase(digest))))
    const known = [...images.map((id) => `img-${id}`), ...(await next.builder.layers()).map(({ key }) => `layer-${key}`)]
    const cache = `${lab.home}/cache/OCIs/${registry.host.replace(':', '%3A')}/acme/macos`
    const scratch = `${settings.stateDir}/scratch`
    return [
      ...lab.left(),
      ...readdirSync(`${lab.home}/vms`).filter((name) => !known.some((end) => name.endsWith(end))),
      ...readdirSync(cache).filter((name) => !pulled.has(name)),
      ...(existsSync(scratch) ? readdirSync(scratch) : []),
      ...readdirSync(`${settings.stateDir}/images`).filter((name) => !name.endsWith('.json')),
    ]
  }

  it.each([
    ['pull', 0],
    ['pull', 250],
    ['pull', 500],
    ['clone', 0],
    ['clone', 400],
    ['bootstrap', 0],
    ['bootstrap', 1500],
    ['bootstrap', 2500],
    ['validate', 0],
    ['seal', 0],
    ['seal', 600],
    ['seal', 900],
    ['prove', 0],
    ['prove', 1500],
    ['push', 0],
    ['push', 400],
  ])('leaves nothing behind when that happens in %s, %i ms later, and the old build serves [001-22]', async (phase, afterMs) => {
    const reached = await kill(phase, afterMs)
    // What the next agent does when it starts, and goes on doing: what Tart was asked for last may only be done a moment after who asked is gone.
    const next = makeTartEngine(settings)
    await eventually(async () => {
      expect((await next.sweep(new Set())).failures).toEqual([])
      await next.images.sweep(new Set())
      expect(await strays(next)).toEqual([])
    }, 30_000)
    expect(await next.list()).toEqual([])
    const stored = (await next.images.list()).filter(({ id }) => ![baseId, 'bld_old'].includes(id))
    // A base that came whole in time is one; before the seal there is nothing else that could be.
    const freshId = idOfBase(fresh.digest)
    const mayBeSealed = ['seal', 'prove', 'push', 'done'].includes(reached)
    const possible = [...(phase === 'pull' ? [freshId] : []), ...(mayBeSealed ? [`bld_${phase}`] : [])]
    expect(possible).toEqual(expect.arrayContaining(stored.map(({ id }) => id)))
    if (['prove', 'push'].includes(reached)) expect(stored.map(({ id }) => id)).toContain(`bld_${phase}`)
    const sandbox = await boot(next, { image: 'bld_old' })
    await next.destroy(sandbox.id)
    for (const { id, problems } of stored) {
      // One that was sealed and of which nobody heard is whole; it goes like any other that nobody wants.
      expect(problems).toEqual([])
      expect(await next.images.verify(id, signal)).toEqual([])
      await next.images.remove(id)
    }
  })
})
