import type { Kysely, Transaction } from 'kysely'
import type { Tables } from './tables.ts'

export type { Tables } from './tables.ts'
export type Reader = Kysely<Tables>
export type Writer = Transaction<Tables>

/**
 * Where state lives. Two drivers, one SQL: SQLite in the process, PostgreSQL for more than one controller.
 * A `write` that resolved is durable: it survives the death of every process. Writes run one after another, those of one controller many in
 * one commit; a write that throws leaves nothing behind and does not disturb the others of its commit.
 */
export interface Store {
  readonly kind: 'sqlite' | 'postgres'
  /** Runs reads on one consistent snapshot or better. Never changes anything. */
  read<T>(work: (db: Reader) => Promise<T>): Promise<T>
  /** Runs `work` in a serializable transaction; may run it again after a conflict, so it must have no other effects. */
  write<T>(work: (tx: Writer) => Promise<T>): Promise<T>
  /** The database's own clock: leases of the lead are timed by it. */
  now(): Promise<number>
  /** Calls back after a commit, by any controller, that may have changed something (a hint, never the truth). Returns how to stop. */
  onCommit(listener: () => void): () => void
  /** Tells the other controllers on this store a short text (up to 4 KiB), when and only when this transaction commits. */
  announce(tx: Writer, text: string): Promise<void>
  /** Calls back with what other controllers announced, in order; with null when something may have been missed. Returns how to stop. */
  onAnnounced(listener: (text: string | null) => void): () => void
  /** Finishes what was begun, refuses the rest, gives the lock back. */
  close(): Promise<void>
}

/** What changing the schema needs besides reading and writing. */
export interface MigratableStore extends Store {
  /** Runs `work` in one transaction, alone among all controllers, seeing all that was committed before. */
  exclusively<T>(work: (tx: Writer) => Promise<T>): Promise<T>
  /** Copies the whole state beside itself before a risky change; answers where, or null when backups are the database server's matter. */
  keepCopy(label: string): Promise<string | null>
}
