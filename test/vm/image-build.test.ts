import { createHash } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import { pack } from 'tar-stream'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { buildImage, type Build, type BuildRequest } from '../../src/act/agent/images/build.ts'
import { buildProgress } from '../../src/act/agent/images/progress.ts'
import { createSystemClock } from '../../src/drivers/clocks/system-clock.ts'
import { createSystemTimers } from '../../src/drivers/clocks/system-timers.ts'
import { LocalProcesses } from '../../src/drivers/processes/local-processes.ts'
import { createIds } from '../../src/drivers/randoms/ids.ts'
import { createSystemRandom } from '../../src/drivers/randoms/system-random.ts'
import type { PhaseProgress } from '../../src/model/image/phase.ts'
import { recipeIdentity } from '../../src/model/image/recipe-identity.ts'
import { Recipe, type RecipeInput } from '../../src/model/image/recipe.ts'
import type { ImageEngine } from '../../src/ports/images.ts'
import type { Ingredients } from '../../src/ports/ingredients.ts'
import { recordingLog } from '../doubles/recording-log.ts'
import { inside, plainPath, requestFor } from '../engine/support/engine-under-test.ts'
import { machines, type Machines } from './machines.ts'

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

const files: Readonly<Record<string, string>> = {
  'install.sh': '#!/usr/bin/perl\nopen(my $out, ">", "/opt/by-perl") or die; print $out "perl\\n";\n',
  greeting: 'echo "hello from the image"\n',
}

/** What a recipe takes in: files of this test. */
const ingredients: Ingredients = {
  file: async (path) =>
    path === 'folder'
      ? { kind: 'folder', pack: packed }
      : {
          kind: 'file',
          async *open() {
            yield Buffer.from(files[path] ?? '')
          },
        },
  async download() {
    async function* bytes(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('downloaded\n')
    }
    return bytes()
  },
  packageVersion: () => null,
}

function packed(): AsyncIterable<Uint8Array> {
  const archive = pack()
  archive.entry({ name: 'deep/tool', mode: 0o600 }, '#!/bin/sh\necho tool 2.3.4\n')
  archive.finalize()
  return archive as AsyncIterable<Uint8Array>
}

const layers = [
  {
    name: 'system',
    steps: [
      { name: 'program', shell: { file: 'install.sh' }, as: 'root' },
      { name: 'folder', copy: { from: 'folder', to: '/opt/folder', mode: '0755' } },
      { name: 'again', reboot: {} },
      { name: 'after', shell: 'test -e /opt/by-perl\nuname -r > /opt/after', as: 'root' },
    ],
  },
  {
    name: 'tools',
    steps: [
      { name: 'greeting', copy: { from: 'greeting', to: '/usr/local/bin/greeting', mode: '0755' } },
      { name: 'fetched', download: { url: 'https://example.com/a', to: '/opt/fetched' } },
      { name: 'as the user', shell: 'id -un' },
    ],
  },
] as const satisfies RecipeInput['layers']

const base: RecipeInput = {
  name: 'debian-12',
  version: '3.6',
  engine: 'qemu',
  base: { debian: 'bookworm' },
  guest: { os: 'debian', release: '12' },
  machine: { cpu: 2, memory: '512MiB', disk: '5GiB' },
  layers: [...layers],
  tools: [
    { name: 'tool', version: '2.3.4', check: '/opt/folder/deep/tool' },
    { name: 'gcc', version: '>=12 <13', check: 'gcc --version' },
  ],
  validation: {
    checks: [
      { name: 'greeting', run: 'greeting', contains: 'hello from the image' },
      { name: 'whole', run: 'cat /opt/fetched /opt/after' },
    ],
  },
  flakiness: { rounds: 2 },
  timeouts: { boot: '5m' },
  tries: 1,
}

describe('builds of images in real machines', () => {
  let own: Machines
  let engine: ImageEngine
  const clock = createSystemClock()
  const ports = {
    clock,
    timers: createSystemTimers(),
    processes: new LocalProcesses(),
    ids: createIds(clock, createSystemRandom()),
    log: recordingLog(),
  }

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

  function buildOf(
    id: string,
    given: RecipeInput,
  ): Build & { readonly said: () => string; readonly phases: () => readonly PhaseProgress[] } {
    const recipe = Recipe.parse(given)
    const identity = recipeIdentity(
      recipe,
      {
        base: 'sha256:golden',
        files: new Map(['folder', ...Object.keys(files)].map((path) => [path, path])),
        downloads: new Map([['https://example.com/a', sha256('downloaded\n')]]),
        packages: new Map(),
      },
      sha256,
    )
    const request: BuildRequest = {
      id,
      name: `debian-12-${id}`,
      recipe,
      identity,
      base: { image: 'debian', reference: 'debian:bookworm', digest: null },
      ingredients,
      productVersion: null,
      hostName: 'builder-1',
      fromBase: false,
      network: 'none',
      blockedAddresses: [],
    }
    let said = ''
    const progress = buildProgress(clock, () => undefined)
    return {
      ports,
      engine,
      request,
      progress,
      log: { line: (text) => (said += `# ${text}\n`), output: (bytes) => (said += Buffer.from(bytes).toString('utf8')) },
      signal: new AbortController().signal,
      owned: () => undefined,
      said: () => said,
      phases: () => progress.phases(),
    }
  }

  it('000-19 000-20 001-20: builds by a recipe, keeps the layers, and proves the build by a fresh boot', async () => {
    const build = buildOf('bld_first', base)
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
    const second = buildOf('bld_second', changed)
    await buildImage(second)
    expect(second.said()).toContain('# starts from the layer system, which is kept')
    expect(second.phases().find(({ phase }) => phase === 'bootstrap')).toMatchObject({ total: 4, done: 4 })
    for (const { key } of await engine.builder.layers()) await engine.builder.removeLayer(key)
  })

  it('000-20: one tool that is not as demanded fails the build with the list, and nothing of it is left', async () => {
    const build = buildOf('bld_bad', {
      ...base,
      layers: undefined,
      steps: [{ name: 'nothing', shell: 'true' }],
      tools: [
        { name: 'gcc', version: '11.1.1', check: 'gcc --version' },
        { name: 'bun', version: 'any', check: 'bun --version' },
        { name: 'make', version: 'any', check: 'make --version' },
      ],
    })
    await expect(buildImage(build)).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringMatching(/2 of 3 tools .*\ngcc 11\.1\.1: it is 12\..*\nbun any: its check ended with 127/) as string,
    })
    expect(await engine.images.list()).toEqual([])
    expect(existsSync(`${own.stateDir}/vms`) ? readdirSync(`${own.stateDir}/vms`) : []).toEqual([])
  })

  it('000-51 001-03: a step that takes too long is named, and the next try starts from a fresh clone', async () => {
    const build = buildOf('bld_late', {
      ...base,
      layers: undefined,
      steps: [
        { name: 'mark', shell: 'test ! -e /opt/mark && touch /opt/mark', as: 'root' },
        { name: 'for ever', shell: 'sleep 1000', timeout: '3s' },
      ],
      tries: 2,
    })
    await expect(buildImage(build)).rejects.toThrow('the step for ever took longer than 3s')
    expect(build.said()).toMatch(/# try 1 of 2 failed: the step for ever[\s\S]*# step mark[\s\S]*# try 2 of 2 failed: the step for ever/)
    expect(await engine.images.list()).toEqual([])
  })
})
