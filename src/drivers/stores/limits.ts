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
  /** Tries of a batch that met a conflict or lost its connection; with the pauses between them, 16 take about ten seconds. */
  readonly maxAttempts: number
}

export const defaultStoreLimits: StoreLimits = {
  maxQueuedWrites: 20_000,
  maxQueuedReads: 20_000,
  maxReaders: 4,
  workMs: 30_000,
  busyTimeoutMs: 250,
  maxAttempts: 16,
}

/** Changes of the schema touch whole tables: they may take this much longer. */
export const exclusiveFactor = 20
