import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { eventually } from '../engine/support/eventually.ts'
import { doubleOnly, images, onRealTart, TartLab, provenance, type Launched } from './lab.ts'

/** Connections that a socket's listener has now. */
function callersOf(path: string): number {
  const lines = readFileSync('/proc/net/unix', 'utf8').split('\n')
  return lines.filter((line) => line.endsWith(` ${path}`)).length - 1
}

describe('tart run', () => {
  let lab: TartLab
  const made = new Set<string>()
  const launched: Launched[] = []

  beforeAll(async () => {
    lab = new TartLab()
    for (const image of [images.macos, images.linux]) {
      if ((await lab.tart(['fqn', image])).code !== 0) expect(await lab.tart(['pull', image])).toMatchObject({ code: 0 })
    }
  })
  afterEach(async () => {
    lab.faults([])
    for (const each of launched) each.kill('SIGKILL')
    await Promise.all(launched.map(({ ended }) => ended))
    launched.length = 0
    for (const name of made) await lab.tart(['delete', name])
    made.clear()
  })
  afterAll(() => lab.remove())

  async function clone(name: string, from: string = images.macos): Promise<void> {
    made.add(name)
    expect(await lab.tart(['clone', from, name], { env: { TART_NO_AUTO_PRUNE: '1' } })).toMatchObject({ code: 0 })
    expect(await lab.tart(['set', name, '--random-mac'])).toMatchObject({ code: 0 })
  }
  async function running(name: string, from: string = images.macos, words: readonly string[] = []): Promise<Launched> {
    await clone(name, from)
    const run = await lab.running(name, words)
    launched.push(run)
    return run
  }
  function launch(...words: readonly string[]): Launched {
    const run = lab.launch(['run', '--no-graphics', ...words])
    launched.push(run)
    return run
  }
  async function stateOf(name: string): Promise<unknown> {
    const rows = JSON.parse((await lab.tart(['list', '--format', 'json'])).stdout) as { Name: string; State: string; Running: boolean }[]
    return rows.find(({ Name }) => Name === name)
  }

  it(`blocks, holds the machine, and lets stop end it: both with 0 ${provenance}`, async () => {
    const run = await running('cidery-one')
    expect(await stateOf('cidery-one')).toMatchObject({ Running: true, State: 'running' })
    expect(JSON.parse((await lab.tart(['get', 'cidery-one', '--format', 'json'])).stdout)).toMatchObject({
      Running: true,
      State: 'running',
    })
    expect(await lab.tart(['run', '--no-graphics', 'cidery-one'])).toMatchObject({
      code: 2,
      stderr: 'VM "cidery-one" is already running!\n',
    })
    expect(await lab.tart(['delete', 'cidery-one'])).toMatchObject({ code: 1, stderr: 'VM "cidery-one" is running\n' })
    expect(existsSync(`${lab.path('cidery-one')}/control.sock`)).toBe(true)
    expect((await lab.tart(['ip', 'cidery-one', '--wait', '60'])).stdout).toMatch(/^\d+\.\d+\.\d+\.\d+\n$/)
    expect(run.told.code).toBeNull()
    expect(await lab.tart(['stop', 'cidery-one'])).toEqual({ code: 0, signal: null, stdout: '', stderr: '' })
    expect(await run.ended).toMatchObject({ code: 0 })
    expect(await stateOf('cidery-one')).toMatchObject({ Running: false, State: 'stopped' })
  })

  it.skipIf(onRealTart && 'macOS has no /proc/locks')(`holds its POSIX lock itself ${provenance}`, async () => {
    const run = await running('cidery-one')
    expect(readFileSync('/proc/locks', 'utf8')).toMatch(new RegExp(`POSIX +ADVISORY +WRITE ${run.child.pid ?? 0} `))
  })

  it(`ends with 0 on SIGINT, and when the guest goes down by itself: nobody can tell which ${provenance}`, async () => {
    const first = await running('cidery-one')
    first.kill('SIGINT')
    expect(await first.ended).toMatchObject({ code: 0, stderr: '' })
    const second = await running('cidery-two', images.linux)
    second.kill('SIGUSR2')
    const told = await second.ended
    expect(told).toMatchObject({ code: 0 })
    expect(told.stdout).toContain('Requesting guest OS to stop...')
  })

  it(`runs commands inside with their code, output and input, and nothing of the environment ${provenance}`, async () => {
    await running('cidery-one')
    for (const code of [0, 1, 2, 64, 255]) expect((await lab.tart(['exec', 'cidery-one', 'sh', '-c', `exit ${code}`])).code).toBe(code)
    expect(await lab.tart(['exec', 'cidery-one', 'sh', '-c', 'echo out; echo err >&2'])).toMatchObject({
      code: 0,
      stdout: 'out\n',
      stderr: 'err\n',
    })
    expect((await lab.tart(['exec', 'cidery-one', 'cat'], { input: 'given' })).stdout).toBe('')
    expect((await lab.tart(['exec', '-i', 'cidery-one', 'cat'], { input: 'given' })).stdout).toBe('given')
    expect((await lab.tart(['exec', 'cidery-one', 'sh', '-c', 'echo "[$SECRET]"'], { env: { SECRET: 'x' } })).stdout).toBe('[]\n')
    expect((await lab.tart(['exec', 'cidery-one', 'id', '-un'])).stdout).toBe('admin\n')
    expect((await lab.tart(['exec', 'cidery-one', 'printf', '%s|', '-i', '--flag', 'a b'])).stdout).toBe('-i|--flag|a b|')
    // A command that a signal ended has no code of its own any more.
    expect((await lab.tart(['exec', 'cidery-one', 'sh', '-c', 'kill -9 $$'])).code).toBe(255)
    expect((await lab.tart(['exec', '-it', 'cidery-one', 'sh', '-c', 'test -t 1 && exit 9'])).code).toBe(9)
  })

  it(`says what macOS is inside ${provenance}`, async () => {
    await running('cidery-one')
    expect((await lab.tart(['exec', 'cidery-one', 'sw_vers', '-productVersion'])).stdout).toMatch(/^\d+\.\d+/)
  })

  it(`leaves its debris when it is killed, and the next run works with it ${provenance}`, async () => {
    const run = await running('cidery-one')
    run.kill('SIGKILL')
    await run.ended
    expect(existsSync(`${lab.path('cidery-one')}/control.sock`)).toBe(true)
    expect(await stateOf('cidery-one')).toMatchObject({ Running: false })
    expect(await lab.tart(['exec', 'cidery-one', 'true'])).toMatchObject({ code: 2, stderr: 'VM "cidery-one" is not running\n' })
    if (!onRealTart) await eventually(() => expect(lab.left()).toEqual([]))
    launched.push(await lab.running('cidery-one'))
  })

  it(`keeps what was written inside, and gives a clone the same ${provenance}`, async () => {
    const run = await running('cidery-one')
    await lab.tart(['exec', 'cidery-one', 'sh', '-c', 'echo kept >file; sync; cd; echo kept >file; sync'])
    await lab.tart(['stop', 'cidery-one'])
    await run.ended
    launched.push(await lab.running('cidery-one'))
    expect((await lab.tart(['exec', 'cidery-one', 'sh', '-c', 'cat ~/file'])).stdout).toBe('kept\n')
    await lab.tart(['stop', 'cidery-one'])
    await running('cidery-two', 'cidery-one')
    expect((await lab.tart(['exec', 'cidery-two', 'sh', '-c', 'cat ~/file'])).stdout).toBe('kept\n')
  })

  it(`suspends on SIGUSR1 and goes on where it was ${provenance}`, async () => {
    const run = await running('cidery-one', images.macos, ['--suspendable'])
    expect(await lab.tart(['suspend', 'cidery-one'])).toMatchObject({ code: 0 })
    const told = await run.ended
    expect(told.code).toBe(0)
    expect(told.stdout.split('\n').filter((line) => /snapshot/.test(line))).toEqual([
      'pausing VM to take a snapshot...',
      'creating a snapshot...',
      'snapshot created successfully! shutting down the VM...',
    ])
    expect(await stateOf('cidery-one')).toMatchObject({ Running: false, State: 'suspended' })
    const again = await lab.running('cidery-one', ['--suspendable'])
    launched.push(again)
    expect(again.told.stdout).toContain('restoring VM state from a snapshot...\nresuming VM...\n')
    await lab.tart(['suspend', 'cidery-one'])
    await again.ended
    expect(await lab.tart(['stop', 'cidery-one'])).toMatchObject({ code: 0 })
    expect(await stateOf('cidery-one')).toMatchObject({ State: 'stopped' })
  })

  it(`gives a machine another hardware address when one that runs has it ${provenance}`, async () => {
    await running('cidery-one')
    await clone('cidery-two')
    const config = `${lab.path('cidery-two')}/config.json`
    const { macAddress } = JSON.parse(readFileSync(`${lab.path('cidery-one')}/config.json`, 'utf8')) as { macAddress: string }
    writeFileSync(config, JSON.stringify({ ...JSON.parse(readFileSync(config, 'utf8')), macAddress }))
    const run = await lab.running('cidery-two')
    launched.push(run)
    expect(run.told.stdout).toBe('There is already a running VM with the same MAC address!\nResetting VM to assign a new MAC address...\n')
  })

  it(`refuses a third macOS guest and names the others; Linux is not counted ${provenance}`, async () => {
    await running('cidery-lin', images.linux)
    await running('cidery-one')
    await running('cidery-two')
    await clone('cidery-three')
    const told = await launch('cidery-three').ended
    expect(told).toMatchObject({ code: 1 })
    const [, names = ''] = /^The number of VMs exceeds the system limit \(other running VMs: (.*)\)$/m.exec(told.stderr) ?? []
    expect(names.split(', ').sort()).toEqual(['cidery-lin', 'cidery-one', 'cidery-two'])
    await lab.tart(['stop', 'cidery-two'])
    launched.push(await lab.running('cidery-three'))
  })

  it(`waits for an address although the machine is gone ${provenance}`, async () => {
    await clone('cidery-one')
    const asked = lab.launch(['ip', 'cidery-one', '--wait', '4'])
    const run = launch('cidery-one')
    run.kill('SIGKILL')
    await run.ended
    expect(asked.told.code).toBeNull()
    expect((await asked.ended).stderr).toBe('no IP address found, is your VM running?\n')
  })

  it.skipIf(doubleOnly)(`counts guests of every TART_HOME of the host ${provenance}`, async () => {
    await running('cidery-one')
    await running('cidery-two')
    const env = { TART_HOME: `${lab.root}/other-home` }
    await lab.tart(['clone', images.macos, 'cidery-far'], { env })
    const told = await lab.launch(['run', '--no-graphics', 'cidery-far'], env).ended
    // The hint knows only the machines of its own TART_HOME.
    expect(told).toMatchObject({ code: 1, stderr: 'The number of VMs exceeds the system limit\n' })
  })

  it.skipIf(doubleOnly)(`leaks a slot that only a restart of the host gives back ${provenance}`, async () => {
    lab.faults([{ command: 'run', vm: 'cidery-one', effects: ['leakSlot'] }])
    const first = await running('cidery-one')
    await lab.tart(['stop', 'cidery-one'])
    await first.ended
    await running('cidery-two')
    await clone('cidery-three')
    expect(await launch('cidery-three').ended).toMatchObject({
      code: 1,
      stderr: 'The number of VMs exceeds the system limit (other running VMs: cidery-two)\n',
    })
    lab.restart()
    await eventually(async () => expect(await stateOf('cidery-two')).toMatchObject({ Running: false }))
    launched.push(await lab.running('cidery-three'))
    lab.imitate('2.20')
    await clone('cidery-four')
    lab.faults([{ command: 'run', vm: 'cidery-four', exit: 1, stderr: 'x' }])
    expect(await launch('cidery-four').ended).toMatchObject({ code: 1, stderr: 'x\n' })
    lab.imitate('2.35')
  })

  it.skipIf(doubleOnly)(`is killed by stop when it does not listen, with 0 ${provenance}`, async () => {
    lab.faults([{ command: 'run', effects: ['ignoreStop'] }])
    const run = await running('cidery-one')
    expect(await lab.tart(['stop', '-t', '1', 'cidery-one'])).toMatchObject({ code: 0, stdout: '', stderr: '' })
    expect(await run.ended).toMatchObject({ signal: 'SIGKILL' })
  })

  it.skipIf(doubleOnly)(`has no agent, or one that hangs, as it is told ${provenance}`, async () => {
    lab.faults([{ command: 'run', vm: 'cidery-one', effects: ['noAgent'] }])
    await clone('cidery-one')
    launch('cidery-one')
    await eventually(async () => expect((await lab.tart(['ip', 'cidery-one'])).code).toBe(0))
    expect(await lab.tart(['exec', 'cidery-one', 'true'])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /^Failed to connect to the VM using its control socket: .*, is the Tart Guest Agent running\?\n$/,
      ) as string,
    })
    lab.faults([{ command: 'run', vm: 'cidery-two', effects: ['freeze'] }])
    await clone('cidery-two')
    launch('cidery-two')
    await eventually(async () => expect((await lab.tart(['ip', 'cidery-two'])).code).toBe(0))
    const asked = lab.launch(['exec', 'cidery-two', 'true'])
    // It has to hang already: one that comes after the stop is told that the machine does not run.
    await eventually(() => expect(callersOf(`${lab.path('cidery-two')}/control.sock`)).toBeGreaterThan(0))
    expect((await lab.tart(['stop', 'cidery-two'])).code).toBe(0)
    expect((await asked.ended).code).toBe(1)
  })

  it.skipIf(doubleOnly)(`spoils leases as it is told ${provenance}`, async () => {
    await running('cidery-one')
    const first = (await lab.tart(['ip', 'cidery-one'])).stdout
    lab.faults([
      { command: 'run', vm: 'cidery-two', effects: ['duplicateLease'] },
      { command: 'run', vm: 'cidery-lin', effects: ['expiredLease'] },
    ])
    await running('cidery-two')
    expect((await lab.tart(['ip', 'cidery-two'])).stdout).toBe(first)
    await running('cidery-lin', images.linux)
    expect((await lab.tart(['ip', 'cidery-lin'])).code).toBe(1)
    lab.faults([{ command: 'run', vm: 'cidery-lix', effects: ['malformedLeases'] }])
    await running('cidery-lix', images.linux)
    expect(await lab.tart(['ip', 'cidery-one'])).toMatchObject({ code: 1, stderr: expect.stringMatching(/DHCP leases/) as string })
    writeFileSync(`${lab.host}/dhcpd_leases`, '')
  })

  it.skipIf(doubleOnly)(`breaks off as it is told, at once or after a while ${provenance}`, async () => {
    const keychain = 'Error Domain=VZErrorDomain Code=1 "Internal Virtualization error. The virtual machine failed to start."'
    lab.faults([
      { command: 'run', vm: 'cidery-one', call: 1, exit: 1, stderr: keychain },
      { command: 'run', vm: 'cidery-one', call: 2, exit: 1, stderr: keychain, afterMs: 1500 },
    ])
    await clone('cidery-one')
    expect(await launch('cidery-one').ended).toMatchObject({ code: 1, stderr: `${keychain}\n` })
    expect(await launch('cidery-one').ended).toMatchObject({ code: 1, stderr: `${keychain}\n` })
  })

  it.skipIf(doubleOnly)(`leaves no process, mount, link or file, however it ends ${provenance}`, async () => {
    const runs = await Promise.all([running('cidery-one'), running('cidery-lin', images.linux)])
    await lab.tart(['exec', 'cidery-one', 'sh', '-c', 'setsid sleep 1000 >/dev/null 2>&1 &'])
    runs[0].kill('SIGKILL')
    runs[1].kill('SIGTERM')
    await Promise.all(runs.map(({ ended }) => ended))
    await eventually(() => expect(lab.left()).toEqual([]))
    expect(readdirSync(`${lab.home}/tmp`)).toEqual([])
  })
})
