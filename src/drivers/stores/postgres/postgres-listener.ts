import type pg from 'pg'
import { second } from '../../../model/instant.ts'
import type { Timer, Timers } from '../../../ports/time.ts'
import type { StoreLimits } from '../limits.ts'
import { connect, type PostgresAddress } from './postgres-connection.ts'

export interface PostgresListenerOptions {
  readonly address: PostgresAddress
  readonly limits: StoreLimits
  readonly timers: Timers
  readonly channels: { readonly commits: string; readonly announcements: string }
  /** Own notifications carry this word: the store tells of its own commits itself. */
  readonly instance: string
  /** Reads a number that goes up with every transaction that changed something. */
  readonly position: () => Promise<string>
  readonly heard: () => void
  /** Told what others announced; null: announcements may have been missed. */
  readonly announced: (text: string | null) => void
}

const pollInterval = 2 * second
/** A connection that does not answer within this is taken for cut, whatever the kernel thinks of it. */
const answerLimit = 5 * second

/**
 * Hears of the commits of other controllers: by NOTIFY at once, and by a look every 2 s when a notification was lost. A session is told every
 * announcement while it lives, and its answer to a question comes after all of them: so only a session that ended can have missed one.
 */
export class PostgresListener {
  readonly #options: PostgresListenerOptions
  #client: pg.Client | undefined
  #connecting = false
  #timer: Timer | undefined
  #position: string | undefined
  #closed = false

  constructor(options: PostgresListenerOptions) {
    this.#options = options
  }

  async start(): Promise<void> {
    this.#position = await this.#options.position()
    await this.#listen()
    this.#schedule()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#timer?.cancel()
    await this.#client?.end().catch(() => {
      // Cut already.
    })
  }

  #schedule(): void {
    if (this.#closed) return
    this.#timer = this.#options.timers.after(pollInterval, () => {
      void this.#poll().finally(() => this.#schedule())
    })
  }

  async #poll(): Promise<void> {
    await this.#requireAnswer()
    if (this.#client === undefined) await this.#listen()
    try {
      const position = await this.#options.position()
      if (position !== this.#position) this.#options.heard()
      this.#position = position
    } catch {
      // The database is away: writes and reads say so, and the next poll looks again.
    }
  }

  async #requireAnswer(): Promise<void> {
    const client = this.#client
    if (client === undefined) return
    const { promise, reject } = Promise.withResolvers<never>()
    const timer = this.#options.timers.after(answerLimit, () => reject(new Error('the database does not answer')))
    try {
      await Promise.race([client.query('select 1'), promise])
    } catch {
      if (this.#client === client) this.#client = undefined
      void client.end().catch(() => {
        // Cut already.
      })
    } finally {
      timer.cancel()
    }
  }

  async #listen(): Promise<void> {
    if (this.#connecting || this.#closed) return
    this.#connecting = true
    try {
      const client = await connect(this.#options.address, this.#options.limits)
      client.on('notification', (message) => {
        this.#take(message.channel, message.payload ?? '')
      })
      client.on('error', () => {
        if (this.#client === client) this.#client = undefined
      })
      client.on('end', () => {
        if (this.#client === client) this.#client = undefined
      })
      const { commits, announcements } = this.#options.channels
      await client.query(`listen ${commits}; listen ${announcements}`)
      if (this.#closed) return await client.end()
      this.#client = client
      this.#options.heard()
      this.#options.announced(null)
    } catch {
      // Tried again with the next poll, which is the net meanwhile.
    } finally {
      this.#connecting = false
    }
  }

  #take(channel: string, payload: string): void {
    const { channels, instance, heard, announced } = this.#options
    const space = payload.indexOf(' ')
    const from = space === -1 ? payload : payload.slice(0, space)
    if (from === instance) return
    if (channel === channels.announcements) announced(payload.slice(space + 1))
    else heard()
  }
}
