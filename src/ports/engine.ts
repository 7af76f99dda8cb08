import type { EngineFacts } from '../model/host.ts'
import type { EngineName } from '../model/job.ts'
import type { Proof } from '../model/readiness.ts'
import type { Shape } from '../model/shape.ts'

/** What a sandbox should be. `id` names it for ever (`att_…` for a job's, `sbx_…` for a person's); creating twice is the same sandbox. */
export interface SandboxRequest {
  readonly id: string
  /** Whose it is: the job's id goes into names that people see (`bk-…`). */
  readonly jobId: string
  readonly image: string | null
  readonly shape: Shape
  /** Parts of the shape that cannot be enforced are refused unless this is `advisory`. */
  readonly limits: 'enforced' | 'advisory'
  readonly network: 'nat' | 'host' | 'none'
  /** Addresses that `nat` must not reach besides loopback and link-local: the controller's. `host` or `host:port`. */
  readonly blockedAddresses: readonly string[]
  /** A directory of the host that is shown inside read-only; MOUNT_REFUSED where engine or host does not allow it. */
  readonly mount: string | null
  /** The machine of a build: what it starts from instead of `image`. Its disk is kept, and commands in it may be root's. Never a job's. */
  readonly builder?: BuilderBase
}

/** What a builder starts from: a stored build, or a layer that an earlier build kept. */
export type BuilderBase = { readonly image: string } | { readonly layer: string }

/** A sandbox as the engine sees it in reality. */
export interface EngineSandbox {
  readonly id: string
  readonly engine: EngineName
  readonly state: 'stopped' | 'running' | 'broken'
  readonly isolation: 'vm' | 'account' | 'directory'
  /** Paths as seen inside. `work` is the job's directory, `home` its HOME, `secrets` a directory on memory where possible. */
  readonly paths: { readonly home: string; readonly work: string; readonly temporary: string; readonly secrets: string }
  /** Where `mount` is inside; null without one. */
  readonly mounted: string | null
  /** Account inside. */
  readonly user: string
  readonly createdAt: number
  /** What is weaker than asked, in words for people. */
  readonly notes: readonly string[]
}

/** A process to be started by whoever wants to run something inside: words, environment of the launcher, directory of the launcher. */
export interface LaunchCommand {
  readonly argv: readonly [string, ...string[]]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
}

/** A command inside a sandbox, as its unprivileged user. `env` is the whole environment: nothing else enters. */
export interface SandboxCommand {
  readonly argv: readonly [string, ...string[]]
  readonly env: Readonly<Record<string, string>>
  /** Inside path; default the work directory. */
  readonly cwd?: string
  /** Allocate a terminal. */
  readonly tty?: boolean
  /** Run it as root: in the machine of a build only, FORBIDDEN anywhere else. */
  readonly asRoot?: boolean
}

export interface SweepReport {
  readonly sandboxes: readonly string[]
  readonly accounts: readonly string[]
  readonly processes: number
  readonly bytes: number
  readonly failures: readonly string[]
}

/**
 * How a host isolates a job. All calls are idempotent and safe to repeat after a crash at any point. What an engine cannot do it refuses with
 * UNSUPPORTED and the reason; extra abilities are the small interfaces below plus a capability flag.
 */
export interface Engine {
  readonly name: EngineName
  /** Cheap: can it work here, how well, how many. */
  probe(): Promise<EngineFacts>
  /** Cheap check that a sandbox of this image could start now. */
  check(image: string | null): Promise<Proof>
  list(): Promise<readonly EngineSandbox[]>
  create(request: SandboxRequest): Promise<EngineSandbox>
  /** Boots; resolves when a command can run inside. */
  start(id: string): Promise<EngineSandbox>
  /** How to start a command inside a running sandbox. Its exit status or signal is that of the launched process. */
  command(id: string, command: SandboxCommand): Promise<LaunchCommand>
  /** Puts bytes into a file inside, owned by the sandbox's user. Never follows a symlink out of the sandbox. */
  putFile(id: string, path: string, content: AsyncIterable<Uint8Array> | Uint8Array, mode: number): Promise<void>
  /**
   * Ends every process inside: TERM, `graceMs`, KILL; then looks again that none is left. Nothing to do when there is no such sandbox: whoever
   * cleans up may have died after `destroy` and before writing that down.
   */
  stop(id: string, graceMs: number): Promise<void>
  /** Removes it and all that it left (files by owner, processes, shm, mounts, units, mail, cron); looks again, and throws SANDBOX_RESIDUE with the list. */
  destroy(id: string): Promise<void>
  /** Removes everything of this engine on this host that is not in `keep`: by name prefix or own records only, never a person's account. */
  sweep(keep: ReadonlySet<string>): Promise<SweepReport>
}

/** Sandboxes that are alike, to be started before anybody asks for one. */
export interface WarmRequest {
  readonly like: Omit<SandboxRequest, 'id' | 'jobId' | 'mount'>
  readonly count: number
}

/** An engine that keeps sandboxes started: `create` gives one to the first request that is alike. `list` does not show them, `sweep` leaves them. */
export interface WarmingEngine extends Engine {
  /** Brings them to what is wanted, in slots that are free; all others are removed. Rejects with what hindered the first that could not be made. */
  keepWarm(wanted: readonly WarmRequest[], signal: AbortSignal): Promise<void>
}

export interface SnapshottingEngine extends Engine {
  snapshot(id: string, name: string): Promise<void>
}

/** An engine that can fall ill of something that only a restart of the machine cures. */
export interface RebootableEngine extends Engine {
  /** Why it starts nothing more until then, in words for people; null: it is well, as far as is known. Cheap. */
  needsReboot(): Promise<string | null>
}

/** An engine whose sandboxes are accounts of the host: one can be removed by its name, also when nothing else is known of it. */
export interface AccountCleaner extends Engine {
  /** FORBIDDEN for a name outside the engine's own prefix and UIDs, NOT_FOUND when there is none. */
  clean(account: string): Promise<SweepReport>
}
