import { availableParallelism } from 'node:os'
import { CideryError } from '../../../model/errors.ts'
import type { Registry } from '../../../ports/registry.ts'
import type { EngineSettings } from '../make-engine.ts'

/** What this engine can be told besides what every engine is. */
export interface QemuEngineSettings extends EngineSettings {
  /** Images of this host: a folder each, with `disk.qcow2`, `vmlinuz` and `initramfs`; see docs/guide/qemu-engine.md for what they have to hold. */
  readonly images?: Readonly<Record<string, string>>
  /** `software` never tries KVM; default: KVM where a machine was seen to boot with it. */
  readonly acceleration?: 'auto' | 'software'
  /** First of the UIDs that machines run as, one each (only as root). */
  readonly firstUid?: number
  /** Begins the names of links; two agents on one machine must differ in it. */
  readonly prefix?: string
  /** IPv4 range of the machines' networks. */
  readonly netRange?: string
  /** Name servers inside; default: those of the host. */
  readonly resolvers?: readonly string[]
  /** States of booted machines that are kept, to start the next ones from within a second or two; 0: every machine boots. */
  readonly savedStates?: number
  /** How long a boot may take; software emulation on a busy host is slow. */
  readonly bootSeconds?: number
}

export interface QemuEngineConfig {
  readonly stateDir: string
  readonly slots: number
  readonly images: ReadonlyMap<string, string>
  readonly acceleration: 'auto' | 'software'
  readonly firstUid: number
  readonly prefix: string
  readonly netRange: string
  readonly resolvers: readonly string[]
  readonly savedStates: number
  readonly bootMs: number
  /** Null: images are on this host, or they are not. */
  readonly registry: Registry | null
}

const defaults = {
  acceleration: 'auto',
  firstUid: 590_000,
  prefix: 'vm-',
  netRange: '198.19.0.0/16',
  resolvers: [],
  savedStates: 4,
} as const

/** Fills in defaults; INVALID_INPUT names what cannot be. */
export function readSettings(settings: QemuEngineSettings): QemuEngineConfig {
  const { stateDir, slots = availableParallelism(), images = {}, bootSeconds = 180, registry = null, hiddenDirs: _, ...rest } = settings
  const config = { ...defaults, ...rest, stateDir, slots, images: new Map(Object.entries(images)), bootMs: bootSeconds * 1000, registry }
  if (!/^[a-z][a-z0-9]{0,6}-$/.test(config.prefix)) {
    throw new CideryError('INVALID_INPUT', `the prefix ${JSON.stringify(config.prefix)} cannot be used for links`, {
      hint: 'use 1–7 letters and digits and a dash, such as vm-',
    })
  }
  if (config.firstUid <= 60_000) {
    throw new CideryError('INVALID_INPUT', `machines cannot run as UID ${config.firstUid} and above`, {
      hint: 'use UIDs above 60000, where no person has an account',
    })
  }
  for (const [name, folder] of config.images) {
    if (!folder.startsWith('/')) throw new CideryError('INVALID_INPUT', `the folder ${folder} of image ${name} is not an absolute path`)
  }
  return config
}
