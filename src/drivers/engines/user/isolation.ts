import type { EngineFacts } from '../../../model/host.ts'
import type { LaunchCommand, SandboxCommand } from '../../../ports/engine.ts'
import type { Holder } from '../records.ts'
import type { SandboxRecord } from './record.ts'

type Capabilities = EngineFacts['capabilities']

/** What a way of isolating can do on this machine, tried and not assumed. */
export interface IsolationFacts {
  readonly networks: Capabilities['networks']
  readonly limits: Capabilities['limits']
  /** Why no sandbox can be made; empty when it works. */
  readonly broken: readonly string[]
  /** What works, but weaker than it should. */
  readonly weaker: readonly string[]
}

export interface Paths {
  readonly home: string
  readonly work: string
  readonly temporary: string
  readonly secrets: string
}

export interface Booted {
  readonly holder: Holder | null
  readonly notes: readonly string[]
}

export interface Removed {
  readonly processes: number
  readonly bytes: number
  /** What resisted, in words that name each thing; found by a look after the removal. */
  readonly left: readonly string[]
}

/** An account that looks as if this engine had made it. */
export interface FoundAccount {
  readonly name: string
  readonly uid: number
}

/**
 * How sandboxes are kept apart on one kind of machine: accounts on Linux, accounts on macOS, or only directories. Every call may be
 * repeated after a crash at any point of an earlier one.
 */
export interface Isolation {
  readonly kind: 'account' | 'directory'
  /** Whether a directory of the host can be shown inside. */
  readonly mounts: boolean
  /** Weaknesses that hold for every sandbox, in words for people. */
  readonly notes: readonly string[]
  facts(): Promise<IsolationFacts>
  user(record: SandboxRecord): string
  paths(record: SandboxRecord): Paths
  /** True when a new sandbox must not get this UID. */
  uidIsUsed(uid: number, wrapped: boolean): Promise<boolean>
  /** Makes account and storage of a recorded sandbox. Called under the engine's lock. */
  build(record: SandboxRecord): Promise<void>
  boot(record: SandboxRecord, underLock: <T>(work: () => Promise<T>) => Promise<T>): Promise<Booted>
  isUp(record: SandboxRecord): boolean
  launch(record: SandboxRecord, command: SandboxCommand): LaunchCommand
  /** Ends every process: TERM, `graceMs`, KILL, then a look. Returns how many there were. */
  end(record: SandboxRecord, graceMs: number): Promise<number>
  /** Removes all that the sandbox left, its account last, then looks again. Does not throw for a part that resists. */
  clean(record: SandboxRecord): Promise<Removed>
  /** Accounts of this engine on the host, by prefix and UID range. */
  accounts(): Promise<readonly FoundAccount[]>
  /** Names of storage, links and groups that no record speaks of. */
  strays(known: ReadonlySet<string>): Promise<readonly string[]>
  removeStray(name: string): Promise<void>
  /** Takes back what was changed on the host for sandboxes as a whole. Called under the engine's lock when none is left that needs it. */
  restoreHost(): Promise<void>
}
