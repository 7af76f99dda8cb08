import {
  DefaultQueryExecutor,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  Transaction,
  type CompiledQuery,
  type ConnectionProvider,
  type DatabaseConnection,
  type Dialect,
  type DialectAdapter,
  type Driver,
  type KyselyProps,
  type QueryCompiler,
  type QueryResult,
} from 'kysely'
import { CideryError } from '../../model/errors.ts'
import type { Milliseconds } from '../../model/instant.ts'
import type { Store, Tables, Writer } from '../../ports/store.ts'
import type { Timers } from '../../ports/time.ts'
import { Turn } from './turn.ts'

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
 *
 * A pass is not begun by Kysely's own `transaction()`: that wraps every statement in executors and promises that guard what a pass guards already, and
 * they cost a quarter of a read of one row (measured: 10.9 µs with it, 8.4 without).
 */
export class Surface {
  readonly #execute: Execute
  readonly #parts: Parts

  constructor(kind: Store['kind'], execute: Execute) {
    this.#execute = execute
    this.#parts = partsOf(kind)
  }

  /** Runs `work`; rejects with its error, with that of a failed statement it swallowed, or with UNAVAILABLE when its time is over. */
  async run<T>(work: (tx: Writer) => Promise<T>, limit: WorkLimit): Promise<T> {
    const pass: Pass = { refusal: undefined, over: false }
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
    work(this.#begin(pass))
      .then(resolve, reject)
      .finally(() => timer.cancel())
    return promise
  }

  #begin(pass: Pass): Writer {
    const { adapter, compiler, ...parts } = this.#parts
    const connection = this.#connect(pass)
    const statements = new Turn()
    const provider: ConnectionProvider = { provideConnection: (consumer) => statements.run(() => consumer(connection)) }
    return new Transaction<Tables>({ ...parts, executor: new DefaultQueryExecutor(compiler, adapter, provider) })
  }

  #connect(pass: Pass): DatabaseConnection {
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

/** What Kysely needs beside a connection; the same for every pass. */
type Parts = Omit<KyselyProps, 'executor'> & { readonly adapter: DialectAdapter; readonly compiler: QueryCompiler }

function partsOf(kind: Store['kind']): Parts {
  // Passes are begun and ended by the stores, on a connection that they bring: nothing ever asks Kysely's driver.
  const driver: Driver = {
    async init() {},
    acquireConnection: () => Promise.reject(new CideryError('INTERNAL', 'a connection was asked for outside of read and write')),
    async beginTransaction() {},
    async commitTransaction() {},
    async rollbackTransaction() {},
    async releaseConnection() {},
    async destroy() {},
  }
  const createDriver = (): Driver => driver
  const dialect: Dialect =
    kind === 'sqlite'
      ? {
          createDriver,
          createAdapter: () => new SqliteAdapter(),
          createQueryCompiler: () => new SqliteQueryCompiler(),
          createIntrospector: (db) => new SqliteIntrospector(db),
        }
      : {
          createDriver,
          createAdapter: () => new PostgresAdapter(),
          createQueryCompiler: () => new PostgresQueryCompiler(),
          createIntrospector: (db) => new PostgresIntrospector(db),
        }
  return { config: { dialect }, dialect, driver, adapter: dialect.createAdapter(), compiler: dialect.createQueryCompiler() }
}
