import type { Readable } from 'node:stream'

/** Bytes that grow at the end (logs, uploads) and bytes named by their SHA-256 (sources, artifacts). Names are `logs/att_…`, `uploads/upl_…`. */
export interface Blobs {
  /** Writes at `offset`, which must be the present length or less (bytes already held are skipped, never changed). Returns the new length. Survives process death when resolved. */
  append(name: string, offset: number, bytes: Uint8Array): Promise<number>
  /** Present length; 0 when there is nothing. */
  length(name: string): Promise<number>
  /** Bytes from `start` up to `end` (exclusive), or to the present end. */
  read(name: string, start: number, end?: number): Readable
  /** Closes an upload: checks size and digest, and makes it `sha256/<digest>`. Throws INVALID_INPUT when they differ. */
  seal(name: string, digest: string): Promise<{ readonly sizeBytes: number }>
  has(digest: string): Promise<boolean>
  open(digest: string, start?: number): Promise<{ readonly sizeBytes: number; readonly stream: Readable }>
  remove(name: string): Promise<void>
  /** All names under a prefix with size and last change, in order of name; for retention. */
  list(prefix: string): AsyncIterable<{ readonly name: string; readonly sizeBytes: number; readonly changedAt: number }>
  /** Free bytes on the disk behind it. */
  freeBytes(): Promise<number>
}
