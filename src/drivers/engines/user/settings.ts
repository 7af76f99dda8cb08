import { CideryError } from '../../../model/errors.ts'
import type { EngineSettings } from '../make-engine.ts'

/** First characters of every job's account, unless the machine has others. */
export const defaultPrefix = 'bk-'

/** Settings of the `user` engine. Two engines on one host must differ in all of prefix, UIDs, network and state directory. */
export interface UserEngineSettings extends EngineSettings {
  /** First characters of every account's name. */
  readonly prefix?: string
  /** UIDs that belong to this engine alone, both ends included. */
  readonly uidRange?: readonly [first: number, last: number]
  /** IPv4 addresses for `nat`, four for each sandbox. */
  readonly netRange?: string
  /** Where homes appear inside a sandbox; hidden is what else is there. */
  readonly homeRoot?: string
  /** Processes and threads that one sandbox may have. */
  readonly maxProcesses?: number
  /** Whether each sandbox gets a disk of its own, a file of its size (default), or only a directory without a limit. */
  readonly diskFiles?: boolean
  /** Name servers for `nat` where the host's own list names only loopback. */
  readonly resolvers?: readonly string[]
  /** `directory` forces the weak isolation that is used without root. */
  readonly isolation?: 'account' | 'directory'
  /** Where the Docker engine listens, if there is one: what is labelled with a sandbox's id goes with the sandbox. */
  readonly dockerSocket?: string
  /** Directories of the host that jobs may ask to see, and what lies below them; none unless named. */
  readonly mounts?: readonly string[]
  /** Program and words run after each sandbox is gone, for example to drop caches. Its failure is reported, never fatal. */
  readonly afterSandbox?: readonly [string, ...string[]]
}

export interface UserEngineConfig {
  readonly stateDir: string
  readonly hiddenDirs: readonly string[]
  readonly slots: number | undefined
  readonly prefix: string
  readonly firstUid: number
  readonly lastUid: number
  readonly netRange: string
  readonly homeRoot: string
  readonly maxProcesses: number
  readonly diskFiles: boolean
  readonly resolvers: readonly string[]
  readonly isolation: 'account' | 'directory' | undefined
  readonly dockerSocket: string
  readonly mounts: readonly string[]
  readonly afterSandbox: readonly [string, ...string[]] | undefined
}

const defaults = {
  hiddenDirs: [],
  slots: undefined,
  prefix: 'bk-',
  netRange: '198.18.0.0/16',
  homeRoot: '/home',
  maxProcesses: 4096,
  diskFiles: true,
  resolvers: [],
  isolation: undefined,
  dockerSocket: '/var/run/docker.sock',
  mounts: [],
  afterSandbox: undefined,
} as const

/** Fills in defaults and refuses settings that could reach a person's account (INVALID_INPUT). */
export function readSettings(settings: UserEngineSettings): UserEngineConfig {
  const { uidRange = [600_000, 665_535], ...rest } = settings
  const config: UserEngineConfig = { ...defaults, ...rest, firstUid: uidRange[0], lastUid: uidRange[1] }
  // Interface names have 15 characters at most: prefix and UID must fit.
  if (!/^[a-z][a-z0-9]{0,6}-$/.test(config.prefix)) {
    throw new CideryError('INVALID_INPUT', `the account prefix ${JSON.stringify(config.prefix)} cannot be used`, {
      hint: 'use 1–7 letters and digits and a dash, such as bk-',
    })
  }
  if (!(config.firstUid > 60_000 && config.lastUid > config.firstUid && config.lastUid < 9_999_999)) {
    throw new CideryError('INVALID_INPUT', `the UID range ${config.firstUid}–${config.lastUid} cannot be used`, {
      hint: 'use a range above 60000, where no person has an account',
    })
  }
  return config
}
