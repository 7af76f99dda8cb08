import { CideryError } from '../../../model/errors.ts'
import type { Reader } from '../../../ports/store.ts'
import type { StoreLimits } from '../limits.ts'
import { Surface, type WorkLimit } from '../surface.ts'
import type { Turn } from '../turn.ts'
import { SqliteConnection } from './sqlite-connection.ts'

export interface ReadSource {
  read<T>(work: (db: Reader) => Promise<T>): Promise<T>
  forgetStatements(): void
  /** Resolves when the reads under way are over. */
  close(): Promise<void>
}

interface ReadConnection {
  readonly connection: SqliteConnection
  readonly surface: Surface
}

/** Read-only connections, each with a transaction per read: with WAL it sees one snapshot and never a write that is half done. */
export class SqliteReaders implements ReadSource {
  readonly #options: { readonly path: string; readonly limit: WorkLimit; readonly limits: StoreLimits }
  readonly #all = new Set<ReadConnection>()
  readonly #free: ReadConnection[] = []
  readonly #waiting: ((reader: ReadConnection) => void)[] = []
  #idle: (() => void) | undefined

  constructor(options: { readonly path: string; readonly limit: WorkLimit; readonly limits: StoreLimits }) {
    this.#options = options
  }

  async read<T>(work: (db: Reader) => Promise<T>): Promise<T> {
    const reader = await this.#acquire()
    try {
      reader.connection.step('begin')
      return await reader.surface.run(work, this.#options.limit)
    } finally {
      if (reader.connection.inTransaction) reader.connection.step('rollback')
      this.#release(reader)
    }
  }

  forgetStatements(): void {
    for (const { connection } of this.#all) connection.forgetStatements()
  }

  async close(): Promise<void> {
    if (this.#free.length < this.#all.size) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve
      })
    }
    for (const { connection } of this.#all) connection.close()
  }

  #acquire(): Promise<ReadConnection> | ReadConnection {
    const free = this.#free.pop()
    if (free !== undefined) return free
    const { path, limits } = this.#options
    if (this.#all.size < limits.maxReaders) {
      const connection = new SqliteConnection(path, { readOnly: true, busyTimeoutMs: limits.busyTimeoutMs })
      const reader = { connection, surface: new Surface('sqlite', async (sql, parameters) => connection.query(sql, parameters)) }
      this.#all.add(reader)
      return reader
    }
    if (this.#waiting.length >= limits.maxQueuedReads) {
      throw new CideryError('UNAVAILABLE', `${this.#waiting.length} reads are waiting already`, { hint: 'try again in a second' })
    }
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  #release(reader: ReadConnection): void {
    const next = this.#waiting.shift()
    if (next !== undefined) {
      next(reader)
      return
    }
    this.#free.push(reader)
    if (this.#free.length === this.#all.size) this.#idle?.()
  }
}

/** A database in memory has one connection: reads take turns with the writes on it. */
export class SharedReader implements ReadSource {
  readonly #options: { readonly connection: SqliteConnection; readonly surface: Surface; readonly turn: Turn; readonly limit: WorkLimit }

  constructor(options: {
    readonly connection: SqliteConnection
    readonly surface: Surface
    readonly turn: Turn
    readonly limit: WorkLimit
  }) {
    this.#options = options
  }

  read<T>(work: (db: Reader) => Promise<T>): Promise<T> {
    const { connection, surface, turn, limit } = this.#options
    return turn.run(() => {
      // While it is this read's turn nothing is written: it sees one state without a transaction of its own.
      connection.readOnly(true)
      return surface.run(work, limit)
    })
  }

  forgetStatements(): void {
    // The writer's statements are these.
  }

  async close(): Promise<void> {
    await this.#options.turn.run(async () => {})
  }
}
