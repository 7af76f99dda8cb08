import type { Milliseconds } from '../../model/instant.ts'

export interface StoreLimits {
  /** Writes that may wait for their turn; more are refused with UNAVAILABLE. */
  readonly maxQueuedWrites: number
  /** Reads that may wait for a connection. */
  readonly maxQueuedReads: number
  readonly maxReaders: number
  /** How long one closure may hold a connection. */
  readonly workMs: Milliseconds
  /** How long SQLite waits for a lock of another program (a backup, a shell), with the whole process: writes are tried again after it. */
  readonly busyTimeoutMs: Milliseconds
}

export const defaultStoreLimits: StoreLimits = {
  maxQueuedWrites: 20_000,
  maxQueuedReads: 20_000,
  maxReaders: 4,
  workMs: 30_000,
  busyTimeoutMs: 250,
}
