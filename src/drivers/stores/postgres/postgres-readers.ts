import pg from 'pg'
import { CideryError } from '../../../model/errors.ts'
import type { Reader } from '../../../ports/store.ts'
import type { StoreLimits } from '../limits.ts'
import { Surface, type WorkLimit } from '../surface.ts'
import { PostgresConnection, clientConfig, type PostgresAddress } from './postgres-connection.ts'
import { postgresError } from './postgres-errors.ts'
import { executeOn } from './postgres-writer.ts'

export interface PostgresReadersOptions {
  readonly address: PostgresAddress
  readonly limits: StoreLimits
  readonly workLimit: WorkLimit
}

interface ReadSession {
  readonly client: pg.PoolClient
  readonly connection: PostgresConnection
  readonly surface: Surface
}

/** A connection that sat in the pool may have been cut meanwhile: then the next is tried, and at last a new one. */
const maxBegins = 10

/** A pool of connections, each read a read-only transaction on one snapshot. */
export class PostgresReaders {
  readonly #options: PostgresReadersOptions
  readonly #pool: pg.Pool
  readonly #sessions = new WeakMap<pg.PoolClient, ReadSession>()

  constructor(options: PostgresReadersOptions) {
    this.#options = options
    this.#pool = new pg.Pool({
      ...clientConfig(options.address, options.limits),
      max: options.limits.maxReaders,
      connectionTimeoutMillis: 10_000,
      idleTimeoutMillis: 60_000,
    })
    // A connection that is cut while idle leaves the pool by itself.
    this.#pool.on('error', () => {})
  }

  async read<T>(work: (db: Reader) => Promise<T>): Promise<T> {
    const session = await this.#begin()
    try {
      return await session.surface.run(work, this.#options.workLimit)
    } finally {
      await this.#end(session)
    }
  }

  async close(): Promise<void> {
    await this.#pool.end()
  }

  async #begin(): Promise<ReadSession> {
    if (this.#pool.waitingCount >= this.#options.limits.maxQueuedReads) {
      throw new CideryError('UNAVAILABLE', `${this.#pool.waitingCount} reads are waiting already`, { hint: 'try again in a second' })
    }
    for (let attempt = 1; ; attempt += 1) {
      const session = await this.#connect()
      try {
        await session.connection.exec('begin isolation level repeatable read read only')
        return session
      } catch (error) {
        session.client.release(true)
        if (attempt >= maxBegins) throw postgresError(error, 'begin')
      }
    }
  }

  async #connect(): Promise<ReadSession> {
    let client: pg.PoolClient
    try {
      client = await this.#pool.connect()
    } catch (error) {
      throw new CideryError('UNAVAILABLE', `the database cannot be reached: ${(error as Error).message}`, { cause: error })
    }
    const known = this.#sessions.get(client)
    if (known !== undefined) return known
    const connection = new PostgresConnection(client)
    const session = { client, connection, surface: new Surface('postgres', executeOn(connection)) }
    this.#sessions.set(client, session)
    return session
  }

  async #end(session: ReadSession): Promise<void> {
    try {
      await session.connection.exec('rollback')
      session.client.release()
    } catch {
      // The read has its result or its error already; only this connection is of no more use.
      session.client.release(true)
    }
  }
}
