import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { makeTartEngine } from '../../src/drivers/engines/tart/index.ts'
import type { TartEngineSettings } from '../../src/drivers/engines/tart/settings.ts'
import type { Engine } from '../../src/ports/engine.ts'
import type { Fault } from '../doubles/tart/faults.ts'
import { boot, leaveRunning, requestFor, shellInside } from '../engine/support/engine-under-test.ts'
import { eventually } from '../engine/support/eventually.ts'
import { configOf, settingsFor } from './engine-lab.ts'
import { images, TartLab } from './lab.ts'

const mac = { image: 'macos-15' } as const

describe('the tart engine', () => {
  let lab: TartLab
  let settings: ReturnType<typeof settingsFor>
  let engine: Engine

  beforeAll(async () => {
    lab = new TartLab()
    for (const image of [images.macos, images.linux]) await lab.tart(['pull', image])
    settings = settingsFor(lab)
    mkdirSync(settings.stateDir)
    engine = makeTartEngine(settings)
  })
  afterEach(async () => {
    lab.faults([])
    for (const { id } of await engine.list()) await engine.destroy(id)
  })
  afterAll(async () => {
    expect((await lab.tart(['list', '-q', '--source', 'local'])).stdout).toBe('')
    await lab.remove()
  })

  /** Another agent's engine, or the same one after a restart of its agent. */
  function another(changes: Partial<TartEngineSettings> = {}): Engine {
    return makeTartEngine({ ...settings, ...changes })
  }
  function faults(...each: readonly Fault[]): void {
    lab.faults(each)
  }
  async function names(): Promise<readonly string[]> {
    return (await lab.tart(['list', '-q', '--source', 'local'])).stdout.split('\n').filter(Boolean)
  }
  /** Calls of Tart as they were written down. */
  function calls(command: string): readonly Readonly<Record<string, unknown>>[] {
    return settings.log.lines.map(({ facts }) => facts).filter(({ words }) => Array.isArray(words) && words[0] === command)
  }

  it('starts two macOS guests and refuses a third, also after a restart and for guests of others, until one is gone [002-91 on double]', async () => {
    const [first] = [await boot(engine, mac), await boot(engine, mac)]
    const third = await engine.create(await requestFor(engine, mac))
    await expect(engine.start(third.id)).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringMatching(/2 macOS guests run on this host already/) as string,
    })
    const restarted = another()
    await expect(restarted.start(third.id)).rejects.toMatchObject({ code: 'CONFLICT' })
    expect((await restarted.list()).filter(({ state }) => state === 'running')).toHaveLength(2)
    // Linux is not counted.
    expect((await boot(restarted, { image: 'debian-12' })).state).toBe('running')
    await restarted.destroy(first.id)
    expect((await restarted.start(third.id)).state).toBe('running')
    await restarted.stop(third.id, 0)
    await lab.tart(['clone', images.macos, 'persons'], { env: { TART_HOME: `${lab.root}/other` } })
    const persons = await lab.running('persons', [], { TART_HOME: `${lab.root}/other` })
    await expect(engine.start(third.id)).rejects.toMatchObject({ code: 'CONFLICT', message: expect.stringMatching(/persons/) as string })
    persons.kill('SIGKILL')
    await persons.ended
  })

  it('gives each clone an address of its own and the shape that was asked, or the least that its system takes', async () => {
    const one = await engine.create(await requestFor(engine, { ...mac, shape: { cpu: 3, memoryMiB: 4096, diskMiB: 1 } }))
    const two = await engine.create(await requestFor(engine, mac))
    const [first, second] = (await names()).map((name) => configOf(lab, name))
    expect(first?.macAddress).not.toBe(second?.macAddress)
    expect(one.notes).toEqual([])
    expect(two.notes).toEqual(['the machine has 2 processors and 2048 MiB of memory: its system takes no less'])
    expect([first, second].map((config) => `${config?.cpuCount} ${(config?.memorySize ?? 0) / 1024 ** 2}`).sort()).toEqual([
      '2 2048',
      '3 4096',
    ])
  })

  it('never clones over a machine, and names them by prefix, owner, id and generation', async () => {
    const { id } = await engine.create(await requestFor(engine, mac))
    const [name = ''] = await names()
    const owner = readFileSync(`${settings.stateDir}/owner`, 'utf8')
    expect(name).toBe(`cidery-${owner}-${id.replace('_', '-')}-1`)
    await engine.destroy(id)
    const request = await requestFor(engine, mac)
    const taken = `cidery-${owner}-${request.id.replace('_', '-')}-1`
    await lab.tart(['clone', images.macos, taken])
    await expect(engine.create(request)).rejects.toMatchObject({ code: 'CONFLICT' })
    await lab.tart(['delete', taken])
  })

  it('finishes what a crash left between any two steps, under the next generation', async () => {
    faults({ command: 'set', call: 1, exit: 1, stderr: 'cut off' })
    const request = await requestFor(engine, mac)
    await expect(engine.create(request)).rejects.toMatchObject({
      code: 'ENGINE_FAILED',
      message: expect.stringMatching(/cut off/) as string,
    })
    expect((await engine.list())[0]?.state).toBe('broken')
    expect((await another().create(request)).state).toBe('stopped')
    expect((await names()).map((name) => name.at(-1))).toEqual(['2'])
  })

  it('boots a machine anew that an agent left half-booted, also when it holds the last slot', async () => {
    await boot(engine, mac)
    const { id } = await engine.create(await requestFor(engine, mac))
    const left = await lab.running((await names()).find((name) => name.includes(id.replace('_', '-'))) ?? '')
    expect((await another().start(id)).state).toBe('running')
    expect(await left.ended).toMatchObject({ code: 0 })
    expect((await shellInside(engine, id, 'echo alive')).stdout).toBe('alive\n')
  })

  it('deletes a machine although it still counts as running for a while, and one that is gone already [X-10 on double]', async () => {
    const { id } = await boot(engine, mac)
    const [name = ''] = await names()
    const still = { command: 'delete', vm: name, exit: 1, stderr: `VM "${name}" is running` } as const
    faults({ ...still, call: 1 }, { ...still, call: 2 }, { ...still, call: 3 })
    await Promise.all([engine.destroy(id), engine.destroy(id)])
    await engine.destroy(id)
    expect(await names()).toEqual([])
    const gone = await engine.create(await requestFor(engine, mac))
    await lab.tart(['delete', (await names())[0] ?? ''])
    expect((await engine.list())[0]).toMatchObject({
      id: gone.id,
      state: 'broken',
      notes: expect.arrayContaining(['Tart does not know the machine any more']) as string[],
    })
    await engine.destroy(gone.id)
    expect(await engine.list()).toEqual([])
  })

  it('says what stays when a machine cannot be deleted, and removes it when it can', async () => {
    const { id } = await engine.create(await requestFor(engine, mac))
    faults({ command: 'delete', exit: 1, stderr: 'Operation not permitted' })
    await expect(engine.destroy(id)).rejects.toMatchObject({
      message: expect.stringMatching(/could not be deleted: Operation not permitted/) as string,
    })
    expect((await engine.list())[0]?.state).toBe('broken')
    faults()
    await engine.destroy(id)
    expect(await names()).toEqual([])
  })

  it('boots a second time when macOS’s network was not up yet, once, and then says why [X-06 on double]', async () => {
    const vmnet = { command: 'run', exit: 1, stderr: 'Error: failed to start vmnet interface: VMNET_FAILURE' } as const
    faults({ ...vmnet, call: 1 })
    expect((await boot(engine, mac)).state).toBe('running')
    faults({ ...vmnet, call: 1 }, { ...vmnet, call: 2 })
    const before = calls('run').length
    await expect(boot(engine, mac)).rejects.toMatchObject({
      code: 'ENGINE_FAILED',
      message: expect.stringMatching(/did not boot: Error: failed to start vmnet/) as string,
      hint: expect.stringMatching(/restart the host/) as string,
    })
    expect(calls('run').length - before).toBe(2)
  })

  it('does not wait for an address or an agent when the machine ends instead, and tells the faults of the host apart', async () => {
    const keychain = 'Error Domain=VZErrorDomain Code=1 "Internal Virtualization error." UserInfo={NSUnderlyingError=-25308}'
    faults({ command: 'run', exit: 1, stderr: keychain, afterMs: 300 }, { command: 'run', effects: ['noAgent', 'noLease'] })
    await expect(boot(engine, mac)).rejects.toMatchObject({
      code: 'ENGINE_FAILED',
      hint: expect.stringMatching(/keychain/) as string,
      details: { fault: 'keychain' },
    })
    faults({ command: 'run', exit: 1, stderr: 'Failed to lock auxiliary storage.' })
    await expect(boot(engine, mac)).rejects.toMatchObject({ details: { fault: 'auxiliaryLocked' } })
  })

  it('goes in by SSH with a key, or a password from a file, where there is no agent', async () => {
    faults({ command: 'run', effects: ['noAgent'] })
    for (const ssh of [{ keyFile: lab.key }, { passwordFile: lab.passwordFile }]) {
      const entering = another({ ssh, agentSeconds: 1 })
      const { id } = await boot(entering, mac)
      expect(await shellInside(entering, id, 'echo "$A" >file; cat file; exit 3', { A: "it's\nme" })).toMatchObject({
        code: 3,
        stdout: "it's\nme\n",
      })
      await entering.putFile(id, '/Users/admin/work/x', Buffer.from('put'), 0o600)
      expect((await shellInside(entering, id, 'cat x; kill -9 $$')).signal).toBe('SIGKILL')
      const { argv } = await entering.command(id, { argv: ['true'], env: {} })
      expect(argv.join(' ')).not.toContain('admin\n')
      await entering.destroy(id)
    }
    await expect(boot(another({ bootSeconds: 4 }), mac)).rejects.toMatchObject({ message: 'no command could be run inside within 4 s' })
  })

  it('switches off a guest that hangs, and one that does not listen', async () => {
    const { id } = await boot(engine, mac)
    await leaveRunning(engine, id, 'sleep 300')
    faults({ command: 'stop', delayMs: 500, exit: 1, stderr: 'no' })
    const start = performance.now()
    await engine.stop(id, 0)
    expect((await engine.list())[0]?.state).toBe('stopped')
    expect(performance.now() - start).toBeLessThan(60_000)
    faults({ command: 'run', effects: ['ignoreStop'] })
    await engine.start(id)
    await engine.destroy(id)
    expect(await names()).toEqual([])
  })

  it('sweeps its own orphans, running ones too, and neither running jobs nor anybody else’s machines [002-85] [002-144]', async () => {
    const kept = await boot(engine, mac)
    const owner = readFileSync(`${settings.stateDir}/owner`, 'utf8')
    for (const name of [`cidery-${owner}-att-lost-1`, 'cidery-0badcafe-att-other-1', 'persons'])
      await lab.tart(['clone', images.macos, name])
    const orphan = await lab.running(`cidery-${owner}-att-lost-1`)
    const report = await another().sweep(new Set([kept.id]))
    expect(report).toMatchObject({ sandboxes: [], failures: [] })
    await orphan.ended
    expect((await names()).filter((name) => !name.includes(kept.id.replace('_', '-'))).sort()).toEqual([
      'cidery-0badcafe-att-other-1',
      'persons',
    ])
    expect((await shellInside(engine, kept.id, 'echo alive')).stdout).toBe('alive\n')
    await lab.tart(['delete', 'cidery-0badcafe-att-other-1', 'persons'])
  })

  it('lists again when a machine was deleted meanwhile, and gives up with the reason', async () => {
    await engine.create(await requestFor(engine, mac))
    const race = { command: 'list', exit: 1, stderr: 'The file “disk.img” couldn’t be opened because there is no such file.' } as const
    faults({ ...race, call: 1 }, { ...race, call: 2 })
    expect(await engine.list()).toHaveLength(1)
    faults(race)
    await expect(engine.list()).rejects.toMatchObject({ code: 'ENGINE_FAILED', message: expect.stringMatching(/disk\.img/) as string })
  })

  it('writes down every call, keeps the cache, and shows no value to Tart', async () => {
    writeFileSync(`${lab.host}/free-bytes`, '1000')
    const { id } = await boot(engine, mac)
    await shellInside(engine, id, 'true', { TOKEN: 'very-secret' })
    expect((await lab.tart(['fqn', images.linux])).code).toBe(0)
    writeFileSync(`${lab.host}/free-bytes`, String(10 ** 15))
    for (const command of ['clone', 'set', 'list', 'exec']) {
      expect(calls(command).at(-1)).toMatchObject({
        words: expect.any(Array) as unknown[],
        ms: expect.any(Number) as number,
        stderr: expect.any(String) as string,
      })
    }
    expect(JSON.stringify(settings.log.lines)).not.toContain('very-secret')
  })

  it('refuses what Tart cannot do here', async () => {
    const refused = [{ ...mac, network: 'none' }, { ...mac, network: 'nat' }, { ...mac, limits: 'enforced' }, { image: null }] as const
    for (const changes of refused)
      await expect(engine.create(await requestFor(engine, changes))).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    await expect(engine.create(await requestFor(engine, { ...mac, mount: '/srv' }))).rejects.toMatchObject({ code: 'MOUNT_REFUSED' })
    expect((await another({ network: 'softnet' }).probe()).capabilities.networks).toEqual(['nat'])
    expect(await engine.check('macos-14')).toMatchObject({ ok: false, reason: 'this host has no image macos-14' })
    expect(await another({ images: { 'macos-16': 'ghcr.io/cidery/macos:16' } }).check('macos-16')).toMatchObject({
      ok: false,
      reason: expect.stringMatching(/tart pull ghcr\.io/) as string,
    })
    expect(await another({ program: '/nowhere/tart' }).probe()).toMatchObject({
      ok: false,
      problems: expect.arrayContaining(['Tart is not installed: brew install openai/tools/tart']) as string[],
    })
    expect(() => another({ prefix: 'Not One' })).toThrow(/the prefix "Not One" cannot be used/)
  })

  it('knows a leaked slot at the first refusal, takes no more macOS guests, and is whole again after a restart of the host', async () => {
    faults({ command: 'run', call: 1, effects: ['leakSlot'] })
    const leaky = await boot(engine, mac)
    await engine.destroy(leaky.id)
    faults()
    const first = await boot(engine, mac)
    const second = await engine.create(await requestFor(engine, mac))
    await expect(engine.start(second.id)).rejects.toMatchObject({
      code: 'ENGINE_FAILED',
      details: { fault: 'ghostSlot' },
      message: expect.stringMatching(/restart the host/) as string,
    })
    expect(await another().probe()).toMatchObject({
      ok: false,
      problems: expect.arrayContaining([expect.stringMatching(/the kernel counts a guest that is not there/)]) as string[],
    })
    expect((await engine.check('macos-15')).ok).toBe(false)
    // The one that runs goes on.
    expect((await shellInside(engine, first.id, 'echo alive')).stdout).toBe('alive\n')
    const runs = calls('run').length
    await expect(engine.start(second.id)).rejects.toMatchObject({ details: { fault: 'ghostSlot' } })
    expect(calls('run')).toHaveLength(runs)
    lab.restart()
    await eventually(async () => expect((await engine.list()).map(({ state }) => state)).toEqual(['stopped', 'stopped']))
    expect(await engine.probe()).toMatchObject({ ok: true })
    expect((await engine.start(second.id)).state).toBe('running')
    expect((await engine.start(first.id)).state).toBe('running')
  })

  it('does not take a slot that is freed a moment later for a leaked one', async () => {
    faults({ command: 'run', call: 1, exit: 1, stderr: 'The number of VMs exceeds the system limit' })
    expect((await boot(engine, mac)).state).toBe('running')
    expect(existsSync(`${settings.stateDir}/ghost.json`)).toBe(false)
  })
})
