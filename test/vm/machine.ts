import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../e2e/free-port.ts'
import { waitFor } from '../e2e/wait.ts'

export interface GoldenDisk {
  readonly kernel: string
  readonly initramfs: string
  readonly disk: string
}

export interface Told {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A real virtual machine on a copy-on-write clone of the golden disk, in software emulation. */
export interface Machine {
  /** Runs a shell script inside over SSH, to its end (120 s at most). */
  run(user: 'root' | 'job', script: string): Told
  /** What the machine said on its console. */
  console(): string
  remove(): Promise<void>
}

/**
 * The speed of the clock, for the kernel: without it about one boot in four of a `microvm` hangs for ever at the measuring of its clock, which has no
 * second clock to measure by.
 */
function clockWords(): string {
  const mips = Number(/bogomips\s*:\s*([\d.]+)/.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? 4000)
  return `tsc_early_khz=${Math.round(mips * 500)} tsc=reliable no_timer_check`
}

function must(program: string, words: readonly string[]): void {
  const { status, stderr } = spawnSync(program, words, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${program}: ${stderr}`)
}

/** Boots a machine and waits until a command runs inside; throws with the end of its console after 120 s, or when it ends before. */
export async function bootMachine(golden: GoldenDisk, name: string): Promise<Machine> {
  const directory = mkdtempSync(join(tmpdir(), 'cidery-vm-'))
  const [key, clone, consoleLog] = ['key', 'clone.qcow2', 'console.log'].map((file) => join(directory, file)) as [string, string, string]
  must('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key])
  must('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', golden.disk, '-F', 'qcow2', clone])
  const port = await freePort()
  const publicKey = readFileSync(`${key}.pub`, 'utf8').split(' ')[1] ?? ''
  const words = [
    ['-machine', 'microvm', '-accel', 'tcg', '-cpu', 'max', '-m', '512', '-smp', '1'],
    ['-nodefaults', '-no-user-config', '-nographic', '-no-reboot', '-serial', `file:${consoleLog}`],
    ['-kernel', golden.kernel, '-initrd', golden.initramfs],
    ['-append', `console=ttyS0 quiet panic=-1 mitigations=off ${clockWords()} cidery.name=${name} cidery.key=${publicKey}`],
    ['-drive', `id=disk,file=${clone},format=qcow2,if=none,cache=unsafe`, '-device', 'virtio-blk-device,drive=disk'],
    ['-netdev', `user,id=net,hostfwd=tcp:127.0.0.1:${port}-:22`, '-device', 'virtio-net-device,netdev=net'],
    ['-device', 'virtio-rng-device'],
  ]
  const qemu = spawn('qemu-system-x86_64', words.flat(), { stdio: 'ignore' })
  const machine = machineOf({ qemu, directory, key, port, consoleLog })
  const seen = await waitFor(
    `the machine ${name}`,
    () => (hasEnded(qemu) ? 'ended' : machine.run('root', 'true').code === 0 && 'up'),
    120_000,
  )
    // What it said tells more than that the time is over.
    .catch(() => 'silent' as const)
  if (seen !== 'up') {
    const said = machine.console().split('\n').slice(-10).join('\n')
    await machine.remove()
    throw new Error(`the machine ${name} is ${seen}; its console ends with:\n${said}`)
  }
  return machine
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null
}

interface Parts {
  readonly qemu: ChildProcess
  readonly directory: string
  readonly key: string
  readonly port: number
  readonly consoleLog: string
}

function machineOf({ qemu, directory, key, port, consoleLog }: Parts): Machine {
  const ended = new Promise<void>((resolve) => qemu.once('close', () => resolve()))
  const options = ['BatchMode=yes', 'StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR', 'ConnectTimeout=20']
  return {
    run(user, script) {
      const words = ['-F', '/dev/null', '-i', key, '-p', String(port), ...options.flatMap((option) => ['-o', option])]
      const { status, stdout, stderr } = spawnSync('ssh', [...words, `${user}@127.0.0.1`, script], {
        encoding: 'utf8',
        timeout: 120_000,
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      return { code: status, stdout, stderr }
    },
    console: () => readFileSync(consoleLog, 'utf8'),
    async remove() {
      if (!hasEnded(qemu)) qemu.kill('SIGKILL')
      await ended
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
