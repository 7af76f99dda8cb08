import type { LaunchCommand } from './engine.ts'

/** Short-lived children of the agent: each leads a session and process group of its own. */
export interface Processes {
  /** Starts one. Rejects ENGINE_FAILED when it cannot be started (no such program, no permission). */
  start(launch: LaunchCommand, options?: StartOptions): Promise<StartedProcess>
}

export interface StartOptions {
  /** What it reads; without this its input is empty unless `interactive`. A process that stops reading early is no error. */
  readonly input?: AsyncIterable<Uint8Array> | Uint8Array
  /** Keep the input open for `write`. */
  readonly interactive?: boolean
  /** Standard error goes where standard output goes, instead of into `errorTail`. */
  readonly mergeErrors?: boolean
}

export interface StartedProcess {
  readonly pid: number
  /** Standard output, to be read once; the process waits while nobody reads. */
  readonly output: AsyncIterable<Uint8Array>
  /** Resolves when it ended and its output was closed or dropped. Rejects with what broke its input. */
  readonly ended: Promise<ProcessEnd>
  /** Last 4 KiB of standard error so far. */
  errorTail(): string
  /** Resolves when it can take more, or when it takes no more at all. */
  write(bytes: Uint8Array): Promise<void>
  closeInput(): void
  /** TERM to all of its group and session, KILL after `graceMs`; resolves when none is left. Idempotent. */
  stop(graceMs: number): Promise<void>
}

export interface ProcessEnd {
  readonly code: number | null
  readonly signal: number | null
}
