import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import type { QueryResult } from 'kysely'
import { sqliteError } from './sqlite-errors.ts'

interface Prepared {
  readonly statement: StatementSync
  readonly returnsRows: boolean
  readonly mayChange: boolean
}

/** Statements kept per connection; lists of ids of every length would otherwise grow it without end. */
const maxStatements = 500

/** One connection with its prepared statements. Calls are synchronous: a statement is over before anything else runs. */
export class SqliteConnection {
  readonly #database: DatabaseSync
  readonly #statements = new Map<string, Prepared>()
  #changes = 0
  #readsOnly = false

  constructor(path: string, options: { readonly readOnly: boolean; readonly busyTimeoutMs: number }) {
    this.#database = new DatabaseSync(path, {
      readOnly: options.readOnly,
      timeout: options.busyTimeoutMs,
      enableForeignKeyConstraints: true,
    })
  }

  get inTransaction(): boolean {
    return this.#database.isTransaction
  }

  /** Runs one statement that takes no values and returns nothing, prepared once: three times as fast as `exec`. */
  step(sql: string): void {
    try {
      this.#prepare(sql).statement.run()
    } catch (error) {
      throw sqliteError(error, sql)
    }
  }

  /** Refuses changes from now on, or takes them again. */
  readOnly(only: boolean): void {
    if (only === this.#readsOnly) return
    this.step(`pragma query_only=${only ? 1 : 0}`)
    this.#readsOnly = only
  }

  /** Runs statements that take no values and return nothing. */
  exec(sql: string): void {
    try {
      this.#database.exec(sql)
    } catch (error) {
      throw sqliteError(error, sql)
    }
  }

  query(sql: string, parameters: readonly unknown[]): QueryResult<unknown> {
    try {
      const { statement, returnsRows, mayChange } = this.#prepare(sql)
      if (returnsRows) {
        if (mayChange) this.#changes += 1
        return { rows: statement.all(...(parameters as SQLInputValue[])) }
      }
      const { changes, lastInsertRowid } = statement.run(...(parameters as SQLInputValue[]))
      this.#changes += Number(changes)
      return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) }
    } catch (error) {
      throw sqliteError(error, sql)
    }
  }

  /** Goes up with each query that may have changed rows. Counted here: to ask SQLite costs as much as a look into an index. */
  changes(): number {
    return this.#changes
  }

  pragma(text: string): unknown {
    const row = this.query(`pragma ${text}`, []).rows[0]
    return row === undefined || row === null ? undefined : Object.values(row)[0]
  }

  /** Prepared statements do not outlive a change of the schema: they remember the columns. */
  forgetStatements(): void {
    this.#statements.clear()
  }

  close(): void {
    this.#statements.clear()
    if (this.#database.isOpen) this.#database.close()
  }

  #prepare(sql: string): Prepared {
    const known = this.#statements.get(sql)
    if (known !== undefined) return known
    const statement = this.#database.prepare(sql)
    const prepared = { statement, returnsRows: statement.columns().length > 0, mayChange: !/^(?:select|pragma)\b/i.test(sql) }
    if (this.#statements.size >= maxStatements) {
      const oldest = this.#statements.keys().next().value
      if (oldest !== undefined) this.#statements.delete(oldest)
    }
    this.#statements.set(sql, prepared)
    return prepared
  }
}
