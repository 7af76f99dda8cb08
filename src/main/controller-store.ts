import { readFileSync } from 'node:fs'
import { createPostgresStore } from '../drivers/stores/postgres/postgres-store.ts'
import { createSqliteStore } from '../drivers/stores/sqlite/sqlite-store.ts'
import { CideryError } from '../model/errors.ts'
import type { Lock } from '../ports/lock.ts'
import type { Random } from '../ports/random.ts'
import type { MigratableStore } from '../ports/store.ts'
import type { Clock, Timers } from '../ports/time.ts'

export interface StorePorts {
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  readonly lock: Lock
}

/** Where state is kept: in a SQLite file of the state directory, or in PostgreSQL. */
export type StoreChoice =
  /** `named`: somebody said so, and it is not only what is taken without a word. */
  { readonly kind: 'sqlite'; readonly named?: boolean } | { readonly kind: 'postgres'; readonly url: string }

/**
 * Reads `--store` (or `--to`): nothing, `sqlite`, or `postgres://…`. A password belongs into `CIDERY_STORE_URL`, into the file that `CIDERY_STORE_URL_FILE`
 * names, or into PGPASSWORD: arguments are seen by everybody on the machine, so one with a password is refused.
 */
export function chooseStore(
  argument: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
  option: '--store' | '--to' = '--store',
): StoreChoice {
  const fromEnvironment = env['CIDERY_STORE_URL'] ?? fromFile(env['CIDERY_STORE_URL_FILE'])
  if (argument === undefined)
    return fromEnvironment === undefined ? { kind: 'sqlite' } : { kind: 'postgres', url: parsed(fromEnvironment, option).href }
  if (argument === 'sqlite') return { kind: 'sqlite', named: true }
  const url = parsed(argument, option)
  if (url.password !== '') {
    throw new CideryError('INVALID_INPUT', 'the password of the database is in an argument, where everybody on this machine can read it', {
      hint: `put the whole URL into CIDERY_STORE_URL, or into a file that CIDERY_STORE_URL_FILE names, and leave out ${option}`,
    })
  }
  const password = env['PGPASSWORD']
  if (password !== undefined) url.password = encodeURIComponent(password)
  return { kind: 'postgres', url: url.href }
}

function fromFile(path: string | undefined): string | undefined {
  if (path === undefined) return undefined
  try {
    return readFileSync(path, 'utf8').trim()
  } catch (error) {
    throw new CideryError('INVALID_INPUT', `cannot read ${path}, which CIDERY_STORE_URL_FILE names`, { cause: error })
  }
}

function parsed(text: string, option: string): URL {
  const url = URL.parse(text)
  if (url !== null && (url.protocol === 'postgres:' || url.protocol === 'postgresql:')) return url
  // The text itself may hold a password: it is not repeated.
  throw new CideryError('INVALID_INPUT', 'the store is neither sqlite nor a postgres:// URL', {
    hint: `${option} postgres://user@host/database`,
  })
}

/** What may be said of a store in logs and views. */
export function storeName(choice: StoreChoice): string {
  if (choice.kind === 'sqlite') return 'sqlite'
  const url = new URL(choice.url)
  return `postgres://${url.host}${url.pathname}`
}

export function openStore(choice: StoreChoice, database: string, ports: StorePorts): Promise<MigratableStore> {
  if (choice.kind === 'postgres') return createPostgresStore({ url: choice.url, timers: ports.timers, random: ports.random })
  return createSqliteStore({ path: database, clock: ports.clock, timers: ports.timers, lock: ports.lock })
}
