import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { CideryError } from '../../../model/errors.ts'
import type { Lock } from '../../../ports/lock.ts'
import type { MigratableStore, Reader, Writer } from '../../../ports/store.ts'
import type { Clock, Timers } from '../../../ports/time.ts'
import { GroupCommit } from '../group-commit.ts'
import { defaultStoreLimits, exclusiveFactor, type StoreLimits } from '../limits.ts'
import { Listeners } from '../listeners.ts'
import { Nesting } from '../nesting.ts'
import { Surface } from '../surface.ts'
import { Turn } from '../turn.ts'
import { beginSqliteBatch } from './sqlite-batch.ts'
import { SqliteConnection } from './sqlite-connection.ts'
import { isBusy } from './sqlite-errors.ts'
import { SharedReader, SqliteReaders, type ReadSource } from './sqlite-readers.ts'

export interface SqliteStoreOptions {
  /** The database file, or `:memory:`: then nothing outlives the process, and nothing but the given clock and timers tells time. */
  readonly path: string
  /** SQLite has no clock but that of the process: `now()` is this one. */
  readonly clock: Clock
  readonly timers: Timers
  /** Takes `<path>.lock` for this process, so that a second controller on the same file is refused. */
  readonly lock?: Lock
  readonly limits?: Partial<StoreLimits>
  /** Sees every statement and every commit; for simulations. */
  readonly watcher?: StoreWatcher
}

/** Looks at what is committed, at once. */
type Look = (sql: string, parameters?: readonly unknown[]) => readonly unknown[]

interface StoreWatcher {
  /** Told of each statement of a transaction, and of `commit`, before it is carried out; what this throws is how it fails. */
  beforeStatement(sql: string): void
  /** Told after each commit that may have changed something. */
  committed(look: Look): void
}

/**
 * Opens (or makes, mode 0600) a SQLite store; its schema comes from `migrate`. WAL with synchronous=FULL: a commit is on the disk.
 * Throws CONTROLLER_LOCKED, or UNAVAILABLE when the file cannot be opened.
 *
 * @example const store = await createSqliteStore({ path: '/var/lib/cidery/state.db', clock, timers, lock })
 */
export async function createSqliteStore(options: SqliteStoreOptions): Promise<MigratableStore> {
  const held = options.path === memoryPath ? undefined : await options.lock?.acquire(`${options.path}.lock`, 'controller')
  try {
    return openStore(options, async () => held?.release())
  } catch (error) {
    await held?.release()
    throw error
  }
}

const memoryPath = ':memory:'

function openStore(options: SqliteStoreOptions, unlock: () => Promise<void>): MigratableStore {
  const limits = { ...defaultStoreLimits, ...options.limits }
  const inMemory = options.path === memoryPath
  const connection = openWriter(options.path, limits)
  const workLimit = { timers: options.timers, ms: limits.workMs }
  const { watcher } = options
  const look: Look = (sql, parameters = []) => connection.query(sql, parameters).rows
  const surface = new Surface('sqlite', async (sql, parameters) => {
    watcher?.beforeStatement(sql)
    return connection.query(sql, parameters)
  })
  const turn = new Turn()
  const nesting = new Nesting()
  const listeners = new Listeners()
  const readers: ReadSource = inMemory
    ? new SharedReader({ connection, surface, turn, limit: workLimit })
    : new SqliteReaders({ path: options.path, limit: workLimit, limits })
  const commits = new GroupCommit({
    begin: () => beginSqliteBatch(connection, surface, { ...workLimit, beforeCommit: () => watcher?.beforeStatement('commit') }),
    turn,
    timers: options.timers,
    fraction: () => 0,
    committed() {
      watcher?.committed(look)
      listeners.call()
    },
    // A whole turn of the event loop for real requests; nothing but promises in memory, where a virtual clock decides what is next.
    gather: inMemory ? () => Promise.resolve() : () => new Promise((resolve) => setImmediate(resolve)),
    steady: inMemory ? () => options.clock.steady() : () => performance.now(),
    maxQueued: limits.maxQueuedWrites,
    maxAttempts: limits.maxAttempts,
  })
  let closing: Promise<void> | undefined

  function refuseClosed(): void {
    if (closing !== undefined) throw new CideryError('UNAVAILABLE', 'the store is closed')
  }

  return {
    kind: 'sqlite',
    async read<T>(work: (db: Reader) => Promise<T>) {
      refuseClosed()
      return readers.read(nesting.guard(work))
    },
    async write<T>(work: (tx: Writer) => Promise<T>) {
      return commits.submit(nesting.guard(work))
    },
    async now() {
      refuseClosed()
      return options.clock.now()
    },
    onCommit: (listener) => listeners.add(listener),
    // The kernel lock sees to it that there is no other controller.
    async announce() {},
    onAnnounced: () => () => undefined,
    async exclusively<T>(work: (tx: Writer) => Promise<T>) {
      refuseClosed()
      const guarded = nesting.guard(work)
      // The kernel lock keeps other controllers out, and the turn all else of this one.
      return turn.run(() => runExclusively(guarded))
    },
    async keepCopy(label) {
      refuseClosed()
      return inMemory ? null : turn.run(async () => copyDatabase(connection, options.path, label))
    },
    close() {
      closing ??= closeAll()
      return closing
    },
  }

  async function runExclusively<T>(work: (tx: Writer) => Promise<T>): Promise<T> {
    connection.readOnly(false)
    connection.exec('begin immediate')
    try {
      const value = await surface.run(work, { ...workLimit, ms: limits.workMs * exclusiveFactor })
      connection.exec('commit')
      listeners.call()
      return value
    } finally {
      if (connection.inTransaction) connection.exec('rollback')
      connection.forgetStatements()
      readers.forgetStatements()
    }
  }

  async function closeAll(): Promise<void> {
    await commits.close()
    await readers.close()
    connection.close()
    await unlock()
  }
}

function openWriter(path: string, limits: StoreLimits): SqliteConnection {
  // Made here, so that database, WAL and index (which copy its mode) are never readable by others.
  if (path !== memoryPath) closeSync(openSync(path, 'a', 0o600))
  const connection = new SqliteConnection(path, { readOnly: false, busyTimeoutMs: limits.busyTimeoutMs })
  try {
    configure(connection, path)
    return connection
  } catch (error) {
    connection.close()
    if (error instanceof CideryError && isBusy(error.cause))
      throw new CideryError('UNAVAILABLE', `the database ${path} is in use by another program`, { cause: error })
    throw error
  }
}

function configure(connection: SqliteConnection, path: string): void {
  if (path !== memoryPath) {
    const mode = connection.pragma('journal_mode=wal')
    if (mode !== 'wal') {
      throw new CideryError('UNSUPPORTED', `the database ${path} cannot use a write-ahead log (it says ${String(mode)})`, {
        hint: 'keep the state directory on a local disk',
      })
    }
    // Keep the log file from staying as large as the largest burst ever was.
    connection.pragma('journal_size_limit=67108864')
  }
  connection.pragma('synchronous=full')
  // macOS: fsync alone leaves data in the drive's cache.
  connection.pragma('fullfsync=1')
  connection.pragma('checkpoint_fullfsync=1')
  connection.pragma('cell_size_check=1')
  connection.pragma('trusted_schema=0')
}

/** Writes a whole, compact copy to `<path>.<label>` (mode 0600), synced before it gets its name. */
function copyDatabase(connection: SqliteConnection, path: string, label: string): string {
  const target = `${path}.${label}`
  const partial = `${target}.partial`
  if (existsSync(partial)) rmSync(partial)
  // VACUUM INTO fills an empty file and keeps its mode.
  closeSync(openSync(partial, 'wx', 0o600))
  connection.query('vacuum into ?', [partial])
  syncPath(partial)
  renameSync(partial, target)
  syncPath(dirname(target))
  return target
}

function syncPath(path: string): void {
  const file = openSync(path, 'r')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}
