import type { QueryResult } from 'kysely'
import pg from 'pg'
import { CideryError } from '../../../model/errors.ts'
import type { StoreLimits } from '../limits.ts'
import { isConflict, isConnectionLost } from './postgres-errors.ts'

export interface PostgresAddress {
  /** `postgres://user:password@host:port/database?sslmode=…`. Never logged. */
  readonly url: string
  readonly applicationName: string
}

/** Names of prepared statements, the same on every connection; lists of ids of every length would otherwise grow it without end. */
const maxNames = 500
const names = new Map<string, string>()

function nameOf(sql: string): string | undefined {
  const known = names.get(sql)
  if (known !== undefined || names.size >= maxNames) return known
  const name = `cidery_${names.size}`
  names.set(sql, name)
  return name
}

const int8 = 20
const numeric = 1700

/** 64-bit integers as numbers, like SQLite's: ids of rows, milliseconds and bytes all stay below 2^53. */
const types: pg.CustomTypesConfig = {
  getTypeParser(oid: number) {
    if (oid === int8 || oid === numeric) return readNumber
    return pg.types.getTypeParser(oid) as (text: string) => unknown
  },
}

function readNumber(text: string): number {
  const value = Number(text)
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) throw new RangeError(`${text} does not fit into a number`)
  return value
}

export function clientConfig(address: PostgresAddress, limits: StoreLimits): pg.ClientConfig {
  return {
    connectionString: address.url,
    application_name: address.applicationName,
    types,
    keepAlive: true,
    connectionTimeoutMillis: 5_000,
    statement_timeout: limits.workMs,
    lock_timeout: limits.workMs,
    // A little later than the server's own limit: it only matters when the server is not there any more.
    query_timeout: limits.workMs + 5_000,
    idle_in_transaction_session_timeout: limits.workMs + 10_000,
  }
}

/** What one connection learned that its user must know before going on. */
export interface ConnectionHealth {
  /** A statement met a conflict: the transaction cannot commit, whatever its user made of the error. */
  conflict: Error | undefined
  lost: Error | undefined
}

/** One client, with statements sent one after another and prepared by name. */
export class PostgresConnection {
  readonly #client: pg.ClientBase
  #last: Promise<unknown> = Promise.resolve()
  readonly health: ConnectionHealth = { conflict: undefined, lost: undefined }
  /** Rows that statements changed since the last `takeChanges`. */
  #changes = 0

  constructor(client: pg.ClientBase) {
    this.#client = client
    client.on('error', (error) => {
      this.health.lost ??= error
    })
  }

  /** Sends one statement with values; waits for those before it. Rejects with PostgreSQL's own error. */
  query(sql: string, parameters: readonly unknown[]): Promise<QueryResult<unknown>> {
    const name = nameOf(sql)
    return this.#send(async () => {
      const result = await this.#client.query({ text: sql, values: [...parameters], ...(name !== undefined && { name }) })
      const changes = result.command === 'SELECT' ? 0 : (result.rowCount ?? 1)
      this.#changes += changes
      return { rows: result.rows as unknown[], numAffectedRows: BigInt(changes) }
    })
  }

  /** Sends statements without values in one message; answers the tag of the last. */
  exec(sql: string): Promise<string> {
    return this.#send(async () => {
      // Several statements answer several results, which the types do not say.
      const result = (await this.#client.query(sql)) as unknown as { command: string } | readonly { command: string }[]
      return 'command' in result ? result.command : (result.at(-1)?.command ?? '')
    })
  }

  takeChanges(): number {
    const changes = this.#changes
    this.#changes = 0
    return changes
  }

  #send<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(async () => {
      if (this.health.lost !== undefined) throw this.health.lost
      try {
        return await work()
      } catch (error) {
        this.#learn(error)
        throw error
      }
    })
    this.#last = mine.catch(() => {
      // Who sent it gets the error; the next only waits for the end.
    })
    return mine
  }

  #learn(error: unknown): void {
    if (isConflict(error)) this.health.conflict ??= error as Error
    else if (isConnectionLost(error)) this.health.lost ??= error as Error
  }
}

/**
 * Commits wait for the disk whatever the server's default is. A machine that vanished without a word is found out within some seconds: until then
 * its session holds its locks, and the other controllers wait.
 */
const sessionSettings =
  'set synchronous_commit = on; set tcp_keepalives_idle = 3; set tcp_keepalives_interval = 1; set tcp_keepalives_count = 3'

/** Connects for good; the caller ends the client. */
export async function connect(address: PostgresAddress, limits: StoreLimits): Promise<pg.Client> {
  const client = new pg.Client(clientConfig(address, limits))
  // Without a listener a cut connection would end the process; who uses the client learns of it by its next statement.
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query(sessionSettings)
    return client
  } catch (error) {
    await client.end().catch(() => {
      // It never was connected.
    })
    throw new CideryError('UNAVAILABLE', `the database cannot be reached: ${(error as Error).message}`, { cause: error })
  }
}
