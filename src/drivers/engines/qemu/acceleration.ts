import { accessSync, constants, readFileSync, rmSync } from 'node:fs'
import { z } from 'zod'
import { must } from '../commands.ts'
import { bootId } from '../process-table.ts'
import { writeAtomically } from '../records.ts'
import { hearFrom, startMachine } from './boot.ts'
import { makeDisks } from './disks.ts'
import { GuestControl } from './guest-control.ts'
import type { Image } from './images.ts'
import { endProcess, lastLines } from './processes.ts'
import type { Accelerator } from './qemu-words.ts'
import { machineFiles, type MachineRecord } from './record.ts'
import type { QemuEngineConfig } from './settings.ts'

const Verdict = z.strictObject({ bootId: z.string(), version: z.string(), problem: z.string().nullable() })
type Verdict = z.infer<typeof Verdict>

/** With KVM a guest boots in a second or two. */
const trialMs = 30_000

/** Whether machines can use KVM here. A device that opens proves nothing: some hosts have one with which no stock kernel boots. So one is booted. */
export class Acceleration {
  readonly #config: QemuEngineConfig
  #verdict: Verdict | null = null

  constructor(config: QemuEngineConfig) {
    this.#config = config
  }

  /** Why machines run in software emulation, as far as it is known; null when they do not, or nobody tried. */
  problem(): string | null {
    if (this.#config.acceleration === 'software') return 'the settings say so'
    try {
      accessSync('/dev/kvm', constants.R_OK | constants.W_OK)
    } catch {
      return 'there is no KVM here'
    }
    return this.#known()?.problem ?? null
  }

  /** Tries KVM with this image unless that was done since the host booted. Call under the engine's lock. */
  async choose(image: Image): Promise<Accelerator> {
    if (this.problem() !== null) return 'tcg'
    const version = await qemuVersion()
    const known = this.#known()
    if (known === null || known.version !== version) {
      const problem = await this.#trial(image)
      this.#verdict = { bootId: bootId(), version, problem }
      writeAtomically(this.#path(), JSON.stringify(this.#verdict))
    }
    return this.#verdict?.problem === null ? 'kvm' : 'tcg'
  }

  async #trial(image: Image): Promise<string | null> {
    const id = 'trial'
    const files = machineFiles(this.#config.stateDir, id)
    const record: MachineRecord = {
      id,
      jobId: id,
      image: '',
      shape: { cpu: 1, memoryMiB: 512, diskMiB: 16 },
      network: 'none',
      blockedAddresses: [],
      // Behind every slot that a machine can have.
      slot: this.#config.slots,
      phase: 'creating',
      createdAt: 0,
      started: false,
      savedState: null,
      holder: null,
      master: null,
      residue: [],
      notes: [],
    }
    rmSync(files.directory, { recursive: true, force: true })
    await makeDisks(files, image, record.shape.diskMiB)
    const holder = await startMachine({ config: this.#config, record, image, accelerator: 'kvm' }, files)
    let control: GuestControl | undefined
    try {
      control = await GuestControl.open(files.control, 5000)
      await hearFrom(control, holder, { word: 'waiting', limitMs: trialMs })
      return null
    } catch (error) {
      const said = lastLines(files.complaints, 1)
      return `a machine did not boot with KVM: ${said === '' ? (error as Error).message : said}`
    } finally {
      control?.close()
      await endProcess(holder, 0)
      rmSync(files.directory, { recursive: true, force: true })
    }
  }

  #known(): Verdict | null {
    if (this.#verdict !== null) return this.#verdict
    try {
      const read = Verdict.safeParse(JSON.parse(readFileSync(this.#path(), 'utf8')))
      if (read.success && read.data.bootId === bootId()) this.#verdict = read.data
    } catch {
      // Never tried, or not written whole: it is tried again.
    }
    return this.#verdict
  }

  #path(): string {
    return `${this.#config.stateDir}/acceleration.json`
  }
}

/** @example '7.2.22' */
export async function qemuVersion(): Promise<string> {
  const text = await must(['qemu-system-x86_64', '--version'])
  return /version (\S+)/.exec(text)?.[1] ?? 'unknown'
}
