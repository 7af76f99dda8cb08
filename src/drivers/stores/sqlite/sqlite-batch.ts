import { CideryError } from '../../../model/errors.ts'
import { BatchLost, type Batch, type Work, type WorkOutcome } from '../group-commit.ts'
import type { Surface, WorkLimit } from '../surface.ts'
import type { SqliteConnection } from './sqlite-connection.ts'
import { isBusy } from './sqlite-errors.ts'

export interface BatchLimit extends WorkLimit {
  /** What this throws is how the commit fails. */
  readonly beforeCommit?: () => void
}

/** Opens the one transaction that the closures of a group commit share. */
export async function beginSqliteBatch(connection: SqliteConnection, surface: Surface, limit: BatchLimit): Promise<Batch> {
  begin(connection)
  const changesBefore = connection.changes()

  async function run(work: Work): Promise<WorkOutcome> {
    connection.step('savepoint work')
    try {
      const value = await surface.run(work, limit)
      connection.step('release work')
      return { ok: true, value }
    } catch (error) {
      // A full disk or a failing one makes SQLite roll back everything by itself.
      if (!connection.inTransaction) throw new BatchLost(asError(error), false)
      connection.exec('rollback to work; release work')
      return { ok: false, error }
    }
  }

  return {
    run,
    async commit() {
      const changed = connection.changes() !== changesBefore
      lostUnless(() => {
        limit.beforeCommit?.()
        connection.step('commit')
      })
      return changed
    },
    async rollback() {
      if (connection.inTransaction) connection.exec('rollback')
    },
  }
}

/** Another program (a backup, a shell) may hold the database for a moment: then the whole batch waits and tries again. */
function begin(connection: SqliteConnection): void {
  try {
    connection.readOnly(false)
    connection.step('begin immediate')
  } catch (error) {
    throw new BatchLost(asError(error), error instanceof CideryError && isBusy(error.cause))
  }
}

function lostUnless(work: () => void): void {
  try {
    work()
  } catch (error) {
    throw new BatchLost(asError(error), false)
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
