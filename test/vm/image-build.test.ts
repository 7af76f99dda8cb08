import { existsSync, readdirSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { buildImage } from '../../src/act/agent/images/build.ts'
import type { ImageEngine } from '../../src/ports/images.ts'
import { inside, plainPath, requestFor } from '../engine/support/engine-under-test.ts'
import { base, buildOf, layers } from './image-lab.ts'
import { machines, type Machines } from './machines.ts'

describe('builds of images in real machines', () => {
  let own: Machines
  let engine: ImageEngine

  beforeAll(async () => {
    own = await machines()
    engine = own.make()
  })
  afterEach(async () => {
    expect(await engine.list()).toEqual([])
    for (const { id } of await engine.images.list()) await engine.images.remove(id).catch(() => undefined)
  })
  afterAll(async () => {
    await engine.sweep(new Set())
    expect(own.left()).toEqual([])
    own.remove()
  })

  it('builds by a recipe, keeps the layers, and proves the build by a fresh boot; a changed layer builds from the one below [002-26]', async () => {
    const build = buildOf('bld_first', { engine, recipe: base })
    const built = await buildImage(build).catch((error: unknown) => {
      throw new Error(build.said(), { cause: error })
    })
    expect(built.tools).toEqual([
      { name: 'tool', version: '2.3.4', demand: '2.3.4' },
      { name: 'gcc', version: expect.stringMatching(/^12\./) as string, demand: '>=12 <13' },
    ])
    expect(built.flakiness).toMatchObject({ passedRounds: 2, promoted: true })
    expect(built.image.metadata).toMatchObject({ image: 'debian-12', recipe: { version: '3.6' }, builtOn: 'builder-1' })
    expect(build.phases().map(({ phase, done, total }) => [phase, done, total])).toEqual([
      ['clone', 0, null],
      ['bootstrap', 7, 7],
      ['validate', 3, 3],
      ['seal', 0, null],
      ['prove', 7, 7],
    ])
    expect(build.said()).toContain('# step as the user (shell)\njob\n')

    const job = await requestFor(engine, { image: 'bld_first' })
    await engine.create(job)
    await engine.start(job.id)
    expect(await inside(engine, job.id, { argv: ['/usr/local/bin/greeting'], env: plainPath })).toMatchObject({
      stdout: 'hello from the image\n',
    })
    await engine.destroy(job.id)

    // Only the highest layer is another: the build starts from the lower one.
    const [system, tools] = layers
    const changed = {
      ...base,
      layers: [system, { ...tools, steps: [...tools.steps, { name: 'more', shell: 'true' }] }],
      flakiness: { rounds: 1 },
    }
    const second = buildOf('bld_second', { engine, recipe: changed })
    await buildImage(second)
    expect(second.said()).toContain('# starts from the layer system, which is kept')
    expect(second.phases().find(({ phase }) => phase === 'bootstrap')).toMatchObject({ total: 4, done: 4 })
    for (const { key } of await engine.builder.layers()) await engine.builder.removeLayer(key)
  })

  it('fails for one tool that is not as demanded, with the list, and nothing of it is left [000-20]', async () => {
    const build = buildOf('bld_bad', {
      engine,
      recipe: {
        ...base,
        layers: undefined,
        steps: [{ name: 'nothing', shell: 'true' }],
        tools: [
          { name: 'gcc', version: '11.1.1', check: 'gcc --version' },
          { name: 'bun', version: 'any', check: 'bun --version' },
          { name: 'make', version: 'any', check: 'make --version' },
        ],
      },
    })
    await expect(buildImage(build)).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringMatching(/2 of 3 tools .*\ngcc 11\.1\.1: it is 12\..*\nbun any: its check ended with 127/) as string,
    })
    expect(await engine.images.list()).toEqual([])
    expect(existsSync(`${own.stateDir}/vms`) ? readdirSync(`${own.stateDir}/vms`) : []).toEqual([])
  })

  it('names a step that takes too long, and starts the next try from a fresh clone; the log has both [000-51]', async () => {
    const build = buildOf('bld_late', {
      engine,
      recipe: {
        ...base,
        layers: undefined,
        steps: [
          { name: 'mark', shell: 'test ! -e /opt/mark && touch /opt/mark', as: 'root' },
          { name: 'for ever', shell: 'sleep 1000', timeout: '3s' },
        ],
        tries: 2,
      },
    })
    await expect(buildImage(build)).rejects.toThrow('the step for ever took longer than 3s')
    expect(build.said()).toMatch(/# try 1 of 2 failed: the step for ever[\s\S]*# step mark[\s\S]*# try 2 of 2 failed: the step for ever/)
    expect(await engine.images.list()).toEqual([])
  })
})
