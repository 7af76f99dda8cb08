import { homedir } from 'node:os'
import { CideryError } from '../../../model/errors.ts'
import type { Registry } from '../../../ports/registry.ts'
import type { EngineSettings } from '../make-engine.ts'
import { rangeBytes } from './oci/format.ts'

/** What this engine can be told besides what every engine is. */
export interface TartEngineSettings extends EngineSettings {
  /** Absolute path of Tart; default: where Homebrew puts it. */
  readonly program?: string
  /** TART_HOME; default `~/.tart` of the agent's user. */
  readonly home?: string
  /** Images of this host: the name that jobs ask for, and a local machine or `host/namespace@sha256:…` of Tart. */
  readonly images?: Readonly<Record<string, string>>
  /** Begins the names of machines. */
  readonly prefix?: string
  /** `softnet` keeps machines from the host and its network; `shared`, macOS's own, does not. */
  readonly network?: 'shared' | 'softnet'
  /** Account inside. */
  readonly user?: string
  /** The way in when a machine has no guest agent: files on this host, never values. */
  readonly ssh?: { readonly keyFile?: string; readonly passwordFile?: string }
  /** How long a boot may take. */
  readonly bootSeconds?: number
  /** How long the guest agent is waited for before SSH is tried too. */
  readonly agentSeconds?: number
  /** How long a refused start waits for guests that are just ending, before a slot counts as leaked. */
  readonly ghostSeconds?: number
  /** Registries that are spoken to over plain HTTP, as `host:port`; those on loopback always are. */
  readonly insecure?: readonly string[]
  /** Bytes of a piece of a disk in a registry; other than Tart's 512 MiB only in tests. */
  readonly pieceBytes?: number
  /** Version of this host's macOS; default: what it says, null where it is none. */
  readonly hostRelease?: () => Promise<string | null>
  /** More environment for Tart (registry credentials, tracing). */
  readonly env?: Readonly<Record<string, string>>
  /** Identifies this boot of the host; default: what macOS or Linux says. */
  readonly bootId?: () => Promise<string>
}

export interface TartEngineConfig {
  readonly stateDir: string
  readonly slots: number
  readonly program: string | null
  readonly home: string
  readonly images: ReadonlyMap<string, string>
  readonly prefix: string
  readonly network: 'shared' | 'softnet'
  readonly user: string
  readonly ssh: { readonly keyFile: string | null; readonly passwordFile: string | null } | null
  readonly bootMs: number
  readonly agentMs: number
  readonly ghostMs: number
  readonly insecure: ReadonlySet<string>
  readonly pieceBytes: number
  readonly hostRelease: (() => Promise<string | null>) | null
  readonly env: Readonly<Record<string, string>>
  readonly bootId: (() => Promise<string>) | null
  readonly registry: Registry | null
}

/** What Apple's kernel allows; more slots make sense for Linux guests only. */
const slotsByKernel = 2

const defaults = {
  slots: slotsByKernel,
  program: null,
  images: {},
  prefix: 'cidery',
  network: 'shared',
  user: 'admin',
  bootSeconds: 300,
  agentSeconds: 60,
  ghostSeconds: 10,
  insecure: [] as readonly string[],
  pieceBytes: rangeBytes,
  hostRelease: null,
  env: {},
  bootId: null,
  registry: null,
} as const

function refuseWhatCannotBe({ prefix, user, program, home, ssh }: Omit<TartEngineConfig, 'images'>): void {
  if (!/^[a-z][a-z0-9]{0,11}$/.test(prefix)) {
    throw new CideryError('INVALID_INPUT', `the prefix ${JSON.stringify(prefix)} cannot be used for machines`, {
      hint: 'use 1–12 letters and digits, such as cidery',
    })
  }
  if (!/^[A-Za-z_][\w.-]{0,30}$/.test(user)) {
    throw new CideryError('INVALID_INPUT', `${JSON.stringify(user)} is not the name of an account`, { hint: 'public images have admin' })
  }
  const relative = [program, home, ssh?.keyFile, ssh?.passwordFile].find((path) => typeof path === 'string' && !path.startsWith('/'))
  if (typeof relative !== 'string') return
  throw new CideryError('INVALID_INPUT', `${relative} is not an absolute path`, {
    hint: 'program, home, keyFile and passwordFile of engines.tart',
  })
}

/** Fills in defaults; INVALID_INPUT names what cannot be. */
export function readSettings(settings: TartEngineSettings): TartEngineConfig {
  const { bootSeconds, agentSeconds, ghostSeconds, images, ssh, ...given } = { ...defaults, home: `${homedir()}/.tart`, ...settings }
  const { stateDir, slots, program, home, prefix, network, user, env, bootId, insecure, pieceBytes, hostRelease, registry } = given
  const config = {
    stateDir,
    slots,
    program,
    home,
    images: new Map(Object.entries<string>(images)),
    prefix,
    network,
    user,
    ssh: ssh === undefined ? null : { keyFile: ssh.keyFile ?? null, passwordFile: ssh.passwordFile ?? null },
    bootMs: bootSeconds * 1000,
    agentMs: agentSeconds * 1000,
    ghostMs: ghostSeconds * 1000,
    insecure: new Set(insecure.map((host) => host.toLowerCase())),
    pieceBytes,
    hostRelease,
    env,
    bootId,
    registry,
  }
  refuseWhatCannotBe(config)
  return config
}
