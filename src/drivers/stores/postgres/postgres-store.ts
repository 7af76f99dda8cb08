import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { CideryError } from '../../../model/errors.ts'
import { second } from '../../../model/instant.ts'
import type { Random } from '../../../ports/random.ts'
import type { MigratableStore, Reader, Writer } from '../../../ports/store.ts'
import type { Timers } from '../../../ports/time.ts'
import { GroupCommit } from '../group-commit.ts'
import { defaultStoreLimits, exclusiveFactor, type StoreLimits } from '../limits.ts'
import { Listeners } from '../listeners.ts'
import { Nesting } from '../nesting.ts'
import { Surface } from '../surface.ts'
import { Turn } from '../turn.ts'
import { PostgresConnection, connect, type PostgresAddress } from './postgres-connection.ts'
import { PostgresListener } from './postgres-listener.ts'
import { PostgresReaders } from './postgres-readers.ts'
import { PostgresWriter, executeOn } from './postgres-writer.ts'

export interface PostgresStoreOptions {
  /** `postgres://user:password@host:port/database`; keep it out of argv and logs. */
  readonly url: string
  readonly timers: Timers
  readonly random: Random
  readonly limits?: Partial<StoreLimits>
}

const channels = { commits: 'cidery_commit', announcements: 'cidery_announce' } as const
const closeLimit = 5 * second
/** Any number that no other program takes: `cidery` in ASCII. */
const migrationLock = 0x636964657279

/**
 * Opens a PostgreSQL store (14 or newer, UTF-8); its schema comes from `migrate`. Writes are serializable and share commits; reads run
 * on a pool. Between them and the server there must be no proxy that gives each transaction another session (sessions listen, lock and prepare).
 * Throws UNAVAILABLE when the server cannot be reached, TLS_REQUIRED when it would be reached in the clear over a network, UNSUPPORTED when its
 * settings do not do.
 *
 * @example const store = await createPostgresStore({ url, timers, random })
 */
export async function createPostgresStore(options: PostgresStoreOptions): Promise<MigratableStore> {
  refuseCleartext(options.url)
  const limits = { ...defaultStoreLimits, maxReaders: 8, ...options.limits }
  const instance = randomUUID()
  const address: PostgresAddress = { url: options.url, applicationName: 'cidery' }
  const workLimit = { timers: options.timers, ms: limits.workMs }
  const readers = new PostgresReaders({ address, limits, workLimit })
  const writer = new PostgresWriter({ address, limits, workLimit, channel: channels.commits, instance })
  const nesting = new Nesting()
  const listeners = new Listeners()
  const announced = new Listeners<[text: string | null]>()
  const turn = new Turn()
  const commits = new GroupCommit({
    begin: () => writer.begin(),
    turn,
    timers: options.timers,
    fraction: () => options.random.fraction(),
    committed: () => listeners.call(),
    gather: () => new Promise((resolve) => setImmediate(resolve)),
    steady: () => performance.now(),
    maxQueued: limits.maxQueuedWrites,
    maxAttempts: limits.maxAttempts,
  })
  const listener = new PostgresListener({
    address,
    limits,
    timers: options.timers,
    channels,
    instance,
    position: () => readers.read(readPosition),
    heard: () => listeners.call(),
    announced: (text) => announced.call(text),
  })
  let closing: Promise<void> | undefined

  function refuseClosed(): void {
    if (closing !== undefined) throw new CideryError('UNAVAILABLE', 'the store is closed')
  }

  try {
    await readers.read(checkServer)
    await listener.start()
  } catch (error) {
    await Promise.allSettled([readers.close(), listener.close()])
    throw error
  }

  return {
    kind: 'postgres',
    async read<T>(work: (db: Reader) => Promise<T>) {
      refuseClosed()
      return readers.read(nesting.guard(work))
    },
    async write<T>(work: (tx: Writer) => Promise<T>) {
      return commits.submit(nesting.guard(work))
    },
    async now() {
      refuseClosed()
      return readers.read(readClock)
    },
    onCommit: (heard) => listeners.add(heard),
    async announce(tx, text) {
      await sql`select pg_notify(${channels.announcements}, ${`${instance} ${text}`})`.execute(tx)
    },
    onAnnounced: (heard) => announced.add(heard),
    async exclusively<T>(work: (tx: Writer) => Promise<T>) {
      refuseClosed()
      return runExclusively(nesting.guard(work))
    },
    keepCopy: async () => null,
    close() {
      closing ??= closeAll()
      return closing
    },
  }

  async function closeAll(): Promise<void> {
    await commits.close()
    // A server that does not answer any more does not answer a goodbye either.
    const goodbye = Promise.all([writer.close(), readers.close(), listener.close()])
    const patience = new AbortController()
    await Promise.race([goodbye, options.timers.sleep(closeLimit, patience.signal).catch(ignoreAbort)]).finally(() => patience.abort())
  }

  /** The lock is of the session, taken before the transaction begins: its snapshot then has all that the holder before it committed. */
  async function runExclusively<T>(work: (tx: Writer) => Promise<T>): Promise<T> {
    const client = await connect(address, { ...limits, workMs: limits.workMs * exclusiveFactor })
    try {
      const connection = new PostgresConnection(client)
      await connection.query('select pg_advisory_lock($1)', [migrationLock])
      await connection.exec('begin isolation level serializable')
      const value = await new Surface('postgres', executeOn(connection)).run(work, { ...workLimit, ms: limits.workMs * exclusiveFactor })
      await connection.exec(`select pg_notify('${channels.commits}', '${instance}'); commit`)
      listeners.call()
      return value
    } finally {
      // Ends the transaction and frees the lock, also when the work failed.
      await client.end()
    }
  }
}

/** A wait that nobody needs any more. */
function ignoreAbort(): void {}

/** What is asked and answered holds key hashes and journals: over a network it is encrypted, and the server's certificate is checked. */
function refuseCleartext(text: string): void {
  const url = new URL(text)
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const local =
    host === '' ||
    host === 'localhost' ||
    host === '::1' ||
    host.startsWith('127.') ||
    (url.searchParams.get('host')?.startsWith('/') ?? false)
  if (local || /^(?:require|verify-ca|verify-full)$/.test(url.searchParams.get('sslmode') ?? '')) return
  throw new CideryError('TLS_REQUIRED', `the database on ${host} would be reached without TLS`, {
    hint: 'add ?sslmode=verify-full to its URL (and sslrootcert=FILE for a CA of your own)',
  })
}

async function readClock(db: Reader): Promise<number> {
  const { rows } = await sql<{ now: number }>`select floor(extract(epoch from clock_timestamp()) * 1000)::bigint as now`.execute(db)
  return (rows[0] as { now: number }).now
}

async function readPosition(db: Reader): Promise<string> {
  const { rows } = await sql<{ position: string }>`select pg_snapshot_xmax(pg_current_snapshot())::text as position`.execute(db)
  return (rows[0] as { position: string }).position
}

async function checkServer(db: Reader): Promise<void> {
  const { rows } = await sql<{ version: number; encoding: string }>`
    select current_setting('server_version_num')::bigint as version, current_setting('server_encoding') as encoding`.execute(db)
  const { version, encoding } = rows[0] as { version: number; encoding: string }
  if (version < 140_000)
    throw new CideryError('UNSUPPORTED', `PostgreSQL ${Math.floor(version / 10_000)} is too old`, { hint: 'use PostgreSQL 14 or newer' })
  if (encoding !== 'UTF8')
    throw new CideryError('UNSUPPORTED', `the database stores text as ${encoding}`, {
      hint: 'create it with: createdb --encoding UTF8 cidery',
    })
}
