import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { createHash } from 'node:crypto'
import { createReadStream, readFileSync, readdirSync, rmSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { statOf } from '../../src/drivers/engines/process-table.ts'
import type { Engine } from '../../src/ports/engine.ts'
import { boot, inside, leaveRunning, plainPath, requestFor, shellInside } from '../engine/support/engine-under-test.ts'
import { eventually } from '../engine/support/eventually.ts'
import { machines, type Machines } from './machines.ts'

const program = `
mkdir -p src && cd src
cat >main.c <<'C'
#include <stdio.h>
int main(void) { puts("built in a machine of its own"); return 7; }
C
printf 'main: main.c\\n\\tcc -O1 -o $@ $<\\n' >Makefile
make >&2 && ./main
`

interface RecordOnDisk {
  readonly holder: { readonly pid: number }
  readonly master: { readonly pid: number }
}

describe('machines of the qemu engine', () => {
  let own: Machines
  let engine: Engine

  beforeAll(async () => {
    own = await machines()
    engine = own.make()
  })

  afterEach(async () => {
    await engine.sweep(new Set())
    expect(own.left()).toEqual([])
  })

  afterAll(() => own.remove())

  function recordOf(id: string): RecordOnDisk {
    return JSON.parse(readFileSync(`${own.stateDir}/records/${id}.json`, 'utf8')) as RecordOnDisk
  }

  async function digestOf(path: string): Promise<string> {
    const hash = createHash('sha256')
    for await (const part of createReadStream(path, { highWaterMark: 4 * 1024 ** 2 })) hash.update(part as Buffer)
    return hash.digest('hex')
  }

  it('builds a C program as an account without rights, on a clone that leaves the image as it is [002-93]', async () => {
    const before = await digestOf(own.disk)
    const { id } = await boot(engine, { image: 'debian', shape: { cpu: 1, memoryMiB: 512, diskMiB: 256 } })
    expect(await shellInside(engine, id, program)).toMatchObject({ code: 7, stdout: 'built in a machine of its own\n' })
    const rights = await shellInside(engine, id, 'id -un; cat /etc/shadow; echo x >/etc/x; mount -t tmpfs x /mnt; sudo -n true')
    expect(rights.stdout).toBe('job\n')
    expect(rights.stderr.match(/denied|must be superuser|not found/g)).toHaveLength(4)
    await engine.destroy(id)
    expect(await digestOf(own.disk)).toBe(before)
  })

  it('gives each machine a name, keys and randomness of its own, and the time of the host', async () => {
    const told = async (): Promise<{ key: string; lines: readonly string[] }> => {
      const { id } = await boot(engine, { image: 'debian' })
      const { stdout } = await shellInside(
        engine,
        id,
        'hostname; head -c 16 /dev/urandom | od -An -tx1; cat /proc/sys/kernel/random/uuid; date +%s',
      )
      expect(stdout.startsWith(`${id.replace('_', '-')}\n`)).toBe(true)
      expect(Math.abs(Number(stdout.trim().split('\n').at(-1)) - Date.now() / 1000)).toBeLessThan(30)
      return { key: readFileSync(`${own.stateDir}/vms/${id}/known_hosts`, 'utf8'), lines: stdout.split('\n').slice(0, 3) }
    }
    const [one, other] = [await told(), await told()]
    expect(one.key).not.toBe(other.key)
    for (const line of one.lines) expect(other.lines).not.toContain(line)
  })

  it('holds a job to its shape: memory, processors and disk are those of the machine [002-92]', async () => {
    const { id } = await boot(engine, { image: 'debian', shape: { cpu: 2, memoryMiB: 320, diskMiB: 64 } })
    const seen = await shellInside(
      engine,
      id,
      `nproc; sed -n 's/MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo; head -c 100000000 /dev/zero >big; wc -c <big`,
    )
    const [processors, memory, written] = seen.stdout.trim().split('\n').map(Number)
    expect(processors).toBe(2)
    expect(memory).toBeLessThan(320 * 1024)
    expect(written).toBeLessThan(64 * 1024 ** 2)
    expect(seen.stderr).toContain('No space left on device')
    await expect(
      engine.create(await requestFor(engine, { image: 'debian', shape: { cpu: 1, memoryMiB: 64, diskMiB: 64 } })),
    ).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('64 MiB') as string,
    })
  })

  it('runs the emulator as a user of its own that has nothing, filtered by the kernel', async () => {
    const { id } = await boot(engine, { image: 'debian' })
    const { pid } = recordOf(id).holder
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    expect(/^Uid:\s+(\d+)/m.exec(status)?.[1]).toBe('580000')
    expect(/^CapEff:\s+(\w+)/m.exec(status)?.[1]).toBe('0000000000000000')
    expect(/^NoNewPrivs:\s+(\d)/m.exec(status)?.[1]).toBe('1')
    expect(/^Seccomp:\s+(\d)/m.exec(status)?.[1]).toBe('2')
    expect(statSync(`${own.stateDir}/vms/${id}`).mode & 0o777).toBe(0o700)
  })

  it('lets a machine with nat reach neither this host, by any of its addresses, nor its loopback', async () => {
    const { capabilities } = await engine.probe()
    expect(capabilities.networks).toEqual(['nat', 'none'])
    const server = createServer((socket) => socket.end('reached'))
    await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve))
    try {
      const { port } = server.address() as { port: number }
      const addresses = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).filter(({ family }) => family === 'IPv4'))
      const targets = ['10.0.2.2', '10.0.2.3', '169.254.169.254', ...addresses.map(({ address }) => address)].filter(
        (address) => address !== '127.0.0.1',
      )
      const { id } = await boot(engine, { image: 'debian', network: 'nat' })
      const tries = targets.map((address) => `(timeout 5 bash -c 'cat </dev/tcp/${address}/${port}' 2>/dev/null || echo no)`).join('; ')
      const seen = await inside(engine, id, {
        argv: ['/bin/bash', '-c', `ip -o route show default; ${tries}`],
        env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
      })
      expect(seen.stdout).toBe(`default via 10.0.2.2 dev eth0 \n${targets.map(() => 'no\n').join('')}`)
    } finally {
      server.close()
    }
  })

  it('passes a signal on, and keeps what the command says of it', async () => {
    const { id } = await boot(engine, { image: 'debian' })
    const script = `trap 'echo caught; exit 9' TERM; echo started; sleep 300 & wait`
    const { argv, env, cwd } = await engine.command(id, { argv: ['/bin/sh', '-c', script], env: plainPath })
    const child = spawn(argv[0], argv.slice(1), { env, cwd, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
    const ended = new Promise((resolve) => child.once('close', (code, signal) => resolve({ code, signal })))
    await eventually(() => expect(said).toBe('started\n'))
    process.kill(-(child.pid ?? 0), 'SIGTERM')
    expect(await ended).toEqual({ code: 9, signal: null })
    expect(said).toBe('started\ncaught\n')
  })

  it('opens the shared connection again when it went, and says that a command whose connection went is lost', async () => {
    const { id } = await boot(engine, { image: 'debian' })
    process.kill(recordOf(id).master.pid, 'SIGKILL')
    await eventually(() => expect(statOf(recordOf(id).master.pid)?.state ?? 'Z').toBe('Z'))
    expect((await shellInside(engine, id, 'echo again')).stdout).toBe('again\n')
    const lost = inside(engine, id, { argv: ['/bin/sleep', '300'], env: plainPath })
    await eventually(async () => expect((await shellInside(engine, id, 'pgrep -c sleep')).stdout).toBe('1\n'))
    process.kill(recordOf(id).holder.pid, 'SIGKILL')
    expect(await lost).toMatchObject({ code: 255, stderr: 'cidery: the connection to the machine broke off\n' })
    expect((await engine.list())[0]?.state).toBe('broken')
  })

  it('removes its own machines that no record speaks of, and nobody else’s [002-85]', async () => {
    const [orphan, kept] = [await boot(engine, { image: 'debian' }), await boot(engine, { image: 'debian' })]
    const other = spawn('sleep', ['300'], { argv0: `guest=cidery-${randomUUID()}` })
    const { pid } = recordOf(orphan.id).holder
    rmSync(`${own.stateDir}/records/${orphan.id}.json`)
    // Another engine on the same state, as after a restart of the agent.
    await own.make().sweep(new Set([kept.id]))
    expect(statOf(pid)?.state ?? 'Z').toBe('Z')
    expect(readdirSync(`${own.stateDir}/vms`)).toEqual([kept.id])
    expect((await shellInside(engine, kept.id, 'echo alive')).stdout).toBe('alive\n')
    expect(other.exitCode).toBeNull()
    other.kill()
  })

  it('removes a machine that hangs, whatever runs in it, and keeps the one beside it [002-144]', async () => {
    const [stuck, kept] = [await boot(engine, { image: 'debian' }), await boot(engine, { image: 'debian' })]
    await leaveRunning(engine, kept.id, 'echo works >file; sleep 300')
    process.kill(recordOf(stuck.id).holder.pid, 'SIGSTOP')
    const report = await engine.sweep(new Set([kept.id]))
    expect(report).toMatchObject({ sandboxes: [stuck.id], failures: [] })
    expect((await shellInside(engine, kept.id, 'cat file')).stdout).toBe('works\n')
  })

  it('makes no more machines than it has slots, counted from what is there, also after a restart', async () => {
    const small = { image: 'debian', shape: { cpu: 1, memoryMiB: 256, diskMiB: 16 } } as const
    for (let count = 0; count < 4; count += 1) await engine.create(await requestFor(engine, small))
    const again = own.make()
    await expect(again.create(await requestFor(engine, small))).rejects.toMatchObject({ code: 'CONFLICT' })
    const [first] = await engine.list()
    await again.destroy(first?.id ?? '')
    await again.create(await requestFor(engine, small))
    expect(await engine.list()).toHaveLength(4)
  })
})
