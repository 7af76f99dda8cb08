import { CideryError } from '../../../model/errors.ts'

interface PostgresFailure extends Error {
  /** SQLSTATE. */
  readonly code: string
  readonly constraint?: string
  readonly table?: string
}

function isPostgresFailure(error: unknown): error is PostgresFailure {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && /^[0-9A-Z]{5}$/.test(error.code)
}

/** serialization_failure and deadlock_detected: the same work can be done again at once. */
export function isConflict(error: unknown): boolean {
  return isPostgresFailure(error) && (error.code === '40001' || error.code === '40P01')
}

/** The connection is of no more use: it was cut, the server is going down, or its prepared statements are of an older schema. */
export function isConnectionLost(error: unknown): boolean {
  // What has no SQLSTATE comes from the socket or from a timer of the client; errors of values are not about the connection.
  if (!isPostgresFailure(error))
    return error instanceof Error && !(error instanceof CideryError || error instanceof RangeError || error instanceof TypeError)
  const { code } = error
  // 25P03: it was silent for too long inside a transaction.
  return code.startsWith('08') || code.startsWith('57P') || code === '25P03' || (code === '0A000' && error.message.includes('cached plan'))
}

const constraints: Readonly<Record<string, string>> = { '23502': 'notNull', '23503': 'foreignKey', '23505': 'unique', '23514': 'check' }

/** PostgreSQL's error as ours: CONFLICT with `details.constraint`, STORAGE_FULL, UNAVAILABLE, else INTERNAL. The statement is named, its values are not. */
export function postgresError(error: unknown, sql: string): unknown {
  if (error instanceof CideryError) return error
  if (isConflict(error)) return new CideryError('UNAVAILABLE', 'too many controllers changed the same rows at once', { cause: error })
  if (isConnectionLost(error)) {
    return new CideryError('UNAVAILABLE', `the database cannot be reached: ${(error as Error).message}`, { cause: error })
  }
  return isPostgresFailure(error) ? failureError(error, sql) : error
}

function failureError(error: PostgresFailure, sql: string): CideryError {
  const constraint = constraints[error.code]
  const details = { ...(constraint && { constraint }), ...(error.constraint && { name: error.constraint }) }
  if (constraint === 'unique' || constraint === 'foreignKey') {
    return new CideryError('CONFLICT', `the database refused a row: ${error.message}`, { cause: error, details })
  }
  if (error.code === '53100') return new CideryError('STORAGE_FULL', 'the disk of the database server is full', { cause: error })
  // Out of connections or memory, a statement or a lock that took too long.
  if (error.code.startsWith('53') || error.code === '57014' || error.code === '55P03') {
    return new CideryError('UNAVAILABLE', `the database cannot serve this now: ${error.message}`, { cause: error })
  }
  return new CideryError('INTERNAL', `the database refused a statement: ${error.message}`, { cause: error, details: { sql, ...details } })
}
