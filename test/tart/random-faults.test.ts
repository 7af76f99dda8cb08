import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeTartEngine } from '../../src/drivers/engines/tart/index.ts'
import type { Engine } from '../../src/ports/engine.ts'
import type { Fault } from '../doubles/tart/faults.ts'
import { requestFor, shellInside } from '../engine/support/engine-under-test.ts'
import { eventually } from '../engine/support/eventually.ts'
import { settingsFor } from './engine-lab.ts'
import { images, TartLab } from './lab.ts'

/** Something that goes wrong with one of the next calls, or with one of the next machines while it runs. */
const anyFault: fc.Arbitrary<Fault> = fc.oneof(
  fc.record({
    command: fc.constantFrom('clone', 'set', 'run', 'stop', 'delete', 'list', 'exec'),
    call: fc.integer({ min: 1, max: 3 }),
    exit: fc.constantFrom(1, 2, 255),
    stderr: fc.constantFrom('no luck', 'VM "x" is running', 'VM "x" is not running', 'Error Domain=VZErrorDomain Code=1 "x"', ''),
  }),
  fc.record({
    command: fc.constant('run'),
    call: fc.integer({ min: 1, max: 3 }),
    afterMs: fc.integer({ min: 0, max: 1500 }),
    exit: fc.constantFrom(0, 1),
  }),
  fc.record({
    command: fc.constant('run'),
    call: fc.integer({ min: 1, max: 3 }),
    effects: fc.subarray(['noLease', 'noAgent', 'ignoreStop', 'ignoreRequestStop', 'failSuspend'] as const),
  }),
  fc.record({ command: fc.constantFrom('clone', 'delete', 'stop'), call: fc.integer({ min: 1, max: 2 }), delayMs: fc.constant(300) }),
)

/** None also where a directory was never made: what comes before it may have gone wrong. */
function namesIn(directory: string): readonly string[] {
  return existsSync(directory) ? readdirSync(directory) : []
}

describe('the tart engine, whatever goes wrong', () => {
  let lab: TartLab
  let settings: ReturnType<typeof settingsFor>

  beforeAll(async () => {
    lab = new TartLab()
    for (const image of [images.macos, images.linux]) await lab.tart(['pull', image])
    settings = settingsFor(lab, { bootSeconds: 5, agentSeconds: 1 })
    mkdirSync(settings.stateDir)
  })
  afterAll(() => lab.remove())

  /** A job's life; every step may fail. */
  async function live(engine: Engine, image: string): Promise<void> {
    const request = await requestFor(engine, { image })
    try {
      await engine.create(request)
      await engine.start(request.id)
      await shellInside(engine, request.id, 'echo x >file; sleep 0.2')
      await engine.stop(request.id, 0)
      await engine.destroy(request.id)
    } catch {
      // What it left is what this test is about.
    }
  }

  async function leftovers(engine: Engine): Promise<readonly string[]> {
    const slots = `${lab.host}/slots.json`
    const held = existsSync(slots) ? (JSON.parse(readFileSync(slots, 'utf8')) as { readonly pid: number }[]) : []
    return [
      ...(await engine.list()).map(({ id }) => `sandbox ${id}`),
      ...namesIn(`${lab.home}/vms`).map((name) => `machine ${name}`),
      ...namesIn(`${settings.stateDir}/vms`).map((name) => `files ${name}`),
      ...held.filter(({ pid }) => existsSync(`/proc/${pid}`)).map(({ pid }) => `slot of ${pid}`),
      ...lab.left(),
    ]
  }

  it('leaves no machine, slot, process, mount or file once its agent has swept', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyFault, { minLength: 1, maxLength: 4 }), async (faults) => {
        lab.faults(faults)
        const engine = makeTartEngine(settings)
        await Promise.all([live(engine, 'debian-12'), live(engine, 'macos-15')])
        lab.faults([])
        const restarted = makeTartEngine(settings)
        expect((await restarted.sweep(new Set())).failures).toEqual([])
        await eventually(async () => expect(await leftovers(restarted)).toEqual([]))
      }),
      { numRuns: 4 },
    )
  })
})
