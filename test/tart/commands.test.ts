import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { isFlocked } from '../doubles/tart/flock.ts'
import { eventually } from '../engine/support/eventually.ts'
import { doubleOnly, images, onRealTart, provenance, TartLab } from './lab.ts'

/** Every text and exit code of commands on machines that do not run, as docs/guide/tart-engine.md and the driver rely on them. */
describe('tart commands', () => {
  let lab: TartLab
  const made = new Set<string>()

  beforeAll(async () => {
    lab = new TartLab()
    if ((await lab.tart(['fqn', images.macos])).code !== 0) expect(await lab.tart(['pull', images.macos])).toMatchObject({ code: 0 })
  })
  afterEach(async () => {
    for (const name of made) await lab.tart(['delete', name])
    made.clear()
  })
  afterAll(() => lab.remove())

  async function clone(name: string, from = images.macos): Promise<void> {
    made.add(name)
    expect(await lab.tart(['clone', from, name], { env: { TART_NO_AUTO_PRUNE: '1' } })).toMatchObject({ code: 0, stderr: '' })
  }
  function configOf(name: string): {
    macAddress: string
    os: string
    cpuCountMin: number
    memorySizeMin: number
    cpuCount: number
    memorySize: number
  } {
    return JSON.parse(readFileSync(`${lab.path(name)}/config.json`, 'utf8'))
  }

  it(`say what is wrong with a command line on stderr, with the usage and exit code 64 ${provenance}`, async () => {
    const cases: readonly (readonly [string[], string])[] = [
      [['clone', '--nonsense', 'a', 'b'], "Error: Unknown option '--nonsense'"],
      [['clone', 'a'], "Error: Missing expected argument '<new-name>'"],
      [['get', 'a', 'b'], "Error: Unexpected argument 'b'"],
      [['set', 'a', '--cpu', 'many'], "Error: The value 'many' is invalid for '--cpu <cpu>'"],
      [['set', 'a', '--cpu'], "Error: Missing value for '--cpu <cpu>'"],
      [['nonsense'], "Error: Unexpected argument 'nonsense'"],
      [['prune'], 'Error: at least one pruning criteria must be specified'],
      [['clone', images.macos, 'a/b'], 'Error: <new-name> should be a local name'],
      [['exec', 'a'], "Error: Missing expected argument '<command> ...'"],
    ]
    for (const [words, text] of cases) {
      const told = await lab.tart(words)
      expect(told).toMatchObject({ code: 64, stdout: '' })
      expect(told.stderr.split('\n')[0]).toBe(text)
      expect(told.stderr).toMatch(/\nUsage: tart /)
    }
  })

  it(`tell their version ${provenance}`, async () => {
    expect(await lab.tart(['--version'])).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) as string })
  })

  it(`end with 2 and one line when there is no such machine ${provenance}`, async () => {
    const name = 'cidery-nobody'
    for (const words of [
      ['get', name],
      ['set', name, '--cpu', '4'],
      ['stop', name],
      ['delete', name],
      ['run', '--no-graphics', name],
      ['ip', name],
      ['exec', name, 'true'],
      ['clone', name, 'cidery-copy'],
      ['suspend', name],
    ]) {
      expect(await lab.tart(words)).toEqual({
        code: 2,
        signal: null,
        stdout: '',
        stderr: `the specified VM "${name}" does not exist\n`,
      })
    }
  })

  it(`list as Foundation writes JSON: spaces around the colon, slashes escaped, keys in no order ${provenance}`, async () => {
    await clone('cidery-one')
    const orders = new Set<string>()
    for (let call = 0; call < 8; call += 1) {
      const { code, stdout } = await lab.tart(['list', '--format', 'json'])
      expect(code).toBe(0)
      const rows = JSON.parse(stdout) as Record<string, unknown>[]
      const own = rows.find(({ Name }) => Name === 'cidery-one')
      expect(own).toMatchObject({ Source: 'local', Name: 'cidery-one', Running: false, State: 'stopped' })
      expect([own?.['Disk'], own?.['Size']].every((each) => Number.isInteger(each))).toBe(true)
      expect(own?.['Accessed']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
      expect(own).not.toHaveProperty('SizeOnDisk')
      const tag = images.macos.split('/').at(-1) ?? ''
      expect(stdout).toContain(String.raw`\/${tag}"`)
      expect(stdout).toMatch(/^ {4}"Name" : "cidery-one"/m)
      // An image is there twice: by its tag, and by its content.
      expect(rows.filter(({ Source }) => Source === 'OCI').length).toBeGreaterThanOrEqual(2)
      orders.add(Object.keys(own ?? {}).join())
    }
    expect(orders.size).toBeGreaterThan(1)
    expect((await lab.tart(['list', '-q', '--source', 'local'])).stdout.split('\n')).toContain('cidery-one')
  })

  it(`describe one machine, its size as text ${provenance}`, async () => {
    await clone('cidery-one')
    const told = JSON.parse((await lab.tart(['get', 'cidery-one', '--format', 'json'])).stdout) as Record<string, unknown>
    expect(told).toMatchObject({
      OS: 'darwin',
      DiskFormat: 'raw',
      Running: false,
      State: 'stopped',
      Size: expect.stringMatching(/^\d+\.\d{3}$/) as string,
    })
    expect([told['CPU'], told['Memory'], told['Disk']].every((each) => Number.isInteger(each))).toBe(true)
  })

  it(`clone over what has that name, without a word ${provenance}`, async () => {
    await clone('cidery-one')
    writeFileSync(`${lab.path('cidery-one')}/mark`, '')
    await clone('cidery-one')
    expect(existsSync(`${lab.path('cidery-one')}/mark`)).toBe(false)
  })

  it(`keep the hardware address in a clone unless another machine has it ${provenance}`, async () => {
    await clone('cidery-one')
    await clone('cidery-two', 'cidery-one')
    await clone('cidery-three', 'cidery-two')
    const macs = ['cidery-one', 'cidery-two', 'cidery-three'].map((name) => configOf(name).macAddress)
    expect(new Set(macs).size).toBe(3)
    await lab.tart(['delete', 'cidery-one'])
    await clone('cidery-one')
    expect(configOf('cidery-one').macAddress).toBe(macs[0])
  })

  it(`set processors, memory, hardware address and a larger disk, and refuse too little ${provenance}`, async () => {
    await clone('cidery-one')
    const before = configOf('cidery-one')
    const memory = before.memorySizeMin / 1024 ** 2 + 1024
    const disk = (JSON.parse((await lab.tart(['get', 'cidery-one', '--format', 'json'])).stdout) as { Disk: number }).Disk
    const words = ['--cpu', String(before.cpuCountMin + 1), '--memory', String(memory), '--random-mac', '--disk-size', String(disk + 2)]
    expect(await lab.tart(['set', 'cidery-one', ...words])).toEqual({ code: 0, signal: null, stdout: '', stderr: '' })
    const after = configOf('cidery-one')
    expect(after).toMatchObject({ cpuCount: before.cpuCountMin + 1, memorySize: memory * 1024 ** 2 })
    expect(after.macAddress).not.toBe(before.macAddress)
    expect(JSON.parse((await lab.tart(['get', 'cidery-one', '--format', 'json'])).stdout)).toMatchObject({ Disk: disk + 2 })
    expect(await lab.tart(['set', 'cidery-one', '--disk-size', '1'])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^new disk size of /) as string,
    })
    expect(await lab.tart(['set', 'cidery-one', '--cpu', '1'])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^VM should have \d+ CPU cores at minimum/) as string,
    })
    expect(await lab.tart(['set', 'cidery-one', '--memory', '1'])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^VM should have \d+ bytes of memory at minimum/) as string,
    })
  })

  it(`fail to clone anything while one configuration is broken, and list all the same ${provenance}`, async () => {
    await clone('cidery-one')
    await clone('cidery-two')
    writeFileSync(`${lab.path('cidery-one')}/config.json`, '{ "version": 1, ')
    made.add('cidery-three')
    expect((await lab.tart(['clone', images.macos, 'cidery-three'])).code).toBe(1)
    expect((await lab.tart(['list', '-q'])).stdout.split('\n')).toContain('cidery-one')
    expect(existsSync(lab.path('cidery-three'))).toBe(false)
    expect(await lab.tart(['delete', 'cidery-one'])).toMatchObject({ code: 0 })
    await clone('cidery-three')
  })

  it(`pass over a half-made machine ${provenance}`, async () => {
    mkdirSync(lab.path('cidery-half'))
    writeFileSync(`${lab.path('cidery-half')}/config.json`, '{}')
    expect((await lab.tart(['list', '-q'])).stdout.split('\n')).not.toContain('cidery-half')
    expect((await lab.tart(['get', 'cidery-half'])).code).toBe(2)
    execFileSync('rm', ['-r', lab.path('cidery-half')])
  })

  it(`rename, and refuse a name that is taken or has a slash ${provenance}`, async () => {
    await clone('cidery-one')
    await clone('cidery-two')
    expect(await lab.tart(['rename', 'cidery-one', 'cidery-two'])).toMatchObject({
      code: 64,
      stderr: expect.stringMatching(/already exists, delete it first!/) as string,
    })
    made.add('cidery-three')
    expect(await lab.tart(['rename', 'cidery-one', 'cidery-three'])).toMatchObject({ code: 0 })
    expect((await lab.tart(['rename', 'cidery-one', 'x/y'])).code).toBe(64)
  })

  it(`say that a machine is not running when it is to stop or to suspend ${provenance}`, async () => {
    await clone('cidery-one')
    for (const words of [
      ['stop', 'cidery-one'],
      ['suspend', 'cidery-one'],
      ['exec', 'cidery-one', 'true'],
    ]) {
      expect(await lab.tart(words)).toMatchObject({ code: 2, stderr: 'VM "cidery-one" is not running\n' })
    }
  })

  it(`give no address of a machine that never ran, after a second, with 1 ${provenance}`, async () => {
    await clone('cidery-one')
    await lab.tart(['set', 'cidery-one', '--random-mac'])
    const start = performance.now()
    expect(await lab.tart(['ip', 'cidery-one'])).toEqual({
      code: 1,
      signal: null,
      stdout: '',
      stderr: 'no IP address found, is your VM running?\n',
    })
    expect(performance.now() - start).toBeGreaterThan(1000)
  })

  it(`name an image by its content, and do not pull what is there ${provenance}`, async () => {
    const { stdout } = await lab.tart(['fqn', images.macos])
    expect(stdout).toMatch(/^[^@]+@sha256:[0-9a-f]{64}\n$/)
    await clone('cidery-one')
    expect(await lab.tart(['pull', 'cidery-one'])).toMatchObject({
      code: 0,
      stdout: '"cidery-one" is a local image, nothing to pull here!\n',
    })
  })

  it.skipIf(onRealTart && 'macOS has no flock(1)')(
    `collect what killed commands left, but neither while it is locked nor when they pull or clone ${provenance}`,
    async () => {
      const [left, held] = ['left', 'held'].map((name) => `${lab.home}/tmp/cidery-${name}`) as [string, string]
      for (const path of [left, held]) mkdirSync(path)
      await clone('cidery-one')
      expect(existsSync(left)).toBe(true)
      const holder = spawn('flock', [held, 'sh', '-c', 'read -r never'], { stdio: ['pipe', 'ignore', 'ignore'] })
      await eventually(() => expect(isFlocked(held)).toBe(true))
      await lab.tart(['list'])
      expect([existsSync(left), existsSync(held)]).toEqual([false, true])
      holder.stdin.end()
      await new Promise((resolve) => holder.once('exit', resolve))
      await lab.tart(['list'])
      expect(existsSync(held)).toBe(false)
    },
  )

  it.skipIf(doubleOnly)(`wipe the cache when the disk is short, unless they are told not to ${provenance}`, async () => {
    await lab.tart(['pull', images.linux])
    const cached = async (): Promise<boolean> => (await lab.tart(['fqn', images.linux])).code === 0
    writeFileSync(`${lab.host}/free-bytes`, '1000')
    await clone('cidery-one')
    expect(await cached()).toBe(true)
    made.add('cidery-two')
    expect(await lab.tart(['clone', images.macos, 'cidery-two'])).toMatchObject({ code: 0 })
    expect(await cached()).toBe(false)
    execFileSync('rm', [`${lab.host}/free-bytes`])
  })

  it.skipIf(doubleOnly)(`differ from version to version ${provenance}`, async () => {
    lab.imitate('2.20')
    await clone('cidery-one')
    expect((await lab.tart(['--version'])).stdout).toBe('2.20.0\n')
    expect(await lab.tart(['exec', 'cidery-one', 'true'])).toMatchObject({
      code: 64,
      stderr: expect.stringMatching(/^Error: Unexpected argument 'exec'/) as string,
    })
    expect((await lab.tart(['list', '--format', 'json'])).stdout).toContain('"SizeOnDisk" : ')
    lab.imitate('2.35')
  })

  it.skipIf(doubleOnly)(`fail as they are told, by command, machine and call ${provenance}`, async () => {
    await clone('cidery-one')
    lab.faults([
      { command: 'get', vm: 'cidery-*', call: 2, exit: 1, stderr: 'no luck' },
      { command: 'list', delayMs: 700 },
    ])
    const codes: (number | null)[] = []
    for (let call = 0; call < 3; call += 1) codes.push((await lab.tart(['get', 'cidery-one'])).code)
    expect(codes).toEqual([0, 1, 0])
    const start = performance.now()
    await lab.tart(['list'])
    expect(performance.now() - start).toBeGreaterThan(700)
    lab.faults([])
  })
})
