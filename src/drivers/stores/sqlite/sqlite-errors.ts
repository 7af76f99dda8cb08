import { CideryError } from '../../../model/errors.ts'

const constraints: Readonly<Record<number, string>> = { 787: 'foreignKey', 275: 'check', 1299: 'notNull', 1555: 'unique', 2067: 'unique' }

interface SqliteFailure extends Error {
  readonly errcode: number
}

function isSqliteFailure(error: unknown): error is SqliteFailure {
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number'
}

/** Whether another process holds the lock that a statement needed. */
export function isBusy(error: unknown): boolean {
  return isSqliteFailure(error) && (error.errcode & 255) === 5
}

/** SQLite's error as ours: CONFLICT with `details.constraint`, STORAGE_FULL, UNAVAILABLE, else INTERNAL. The statement is named, its values are not. */
export function sqliteError(error: unknown, sql: string): unknown {
  if (!isSqliteFailure(error)) return error
  const constraint = constraints[error.errcode]
  if (constraint === 'unique' || constraint === 'foreignKey') {
    return new CideryError('CONFLICT', `the database refused a row: ${error.message}`, { cause: error, details: { constraint } })
  }
  switch (error.errcode & 255) {
    case 13:
      return new CideryError('STORAGE_FULL', 'the disk of the database is full', {
        cause: error,
        hint: 'free space on the disk of the state directory',
      })
    case 5:
    case 6:
    case 10:
      return new CideryError('UNAVAILABLE', `the database cannot be used now: ${error.message}`, { cause: error })
    default:
      return new CideryError('INTERNAL', `the database refused a statement: ${error.message}`, {
        cause: error,
        details: { sql, ...(constraint && { constraint }) },
      })
  }
}
