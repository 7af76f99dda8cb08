import type { LaunchCommand } from './engine.ts'

/** What a sandbox's supervisor shall run. Times in ms, sizes in bytes. */
export interface SupervisedRun {
  readonly id: string
  readonly launch: LaunchCommand
  readonly timeLimitMs: number
  /** TERM → KILL wait on cancel and time limit. */
  readonly graceMs: number
  readonly logLimitBytes: number
}

/** How the supervised command ended; written once, atomically, before the supervisor goes. */
export interface ExitRecord {
  readonly code: number | null
  readonly signal: number | null
  readonly cause: 'exited' | 'timedOut' | 'cancelled' | 'launchFailed'
  readonly message: string
  readonly startedAt: number
  readonly endedAt: number
  readonly logBytes: number
  readonly logCut: boolean
}

export type Supervision =
  | { readonly state: 'none' }
  | { readonly state: 'running'; readonly pid: number; readonly startedAt: number }
  | { readonly state: 'ended'; readonly exit: ExitRecord }
  /** It died without an exit record (killed, or the machine restarted). */
  | { readonly state: 'dead'; readonly reason: string }

/** Small detached processes, one per sandbox, that outlive the agent: each owns its log file, time limit and exit record. */
export interface Supervisors {
  /** Starts one; resolves when its record is on disk. Starting the same id again is a no-op. */
  start(run: SupervisedRun): Promise<void>
  inspect(id: string): Promise<Supervision>
  /** TERM to the command, KILL after the grace; the exit record will say `cancelled`. Idempotent. */
  cancel(id: string): Promise<void>
  /** Resolves when it is no longer `running`, or when the signal is aborted. */
  wait(id: string, signal: AbortSignal): Promise<Supervision>
  /** Bytes of the log from `offset`, at most `limit`. */
  readLog(id: string, offset: number, limit: number): Promise<Uint8Array>
  logLength(id: string): Promise<number>
  /** Resolves soon after the log is longer than `beyond`, when the run is no longer `running`, or when the signal is aborted. */
  waitForLog(id: string, beyond: number, signal: AbortSignal): Promise<void>
  list(): Promise<readonly string[]>
  /** Paths of the programs that living supervisors are; null: one of them does not say. */
  programs(): Promise<readonly string[] | null>
  /** Kills what is left and removes its files. */
  remove(id: string): Promise<void>
}
