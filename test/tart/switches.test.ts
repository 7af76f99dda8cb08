import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { makeTartEngine } from '../../src/drivers/engines/tart/index.ts'
import type { Engine } from '../../src/ports/engine.ts'
import { effects, type Effect } from '../doubles/tart/faults.ts'
import { boot, requestFor, shellInside } from '../engine/support/engine-under-test.ts'
import { eventually } from '../engine/support/eventually.ts'
import { settingsFor } from './engine-lab.ts'
import { images, TartLab } from './lab.ts'

const mac = { image: 'macos-15' } as const
const noDoor = /no command could be run inside within/

interface Ending {
  /** By the guest agent; a pattern: what the start says. */
  readonly agent: 'works' | RegExp
  /** By SSH, in a guest without an agent. */
  readonly ssh: 'works' | RegExp
}

/** What comes of a start under each switch of the double; a new switch without a line here does not compile. */
const endings: Readonly<Record<Effect, Ending>> = {
  noLease: { agent: 'works', ssh: noDoor },
  duplicateLease: { agent: 'works', ssh: noDoor },
  expiredLease: { agent: 'works', ssh: noDoor },
  malformedLeases: { agent: 'works', ssh: noDoor },
  noAgent: { agent: noDoor, ssh: 'works' },
  freeze: { agent: noDoor, ssh: noDoor },
  ignoreStop: { agent: 'works', ssh: 'works' },
  ignoreRequestStop: { agent: 'works', ssh: 'works' },
  leakSlot: { agent: 'works', ssh: 'works' },
  failSuspend: { agent: 'works', ssh: 'works' },
}

describe('the tart engine under each switch of the double', () => {
  let lab: TartLab
  let settings: ReturnType<typeof settingsFor>
  let plain: Engine

  beforeAll(async () => {
    lab = new TartLab()
    for (const image of [images.macos, images.linux]) await lab.tart(['pull', image])
    settings = settingsFor(lab, { bootSeconds: 8, agentSeconds: 1 })
    mkdirSync(settings.stateDir)
    plain = makeTartEngine(settings)
  })
  afterEach(async () => {
    lab.faults([])
    for (const { id } of await plain.list()) await plain.destroy(id)
    lab.restart()
    if (existsSync(`${lab.host}/dhcpd_leases`)) writeFileSync(`${lab.host}/dhcpd_leases`, '')
  })
  afterAll(() => lab.remove())

  async function nothingLeft(): Promise<void> {
    await eventually(async () => {
      expect(await plain.list()).toEqual([])
      expect(readdirSync(`${lab.home}/vms`)).toEqual([])
      expect(lab.left()).toEqual([])
    })
  }

  it('knows what comes of every switch', () => {
    expect(Object.keys(endings).toSorted()).toEqual([...effects].toSorted())
  })

  const cases = effects.flatMap((effect) => (['agent', 'ssh'] as const).map((door) => ({ effect, door, ending: endings[effect][door] })))

  it.each(cases)('$effect, in by $door: $ending', async ({ effect, door, ending }) => {
    const engine = door === 'agent' ? plain : makeTartEngine({ ...settings, ssh: { keyFile: lab.key } })
    const withoutAgent = door === 'ssh' ? (['noAgent'] as const) : []
    // For an address that two have there has to be another one.
    const other = effect === 'duplicateLease' ? await boot(plain, mac) : null
    lab.faults([{ command: 'run', effects: [effect, ...withoutAgent] }])
    const { id } = await engine.create(await requestFor(engine, mac))
    if (ending === 'works') {
      await engine.start(id)
      expect(await shellInside(engine, id, 'echo inside; exit 3')).toMatchObject({ code: 3, stdout: 'inside\n' })
      await engine.stop(id, 0)
      expect((await engine.list()).find((sandbox) => sandbox.id === id)?.state).toBe('stopped')
    } else {
      await expect(engine.start(id)).rejects.toMatchObject({ code: 'ENGINE_FAILED', message: expect.stringMatching(ending) as string })
    }
    if (other !== null) {
      // Nobody was in the machine of the other.
      expect((await shellInside(plain, other.id, 'ls -A; ls -A "$HOME"')).stdout).not.toContain('inside')
      expect((await shellInside(plain, other.id, 'echo alive')).stdout).toBe('alive\n')
      await plain.destroy(other.id)
    }
    await engine.destroy(id)
    await nothingLeft()
  })

  it.each([
    ['clone', 'write: No space left on device', 'STORAGE_FULL', 'diskFull'],
    ['clone', '*** Terminating app due to uncaught exception NSFileHandleOperationException', 'STORAGE_FULL', 'diskFull'],
    [
      'clone',
      'The data couldn’t be read because it isn’t in the correct format: not in the correct format',
      'ENGINE_FAILED',
      'configBroken',
    ],
    ['clone', 'the specified VM "x" does not exist', 'NOT_FOUND', 'noSuchVm'],
    ['set', 'something that nobody ever saw', 'ENGINE_FAILED', 'unknown'],
  ])('%s that says %j ends as %s, and leaves nothing', async (...[command, stderr, code, fault]) => {
    lab.faults([{ command, exit: 1, stderr }])
    const request = await requestFor(plain, mac)
    await expect(plain.create(request)).rejects.toMatchObject({ code, details: { fault } })
    lab.faults([])
    await plain.destroy(request.id)
    await nothingLeft()
  })

  it.each([
    ['Error Domain=VZErrorDomain Code=2 "Failed to lock auxiliary storage."', 'auxiliaryLocked', /lsof/],
    ['Keychain: User interaction is not allowed.', 'keychain', /unlock-keychain/],
    ['Softnet failed: it has no rights', 'softnet', /chmod u\+s/],
    ['VM should have 4 CPU cores at minimum (requested 1)', 'tooSmall', /^/],
    ['VM "x" is already running!', 'alreadyRunning', /^/],
  ])('a run that says %j is told as %s, with its cure', async (stderr, fault, hint) => {
    const engine = fault === 'softnet' ? makeTartEngine({ ...settings, network: 'softnet' }) : plain
    // The first boot after a start of the host is excused once; this one is not.
    const first = await boot(plain, { image: 'debian-12' })
    await plain.destroy(first.id)
    lab.faults([{ command: 'run', exit: 1, stderr }])
    const { id } = await engine.create(await requestFor(engine, { ...mac, ...(fault === 'softnet' ? { network: 'nat' } : {}) }))
    const failure = (await engine.start(id).catch((error: unknown) => error)) as { details: unknown; hint?: string }
    expect(failure.details).toMatchObject({ fault })
    expect(failure.hint ?? '').toMatch(hint)
    await engine.destroy(id)
    await nothingLeft()
  })

  it('gives a command’s own exit code, also where Tart has a meaning for it', async () => {
    const { id } = await boot(plain, mac)
    for (const code of [1, 2, 64, 126, 127, 128, 255]) expect((await shellInside(plain, id, `exit ${code}`)).code).toBe(code)
    expect((await plain.list())[0]?.state).toBe('running')
    await plain.destroy(id)
    await nothingLeft()
  })

  it('lets no clone work while one configuration is broken, says which cure there is, and works when it is gone', async () => {
    await lab.tart(['clone', images.macos, 'persons'])
    writeFileSync(`${lab.path('persons')}/config.json`, '{ broken')
    const request = await requestFor(plain, mac)
    await expect(plain.create(request)).rejects.toMatchObject({
      details: { fault: 'configBroken' },
      hint: expect.stringContaining('config.json'),
    })
    await plain.destroy(request.id)
    await lab.tart(['delete', 'persons'])
    const { id } = await boot(plain, mac)
    await plain.destroy(id)
    await nothingLeft()
  })

  it('never has three macOS guests, however many are started at once by two agents, and takes none for a ghost', async () => {
    const second = makeTartEngine({ ...settings, stateDir: `${lab.root}/second`, home: lab.home })
    mkdirSync(`${lab.root}/second`, { recursive: true })
    const started = await Promise.all(
      [plain, second, plain, second].map(async (engine) => {
        const { id } = await engine.create(await requestFor(engine, mac))
        return engine.start(id).then(
          () => ({ engine, id, ok: true }),
          () => ({ engine, id, ok: false }),
        )
      }),
    )
    expect(started.filter(({ ok }) => ok).length).toBeLessThanOrEqual(2)
    expect([existsSync(`${settings.stateDir}/ghost.json`), existsSync(`${lab.root}/second/ghost.json`)]).toEqual([false, false])
    for (const { engine, id } of started) await engine.destroy(id)
    const again = await boot(second, mac)
    await second.destroy(again.id)
    await nothingLeft()
  })
})
