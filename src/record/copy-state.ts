import { createHash } from 'node:crypto'
import { sql } from 'kysely'
import { canonicalJson } from '../model/canonical-json.ts'
import { CideryError } from '../model/errors.ts'
import type { Signer } from '../ports/secrets.ts'
import type { MigratableStore, Reader, Tables, Writer } from '../ports/store.ts'
import type { Clock } from '../ports/time.ts'
import { appendEvents } from './journal.ts'
import { readLead } from './lead.ts'
import { migrate, readSchemaNumber, schemaNumber } from './migrate.ts'
import { movedKey } from './moved-state.ts'
import { verifyJournal } from './verify-journal.ts'

type TableName = keyof Tables

/** Every table with its key, each after those that it refers to. */
const keys: Readonly<Record<TableName, readonly string[]>> = {
  meta: ['key'],
  lead: ['id'],
  specs: ['generation'],
  hosts: ['id'],
  enrolments: ['id'],
  jobs: ['id'],
  attempts: ['id'],
  operations: ['id'],
  sandboxes: ['id'],
  builds: ['id'],
  image_lines: ['name'],
  image_recipes: ['image', 'generation'],
  image_holds: ['host_id', 'build_id'],
  image_hosts: ['host_id', 'image'],
  secrets: ['queue', 'name'],
  users: ['id'],
  sessions: ['id_hash'],
  tokens: ['id'],
  idempotency: ['principal', 'key'],
  events: ['epoch', 'seq'],
  checkpoints: ['number'],
  blobs: ['digest'],
  uploads: ['id'],
}
export const copiedTables = Object.keys(keys) as readonly TableName[]

/** Rows of `meta` that belong to the one database and not to the fleet. */
const ownMeta = /^(?:schema|schema_minimum|migration_\d+|ready|blob_mark|moved_to)$/

type Row = Readonly<Record<string, unknown>>

export interface CopyOptions {
  readonly source: MigratableStore
  readonly target: MigratableStore
  readonly signer: Signer
  readonly clock: Clock
  /** How the target is called in the journal and to whoever starts the source again; no secret. */
  readonly targetName: string
  /** Looks and counts, and changes nothing. */
  readonly dryRun: boolean
}

export interface CopiedState {
  readonly dryRun: boolean
  readonly schema: number
  readonly tables: readonly { readonly name: string; readonly rows: number }[]
  /** Sealed events whose chain was checked. */
  readonly journal: { readonly first: number | null; readonly last: number | null }
}

/**
 * Copies a fleet's state into an empty database, all in one transaction that is committed only when the target holds the same rows, byte by byte, and
 * its journal verifies. The source is then marked as moved. Throws CONFLICT when the target is not empty, JOURNAL_BROKEN when the source's journal does
 * not verify.
 */
export async function copyState(options: CopyOptions): Promise<CopiedState> {
  const { source, target, signer, clock, dryRun } = options
  await requireEmpty(target)
  const schema = await readSchemaNumber(source)
  if (dryRun && schema !== schemaNumber) {
    throw new CideryError('CONFLICT', `the state has schema ${schema}, and this cidery copies schema ${schemaNumber}`, {
      hint: 'leave out --dry-run: the state is brought up to date first, and its file copied before',
    })
  }
  if (!dryRun) await migrate(source, { clock })
  const verdict = await verifyJournal(source, { signer })
  if (!verdict.ok) throw broken('the journal of the state does not verify, and is not copied', verdict.problem)
  const tables: { name: string; rows: number }[] = []
  if (dryRun) {
    for (const table of copiedTables) tables.push({ name: table, rows: (await digestOf(source.read.bind(source), table)).rows })
  } else {
    await migrate(target, { clock })
    await target.exclusively(async (tx) => {
      // Somebody may have started a controller on it meanwhile.
      await requireNoRows(tx)
      for (const table of copiedTables) tables.push({ name: table, rows: await copyTable(options, tx, table) })
      const copied = await verifyJournal({ read: (work) => work(tx) }, { signer })
      if (!copied.ok || copied.last !== verdict.last)
        throw broken('the journal of the copy does not verify; nothing was copied', copied.problem)
      await tellOfCopy(tx, options)
    })
    await source.write((tx) =>
      tx
        .insertInto('meta')
        .values({ key: movedKey, value: options.targetName })
        .onConflict((c) => c.column('key').doUpdateSet({ value: options.targetName }))
        .execute(),
    )
  }
  return { dryRun, schema: schemaNumber, tables, journal: { first: verdict.first, last: verdict.last } }
}

function broken(what: string, problem: string | null): CideryError {
  return new CideryError('JOURNAL_BROKEN', `${what}: ${problem ?? 'it ends elsewhere'}`, {
    hint: 'cidery audit verify, and restore the state from a backup',
  })
}

async function requireEmpty(target: MigratableStore): Promise<void> {
  const schema = await readSchemaNumber(target)
  if (schema === 0) return
  if (schema !== schemaNumber) throw notEmpty(`it has schema ${schema}`)
  await target.read(requireNoRows)
}

async function requireNoRows(db: Reader): Promise<void> {
  for (const table of copiedTables) {
    for await (const rows of pagesOf((work) => work(db), table)) if (rows.length > 0) throw notEmpty(`there are rows in ${table}`)
  }
}

function notEmpty(why: string): CideryError {
  return new CideryError('CONFLICT', `the target is not empty: ${why}`, {
    hint: 'name a new, empty database: createdb --encoding UTF8 cidery',
  })
}

type Read = <T>(work: (db: Reader) => Promise<T>) => Promise<T>
const page = 500

/** All rows of a table that belong to the fleet, in order of the key, which both kinds of store sort alike. */
async function* pagesOf(read: Read, table: TableName): AsyncGenerator<readonly Row[]> {
  const columns = sql.join(keys[table].map((column) => sql.ref(column)))
  let after: Row | undefined
  for (;;) {
    const beyond = after === undefined ? sql`` : sql`where (${columns}) > (${sql.join(keys[table].map((column) => after?.[column]))})`
    const { rows } = await read((db) => sql<Row>`select * from ${sql.table(table)} ${beyond} order by ${columns} limit ${page}`.execute(db))
    if (rows.length === 0) return
    after = rows.at(-1)
    yield table === 'meta' ? rows.filter((row) => !ownMeta.test(String(row['key']))) : rows
  }
}

interface Digest {
  readonly rows: number
  readonly sha256: string
}

async function digestOf(
  read: Read,
  table: TableName,
  each: (rows: readonly Row[]) => Promise<void> = async () => undefined,
): Promise<Digest> {
  const hash = createHash('sha256')
  let count = 0
  for await (const rows of pagesOf(read, table)) {
    for (const row of rows) hash.update(`${canonicalJson({ ...row })}\n`)
    count += rows.length
    await each(rows)
  }
  return { rows: count, sha256: hash.digest('hex') }
}

/** Copies a table and reads it back. Answers how many rows it has. */
async function copyTable({ source }: CopyOptions, tx: Writer, table: TableName): Promise<number> {
  const before = await digestOf(source.read.bind(source), table, async (rows) => {
    if (rows.length > 0) await sql`insert into ${sql.table(table)} (${columnsOf(rows)}) values ${valuesOf(rows)}`.execute(tx)
  })
  const after = await digestOf((work) => work(tx), table)
  if (after.sha256 === before.sha256 && after.rows === before.rows) return after.rows
  throw new CideryError('INTERNAL', `the copy of ${table} differs: ${after.rows} rows of ${before.rows}; nothing was copied`)
}

function columnsOf(rows: readonly Row[]) {
  return sql.join(Object.keys(rows[0] ?? {}).map((column) => sql.ref(column)))
}

function valuesOf(rows: readonly Row[]) {
  const columns = Object.keys(rows[0] ?? {})
  return sql.join(rows.map((row) => sql`(${sql.join(columns.map((column) => row[column]))})`))
}

/** Whoever leads next has a higher epoch than agents obeyed before, and need not wait for the lease of the controller that is stopped. */
async function tellOfCopy(tx: Writer, { clock, targetName }: CopyOptions): Promise<void> {
  await tx.updateTable('lead').set({ expires_at: 0 }).execute()
  const epoch = (await readLead(tx))?.epoch ?? 0
  const about = {
    kind: 'state.copied',
    subject: 'controller',
    actor: 'system',
    origin: null,
    result: 'ok',
    data: { to: targetName },
  } as const
  await appendEvents(tx, epoch, [{ ...about, at: clock.now() }])
}
