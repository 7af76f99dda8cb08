import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildImage } from '../../src/act/agent/images/build.ts'
import type { ImageEngine } from '../../src/ports/images.ts'
import { testClient } from '../doubles/registry/client.ts'
import { boot } from '../engine/support/engine-under-test.ts'
import { eventually } from '../engine/support/eventually.ts'
import { killAt } from '../images/kill-at.ts'
import { startRealRegistry, type RealRegistry } from '../registry/real-registry.ts'
import { base, buildOf } from './image-lab.ts'
import { machines, type Machines } from './machines.ts'

const { layers: _, ...flat } = base

/** Two layers, so that one is kept in the middle of it. */
const recipe = {
  ...flat,
  layers: [
    { name: 'lower', steps: [{ name: 'mark', shell: 'touch /opt/lower', as: 'root' as const }] },
    { name: 'upper', steps: [{ name: 'mark', shell: 'touch /opt/upper', as: 'root' as const }] },
  ],
  tools: [],
  validation: { checks: [{ name: 'marks', run: 'ls /opt/lower /opt/upper' }] },
  flakiness: { rounds: 1 },
}

describe('a build whose process is killed', () => {
  let own: Machines
  let engine: ImageEngine
  let registry: RealRegistry

  beforeAll(async () => {
    own = await machines()
    registry = await startRealRegistry()
    engine = own.make({ registry: testClient() })
    const old = buildOf('bld_old', { engine, recipe })
    await buildImage(old).catch((error: unknown) => {
      throw new Error(old.said(), { cause: error })
    })
    for (const { key } of await engine.builder.layers()) await engine.builder.removeLayer(key)
  }, 300_000)
  afterAll(async () => {
    await engine.images.remove('bld_old')
    for (const { key } of await engine.builder.layers()) await engine.builder.removeLayer(key)
    await engine.sweep(new Set())
    expect(own.left()).toEqual([])
    own.remove()
    await registry.stop()
  })

  /** Builds in a process of its own, which is killed so long after it said the phase; gives the phase that it had come to. */
  function kill(phase: string, afterMs: number): Promise<string> {
    const about = { settings: own.settings, recipe, id: `bld_${phase}`, registry: registry.host }
    return killAt({ script: join(import.meta.dirname, 'build.child.ts'), about, phase, afterMs })
  }

  it.each([
    ['clone', 1500],
    ['bootstrap', 3000],
    ['validate', 0],
    ['seal', 800],
    ['prove', 2000],
    ['push', 1000],
  ])('leaves nothing behind when that happens in %s, %i ms later, and the old build serves [001-22]', async (phase, afterMs) => {
    const reached = await kill(phase, afterMs)
    // What the next agent does when it starts.
    const next = own.make({ registry: testClient() })
    expect((await next.sweep(new Set())).failures).toEqual([])
    await next.images.sweep(new Set())
    expect(await next.list()).toEqual([])
    await eventually(() => expect(own.left()).toEqual([]))
    const stored = new Map((await next.images.list()).map(({ id, problems }) => [id, problems]))
    const isSealed = stored.size > 1
    const all = new Map([['bld_old', []], ...(isSealed ? [[`bld_${phase}`, []] as const] : [])])
    expect(stored).toEqual(all)
    // Before the seal there is nothing that could be whole.
    if (['clone', 'bootstrap', 'validate'].includes(reached)) expect(isSealed).toBe(false)
    if (['prove', 'push'].includes(reached)) expect(isSealed).toBe(true)
    expect(readdirSync(`${own.stateDir}/images`).filter((name) => name.startsWith('.') || name.endsWith('.part'))).toEqual([])
    const sandbox = await boot(next, { image: 'bld_old' })
    await next.destroy(sandbox.id)
    if (isSealed) {
      // One that was sealed and of which nobody heard is whole; it goes like any other that nobody wants.
      expect(await next.images.verify(`bld_${phase}`, new AbortController().signal)).toEqual([])
      await next.images.remove(`bld_${phase}`)
    }
  })
})
