import {
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult,
} from 'kysely'
import { CideryError } from '../../model/errors.ts'
import type { Milliseconds } from '../../model/instant.ts'
import type { Store, Tables, Writer } from '../../ports/store.ts'
import type { Timers } from '../../ports/time.ts'

/** Sends one statement to the database; statements of one surface never overlap. */
export type Execute = (sql: string, parameters: readonly unknown[]) => Promise<QueryResult<unknown>>

/** How long one piece of work may hold a connection. */
export interface WorkLimit {
  readonly timers: Timers
  readonly ms: Milliseconds
}

/** What one piece of work may still do. */
interface Pass {
  /** What its next statement gets. */
  refusal: Error | undefined
  over: boolean
}

/**
 * Kysely over one connection whose transaction somebody else begins and ends. Each piece of work gets a pass of its own: it ends with the
 * work, with its time limit, and with its first failed statement. The last is how PostgreSQL behaves anyway; holding SQLite to it as well
 * keeps a closure from passing on one store and failing on the other.
 */
export class Surface {
  readonly #db: Kysely<Tables>
  readonly #execute: Execute
  #pass: Pass | undefined

  constructor(kind: Store['kind'], execute: Execute) {
    this.#execute = execute
    this.#db = new Kysely<Tables>({ dialect: dialectOf(kind, () => this.#connect()) })
  }

  /** Runs `work`; rejects with its error, with that of a failed statement it swallowed, or with UNAVAILABLE when its time is over. */
  async run<T>(work: (tx: Writer) => Promise<T>, limit: WorkLimit): Promise<T> {
    const pass: Pass = { refusal: undefined, over: false }
    this.#pass = pass
    try {
      const value = await this.#withinLimit(work, limit, pass)
      if (pass.refusal !== undefined) throw pass.refusal
      return value
    } finally {
      pass.over = true
    }
  }

  #withinLimit<T>(work: (tx: Writer) => Promise<T>, limit: WorkLimit, pass: Pass): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    const timer = limit.timers.after(limit.ms, () => {
      pass.refusal = new CideryError('UNAVAILABLE', `a transaction was given up after ${limit.ms} ms`)
      reject(pass.refusal)
    })
    this.#db
      .transaction()
      .execute(work)
      .then(resolve, reject)
      .finally(() => timer.cancel())
    return promise
  }

  #connect(): DatabaseConnection {
    const pass = this.#pass ?? { refusal: new CideryError('INTERNAL', 'a query was made outside of read and write'), over: true }
    const execute = this.#execute
    return {
      async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
        if (pass.refusal !== undefined) throw pass.refusal
        if (pass.over) throw statementTooLate()
        try {
          return (await execute(query.sql, query.parameters)) as QueryResult<R>
        } catch (error) {
          pass.refusal ??= error instanceof Error ? error : new Error(String(error))
          throw error
        }
      },
      // oxlint-disable-next-line require-yield -- the interface asks for a generator
      async *streamQuery() {
        throw new CideryError('UNSUPPORTED', 'the stores do not stream rows', { hint: 'read in pages' })
      },
    }
  }
}

/** Made only when it is needed: its stack would be a third of what an empty transaction costs. */
function statementTooLate(): CideryError {
  return new CideryError('INTERNAL', 'a statement was sent after its transaction had ended', {
    hint: 'await every query inside the closure that was given to the store',
  })
}

/** SQLite's own adapter lets one transaction at a time hold the driver for ever; passes do that job here, with a time limit. */
class UnlockedSqliteAdapter extends SqliteAdapter {
  override get supportsMultipleConnections(): boolean {
    return true
  }
}

function dialectOf(kind: Store['kind'], connect: () => DatabaseConnection): Dialect {
  const driver: Driver = {
    async init() {},
    acquireConnection: async () => connect(),
    async beginTransaction() {},
    async commitTransaction() {},
    async rollbackTransaction() {},
    async releaseConnection() {},
    async destroy() {},
  }
  const createDriver = (): Driver => driver
  return kind === 'sqlite'
    ? {
        createDriver,
        createAdapter: () => new UnlockedSqliteAdapter(),
        createQueryCompiler: () => new SqliteQueryCompiler(),
        createIntrospector: (db) => new SqliteIntrospector(db),
      }
    : {
        createDriver,
        createAdapter: () => new PostgresAdapter(),
        createQueryCompiler: () => new PostgresQueryCompiler(),
        createIntrospector: (db) => new PostgresIntrospector(db),
      }
}
