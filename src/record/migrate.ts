import { sql } from 'kysely'
import { CideryError } from '../model/errors.ts'
import type { MigratableStore, Reader, Writer } from '../ports/store.ts'
import type { Clock } from '../ports/time.ts'
import { migrations as allMigrations } from './migrations/all.ts'
import type { Migration } from './migrations/migration.ts'

export interface MigrateOptions {
  readonly clock: Clock
  /** Steps to apply; other than all of them only in tests. */
  readonly migrations?: readonly Migration[]
}

export interface MigrateResult {
  readonly from: number
  readonly to: number
  /** Where the state from before was kept; null when nothing changed, or the database server's backups are the way. */
  readonly copy: string | null
}

/** The schema that this program was written for. */
export const schemaNumber: number = allMigrations.at(-1)?.number ?? 0

/**
 * Brings the schema up to what this program needs: forward only, each step once, all in one transaction that no other controller can
 * enter. A SQLite file is copied first. Throws SCHEMA_TOO_NEW when a newer program changed the schema in a way that this one cannot use.
 *
 * @example await migrate(store, { clock }) // { from: 0, to: 1, copy: null }
 */
export async function migrate(store: MigratableStore, options: MigrateOptions): Promise<MigrateResult> {
  const migrations = options.migrations ?? allMigrations
  const target = migrations.at(-1)?.number ?? 0
  const before = await store.read((db) => readSchema(db, store.kind))
  refuseNewer(before, target)
  if (before.number >= target) return { from: before.number, to: before.number, copy: null }
  const copy = before.number === 0 ? null : await store.keepCopy(`before-schema-${target}`)
  const from = await store.exclusively(async (tx) => {
    // Another controller may have been first while this one waited for its turn.
    const schema = await readSchema(tx, store.kind)
    refuseNewer(schema, target)
    for (const migration of migrations) {
      if (migration.number > schema.number) await applyMigration(tx, store.kind, { migration, at: options.clock.now() })
    }
    return schema.number
  })
  return { from, to: target, copy }
}

/** The schema number of a database; 0 when it is empty. */
export async function readSchemaNumber(store: MigratableStore): Promise<number> {
  return (await store.read((db) => readSchema(db, store.kind))).number
}

interface Schema {
  readonly number: number
  /** What a program must know to use it. */
  readonly minimum: number
}

async function readSchema(db: Reader, kind: MigratableStore['kind']): Promise<Schema> {
  if (!(await hasMeta(db, kind))) return { number: 0, minimum: 0 }
  const rows = await db.selectFrom('meta').selectAll().where('key', 'in', ['schema', 'schema_minimum']).orderBy('key').execute()
  const values = new Map(rows.map((row) => [row.key, Number(row.value)]))
  return { number: values.get('schema') ?? 0, minimum: values.get('schema_minimum') ?? 0 }
}

async function hasMeta(db: Reader, kind: MigratableStore['kind']): Promise<boolean> {
  const query =
    kind === 'sqlite'
      ? sql`select 1 as found from sqlite_schema where type = 'table' and name = 'meta'`
      : sql`select 1 as found from information_schema.tables where table_schema = current_schema() and table_name = 'meta'`
  return (await query.execute(db)).rows.length > 0
}

function refuseNewer(schema: Schema, known: number): void {
  if (schema.minimum <= known) return
  throw new CideryError(
    'SCHEMA_TOO_NEW',
    `the database has schema ${schema.number}, which needs a cidery that knows schema ${schema.minimum}; this one knows ${known}`,
    {
      hint: 'install the newer cidery again, or restore the copy that it kept before its migration',
      details: { schema: schema.number, minimum: schema.minimum, known },
    },
  )
}

async function applyMigration(
  tx: Writer,
  kind: MigratableStore['kind'],
  step: { readonly migration: Migration; readonly at: number },
): Promise<void> {
  const { migration, at } = step
  await migration.up(tx, kind)
  const values = [
    { key: 'schema', value: String(migration.number) },
    { key: 'schema_minimum', value: String(migration.minimum) },
    { key: `migration_${String(migration.number).padStart(4, '0')}`, value: JSON.stringify({ name: migration.name, at }) },
  ]
  await tx
    .insertInto('meta')
    .values(values)
    .onConflict((conflict) => conflict.column('key').doUpdateSet({ value: (row) => row.ref('excluded.value') }))
    .execute()
}
