import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { must } from '../src/drivers/engines/commands.ts'
import { makeKeys, type Keys } from '../src/drivers/engines/qemu/connection.ts'
import { makeDisks } from '../src/drivers/engines/qemu/disks.ts'
import { GuestControl } from '../src/drivers/engines/qemu/guest-control.ts'
import type { Image } from '../src/drivers/engines/qemu/images.ts'
import { saveState } from '../src/drivers/engines/qemu/monitor.ts'
import { qemuWords, type Accelerator, type MachinePlan } from '../src/drivers/engines/qemu/qemu-words.ts'
import { machineFiles, machinesDirectory } from '../src/drivers/engines/qemu/record.ts'
import { prepareSocketPlace } from '../src/drivers/engines/qemu/socket-place.ts'
import { waitFor } from '../test/e2e/wait.ts'
import { firstByte } from './programs.ts'

const bootMs = 180_000
const saveMs = 120_000

/** What a job asks for so that its machine is the same as a bare one. */
export const machineJob = { engine: 'qemu', image: 'debian', shape: { cpu: 1, memoryMiB: 256, diskMiB: 64 }, network: 'none' } as const

/**
 * Machines as a shell script would have them: the disks, words of QEMU, kernel and guest of the `qemu` engine, keys that were made before, and nothing
 * around them. One at a time.
 */
export class BareMachines {
  readonly #folder: string
  readonly #image: Image
  readonly #accelerator: Accelerator
  readonly #files
  #keys: Keys | null = null
  #kept: readonly ChildProcess[] | null = null

  constructor(image: Image, accelerator: Accelerator) {
    this.#folder = mkdtempSync(join(tmpdir(), 'cidery-bare-'))
    this.#image = image
    this.#accelerator = accelerator
    this.#files = machineFiles(this.#folder, 'bare')
    prepareSocketPlace(machinesDirectory(this.#folder))
    mkdirSync(this.#files.directory, { recursive: true, mode: 0o700 })
  }

  /** Milliseconds from the first command to the first byte of one inside a machine that booted. */
  async cold(): Promise<number> {
    await this.#prepare()
    const startedAt = performance.now()
    await this.#makeDisks()
    return (await this.#enter('none')) - startedAt
  }

  /** The same for one that goes on from the state that `save` saved. */
  async resumed(): Promise<number> {
    await this.#prepare()
    const startedAt = performance.now()
    rmSync(this.#files.root, { force: true })
    await must(['qemu-img', 'create', '-q', '-f', 'qcow2', '-b', `${this.#folder}/root.qcow2`, '-F', 'qcow2', this.#files.root])
    await must(['cp', '--sparse=always', '--reflink=auto', `${this.#folder}/data.raw`, this.#files.data])
    return (await this.#enter('resume')) - startedAt
  }

  /** The same for a command in a machine that runs already, by a shared connection; it goes on until `remove`, and there is no other one meanwhile. */
  async running(): Promise<number> {
    this.#kept ??= await this.#keep()
    const startedAt = performance.now()
    return (await firstByte(this.#ssh(['guest', 'echo first']))) - startedAt
  }

  /** Saves the state of a machine that booted and was not told yet who it is. */
  async save(): Promise<void> {
    await this.#prepare()
    await this.#makeDisks()
    const machine = this.#start('save')
    let control: GuestControl | undefined
    try {
      control = await GuestControl.open(this.#files.control, bootMs)
      await control.hear('waiting', bootMs)
      await saveState({ monitor: this.#files.monitor, file: this.#memory(), uid: null, limitMs: saveMs })
    } finally {
      control?.close()
      await end(machine)
    }
    renameSync(this.#files.root, `${this.#folder}/root.qcow2`)
    renameSync(this.#files.data, `${this.#folder}/data.raw`)
  }

  async remove(): Promise<void> {
    for (const process of this.#kept ?? []) await end(process)
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async #keep(): Promise<readonly ChildProcess[]> {
    await this.#prepare()
    await this.#makeDisks()
    const machine = await this.#started('none')
    const [command, ...words] = this.#ssh(['-o', this.#proxy(), '-M', '-N', 'guest'])
    const master = spawn(command, words, { stdio: ['ignore', 'ignore', 'inherit'] })
    const check = this.#ssh(['-O', 'check', 'guest'])
    await waitFor('the shared connection', () => spawnSync(check[0], check.slice(1)).status === 0, bootMs)
    return [master, machine]
  }

  async #prepare(): Promise<void> {
    this.#keys ??= await makeKeys(this.#files, 'job')
  }

  async #makeDisks(): Promise<void> {
    rmSync(this.#files.root, { force: true })
    await makeDisks(this.#files, this.#image, machineJob.shape.diskMiB)
  }

  #memory(): string {
    return `${this.#folder}/memory`
  }

  #start(state: MachinePlan['state']): ChildProcess {
    const { shape, network } = machineJob
    const plan = {
      record: { id: 'bare', shape, network },
      files: this.#files,
      image: this.#image,
      accelerator: this.#accelerator,
    }
    for (const path of [this.#files.control, this.#files.ssh, this.#files.monitor]) rmSync(path, { force: true })
    const memory = state === 'resume' ? openSync(this.#memory(), 'r') : null
    const machine = spawn('qemu-system-x86_64', qemuWords({ ...plan, uid: null, state }), {
      stdio: ['ignore', 'ignore', 'inherit', ...(memory === null ? [] : [memory])],
    })
    if (memory !== null) closeSync(memory)
    return machine
  }

  /** Starts a machine, and tells it who it is. */
  async #started(state: 'none' | 'resume'): Promise<ChildProcess> {
    const machine = this.#start(state)
    let control: GuestControl | undefined
    try {
      control = await GuestControl.open(this.#files.control, bootMs)
      if (state === 'none') await control.hear('waiting', bootMs)
      const seconds = (Date.now() / 1000).toFixed(3)
      control.say(`person bare ${seconds} ${'00'.repeat(64)} ${this.#keys?.client ?? ''} ${this.#keys?.host ?? ''} -`)
      await control.hear('ready', bootMs)
      return machine
    } catch (error) {
      await end(machine)
      throw error
    } finally {
      control?.close()
    }
  }

  /** When the first byte of a command inside a new machine came. */
  async #enter(state: 'none' | 'resume'): Promise<number> {
    const machine = await this.#started(state)
    try {
      return await firstByte(this.#ssh(['-o', this.#proxy(), 'guest', 'echo first']))
    } finally {
      await end(machine)
    }
  }

  #ssh(words: readonly string[]): readonly [string, ...string[]] {
    return ['ssh', '-F', this.#files.sshConfig, ...words]
  }

  #proxy(): string {
    return `ProxyCommand=socat - UNIX-CONNECT:${this.#files.ssh}`
  }
}

async function end(machine: ChildProcess): Promise<void> {
  if (machine.exitCode !== null || machine.signalCode !== null) return
  machine.kill('SIGKILL')
  await once(machine, 'exit')
}

/** What an agent's `qemu` engine found out of KVM: a bare machine runs as its do. */
export function acceleratorOf(agentDir: string): Accelerator {
  try {
    const { problem } = JSON.parse(readFileSync(join(agentDir, 'engines/qemu/acceleration.json'), 'utf8')) as { problem: string | null }
    return problem === null ? 'kvm' : 'tcg'
  } catch {
    // It never tried.
    return 'tcg'
  }
}
