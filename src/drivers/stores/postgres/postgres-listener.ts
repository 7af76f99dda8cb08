import type pg from 'pg'
import { second } from '../../../model/instant.ts'
import type { Timer, Timers } from '../../../ports/time.ts'
import type { StoreLimits } from '../limits.ts'
import { connect, type PostgresAddress } from './postgres-connection.ts'

export interface PostgresListenerOptions {
  readonly address: PostgresAddress
  readonly limits: StoreLimits
  readonly timers: Timers
  readonly channel: string
  /** Own notifications carry this word: the store tells of its own commits itself. */
  readonly instance: string
  /** Reads a number that goes up with every transaction that changed something. */
  readonly position: () => Promise<string>
  readonly heard: () => void
}

const pollInterval = 2 * second

/** Hears of the commits of other controllers: by NOTIFY at once, and by a look every 2 s when a notification was lost. */
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
    if (this.#client === undefined) await this.#listen()
    try {
      const position = await this.#options.position()
      if (position !== this.#position) this.#options.heard()
      this.#position = position
    } catch {
      // The database is away: writes and reads say so, and the next poll looks again.
    }
  }

  async #listen(): Promise<void> {
    if (this.#connecting || this.#closed) return
    this.#connecting = true
    try {
      const client = await connect(this.#options.address, this.#options.limits)
      client.on('notification', (message) => {
        if (message.payload !== this.#options.instance) this.#options.heard()
      })
      client.on('error', () => {
        if (this.#client === client) this.#client = undefined
      })
      client.on('end', () => {
        if (this.#client === client) this.#client = undefined
      })
      await client.query(`listen ${this.#options.channel}`)
      if (this.#closed) await client.end()
      else this.#client = client
    } catch {
      // Tried again with the next poll, which is the net meanwhile.
    } finally {
      this.#connecting = false
    }
  }
}
