import type pg from 'pg'
import { CideryError } from '../../../model/errors.ts'
import { BatchLost, type Batch, type Work, type WorkOutcome } from '../group-commit.ts'
import type { StoreLimits } from '../limits.ts'
import { Surface, type WorkLimit } from '../surface.ts'
import { PostgresConnection, connect, type PostgresAddress } from './postgres-connection.ts'
import { postgresError } from './postgres-errors.ts'

export interface PostgresWriterOptions {
  readonly address: PostgresAddress
  readonly limits: StoreLimits
  readonly workLimit: WorkLimit
  /** Told with each commit that changed something; must be a word. */
  readonly channel: string
  readonly instance: string
}

interface Session {
  readonly client: pg.Client
  readonly connection: PostgresConnection
  readonly surface: Surface
}

/** Any number that no other lock of cidery has. */
const writeLock = 0x63696465_7277
/**
 * How long the server waits for the next word of a session whose turn it is, in ms. A process that hangs keeps its connection alive and its turn with it,
 * also one that comes while it hangs; the session is ended then, and whoever wakes up does the batch again on another. Shorter than a lease of the lead.
 */
const turnIdleMs = 5_000
const lock = `set idle_session_timeout = ${turnIdleMs}; select pg_advisory_lock(${writeLock})`
const begin = `begin isolation level serializable; set local idle_in_transaction_session_timeout = ${turnIdleMs}; savepoint work`
const unlock = `select pg_advisory_unlock(${writeLock}); set idle_session_timeout = 0`

/**
 * The one connection of this controller's writes; made anew when it was cut. Controllers take turns by a lock of their sessions, a batch each:
 * every batch appends to the journal, so that two at once always meet in a conflict, and the one that loses it again and again waits for seconds
 * (measured: 5.6 s at 500 writes/s each, 0.15 s with turns). The lock is free as soon as the session is gone.
 */
export class PostgresWriter {
  readonly #options: PostgresWriterOptions
  #session: Session | undefined

  constructor(options: PostgresWriterOptions) {
    this.#options = options
  }

  async begin(): Promise<Batch> {
    const session = await this.#open()
    session.connection.health.conflict = undefined
    session.connection.takeChanges()
    await this.#takeTurn(session)
    let changed = false
    let needsSavepoint = false

    const run = async (work: Work): Promise<WorkOutcome> => {
      if (needsSavepoint) await this.#attempt(session, 'release savepoint work; savepoint work')
      needsSavepoint = true
      const outcome = await outcomeOf(session.surface.run(work, this.#options.workLimit))
      throwIfLost(session)
      const changes = session.connection.takeChanges()
      if (outcome.ok) changed ||= changes > 0
      else await this.#attempt(session, 'rollback to savepoint work')
      return outcome
    }

    return {
      run,
      commit: async () => {
        await this.#commit(session, changed)
        giveTurn(session)
        return changed
      },
      rollback: async () => {
        if (session.connection.health.lost !== undefined) return this.#drop(session)
        await session.connection.exec('rollback').catch(() => this.#drop(session))
        giveTurn(session)
      },
    }
  }

  async close(): Promise<void> {
    const session = this.#session
    this.#session = undefined
    await session?.client.end()
  }

  async #open(): Promise<Session> {
    if (this.#session !== undefined && this.#session.connection.health.lost === undefined) return this.#session
    if (this.#session !== undefined) await this.#drop(this.#session)
    try {
      const client = await connect(this.#options.address, this.#options.limits)
      const connection = new PostgresConnection(client)
      const surface = new Surface('postgres', executeOn(connection))
      this.#session = { client, connection, surface }
      return this.#session
    } catch (error) {
      throw new BatchLost(error as Error, true)
    }
  }

  async #takeTurn(session: Session): Promise<void> {
    try {
      // Before the transaction: its snapshot then has all that the holder before it committed.
      await this.#attempt(session, lock)
      await this.#attempt(session, begin)
    } catch (error) {
      // The lock is counted: one that was taken and not used must not stay.
      await this.#drop(session)
      throw error
    }
  }

  /** Sends what belongs to the transaction itself; its failure is that of the whole batch. */
  async #attempt(session: Session, sql: string): Promise<void> {
    try {
      await session.connection.exec(sql)
    } catch (error) {
      throwIfLost(session)
      throw new BatchLost(postgresError(error, sql) as Error, false)
    }
  }

  async #commit(session: Session, changed: boolean): Promise<void> {
    const { channel, instance } = this.#options
    // Nothing that commits with it may be sent after it: when the connection is cut from here on, nobody knows how it ended.
    const notify = changed ? `select pg_notify('${channel}', '${instance}'); ` : ''
    let tag: string
    try {
      tag = await session.connection.exec(`${notify}commit`)
    } catch (error) {
      const { conflict, lost } = session.connection.health
      if (conflict !== undefined) throw new BatchLost(postgresError(conflict, 'commit') as Error, true)
      if (lost === undefined) throw new BatchLost(postgresError(error, 'commit') as Error, false)
      const unknown = new CideryError(
        'UNAVAILABLE',
        'the connection to the database was cut during a commit; it may or may not have happened',
        {
          cause: lost,
          hint: 'look at the state, then try again',
        },
      )
      throw new BatchLost(unknown, false)
    }
    if (tag !== 'COMMIT') throw new BatchLost(new CideryError('INTERNAL', `the database answered a commit with ${tag}`), false)
  }

  async #drop(session: Session): Promise<void> {
    if (this.#session === session) this.#session = undefined
    await session.client.end().catch(() => {
      // It is cut already; a new one is made with the next batch.
    })
  }
}

/** Statements of closures get our errors; the connection remembers PostgreSQL's own. */
export function executeOn(
  connection: PostgresConnection,
): (sql: string, parameters: readonly unknown[]) => ReturnType<PostgresConnection['query']> {
  return async (sql, parameters) => {
    try {
      return await connection.query(sql, parameters)
    } catch (error) {
      throw postgresError(error, sql)
    }
  }
}

/** Nobody waits for the answer: the next statement of the session comes after it. */
function giveTurn(session: Session): void {
  session.connection.exec(unlock).catch(() => {
    // The session is cut, and its lock with it.
  })
}

async function outcomeOf(running: Promise<unknown>): Promise<WorkOutcome> {
  try {
    return { ok: true, value: await running }
  } catch (error) {
    return { ok: false, error }
  }
}

/** A conflict dooms the whole transaction even when a closure caught it; before the commit it is safe to do all of it again. */
function throwIfLost(session: Session): void {
  const { conflict, lost } = session.connection.health
  const reason = conflict ?? lost
  if (reason !== undefined) throw new BatchLost(postgresError(reason, '') as Error, true)
}
