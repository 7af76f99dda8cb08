import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { afterAll, describe, expect, it } from 'vitest'
import { createSystemClock } from '../../src/drivers/clocks/system-clock.ts'
import { createSystemTimers } from '../../src/drivers/clocks/system-timers.ts'
import { createSystemRandom } from '../../src/drivers/randoms/system-random.ts'
import { createPostgresStore } from '../../src/drivers/stores/postgres/postgres-store.ts'
import { createSqliteStore } from '../../src/drivers/stores/sqlite/sqlite-store.ts'
import type { MigratableStore } from '../../src/ports/store.ts'
import { migrate, readSchemaNumber, schemaNumber } from '../../src/record/migrate.ts'
import { migrations } from '../../src/record/migrations/all.ts'
import type { Migration } from '../../src/record/migrations/migration.ts'
import { startPostgres } from './postgres-server.ts'
import { buildRelease, keepReleasedSchema, readReleasedSchema, releases, type StoredRelease } from './releases.ts'
import { readSchemaText } from './schema-text.ts'

const clock = createSystemClock()
const timers = createSystemTimers()
const random = createSystemRandom()
const server = await startPostgres()
const directory = mkdtempSync(join(tmpdir(), 'cidery-upgrade-'))
let files = 0
afterAll(async () => {
  await server.stop()
  rmSync(directory, { recursive: true })
})

interface Opened {
  readonly store: MigratableStore
  readonly reopen: () => Promise<MigratableStore>
}

const kinds = {
  async sqlite(): Promise<Opened> {
    files += 1
    const path = join(directory, `state-${files}.db`)
    const reopen = () => createSqliteStore({ path, clock, timers })
    return { store: await reopen(), reopen }
  },
  async postgres(): Promise<Opened> {
    const url = await server.createDatabase()
    const reopen = () => createPostgresStore({ url, timers, random })
    return { store: await reopen(), reopen }
  },
}

function plain(rows: readonly unknown[]): readonly unknown[] {
  return rows.map((row) => ({ ...(row as object) }))
}

async function readTable(store: MigratableStore, table: string): Promise<readonly unknown[]> {
  return plain((await store.read((db) => sql`select * from ${sql.table(table)} order by 1, 2`.execute(db))).rows)
}

const last = migrations.at(-1) as Migration

/** Steps of a release that does not exist yet. */
const adds: Migration = {
  number: last.number + 1,
  name: 'test-adds',
  minimum: last.minimum,
  up: async (tx) => void (await sql`alter table jobs add column colour text`.execute(tx)),
}
const breaks: Migration = {
  number: last.number + 2,
  name: 'test-breaks',
  minimum: last.number + 2,
  up: async (tx) => void (await sql`alter table jobs rename column colour to tint`.execute(tx)),
}
const fails: Migration = {
  number: last.number + 1,
  name: 'test-fails',
  minimum: last.minimum,
  async up(tx) {
    await sql`create table half_done (id text primary key)`.execute(tx)
    await sql`delete from jobs`.execute(tx)
    throw new Error('this step does not work')
  },
}

describe.each(Object.entries(kinds))('an upgrade (%s)', (kind, open) => {
  describe.each(releases.map((release) => [release.version, release] as const))('from release %s', (_, release: StoredRelease) => {
    it('keeps every row, and ends with the schema that a new database has', async () => {
      const { store, reopen } = await open()
      await store.exclusively((tx) => buildRelease(tx, release, store.kind))
      await store.close()
      const upgraded = await reopen()
      const result = await migrate(upgraded, { clock })
      expect(result).toMatchObject({ from: release.schema, to: schemaNumber })
      for (const [table, rows] of Object.entries(release.rows)) {
        const kept = await readTable(upgraded, table)
        // Later releases may add columns and rows of their own.
        for (const row of rows)
          if (table !== 'meta' || !String(row['key']).startsWith('schema')) expect(kept).toContainEqual(expect.objectContaining(row))
      }
      const fresh = await open()
      await migrate(fresh.store, { clock })
      const [upgradedText, freshText] = await Promise.all(
        [upgraded, fresh.store].map((each) => each.read((db) => readSchemaText(db, each.kind))),
      )
      if (kind === 'postgres' || release.schema === schemaNumber) expect(upgradedText).toBe(freshText)
      await Promise.all([upgraded.close(), fresh.store.close()])
    })
  })

  it('of an empty database makes the schema that was kept for this release', async () => {
    const { store } = await open()
    await migrate(store, { clock })
    const text = await store.read((db) => readSchemaText(db, store.kind))
    await store.close()
    // Making a release: this, then an entry in releases.ts. A schema that was released is never kept again: write a new step instead.
    if (process.env['CIDERY_KEEP_SCHEMA'] === String(schemaNumber)) keepReleasedSchema(schemaNumber, store.kind, text)
    expect(text).toBe(readReleasedSchema({ schema: schemaNumber }, store.kind))
  })

  it('copies a SQLite file first, whole and for its owner alone', async () => {
    const { store } = await open()
    await migrate(store, { clock })
    await store.write((tx) => tx.insertInto('meta').values({ key: 'mine', value: 'kept' }).execute())
    const { copy } = await migrate(store, { clock, migrations: [...migrations, adds] })
    await store.close()
    if (kind === 'postgres') {
      expect(copy).toBeNull()
      return
    }
    expect(copy).not.toBeNull()
    expect(statSync(copy ?? '').mode & 0o777).toBe(0o600)
    expect(existsSync(`${copy ?? ''}.partial`)).toBe(false)
    const before = await createSqliteStore({ path: copy ?? '', clock, timers })
    expect(await readSchemaNumber(before)).toBe(last.number)
    expect(await readTable(before, 'meta')).toContainEqual({ key: 'mine', value: 'kept' })
    await before.close()
  })

  it('leaves everything as it was when a step fails', async () => {
    const { store } = await open()
    const [oldest] = releases
    if (oldest === undefined) throw new Error('no release is kept')
    await store.exclusively((tx) => buildRelease(tx, oldest, store.kind))
    await migrate(store, { clock })
    const before = await store.read((db) => readSchemaText(db, store.kind))
    await expect(migrate(store, { clock, migrations: [...migrations, fails] })).rejects.toThrow('this step does not work')
    expect(await readSchemaNumber(store)).toBe(last.number)
    expect(await store.read((db) => readSchemaText(db, store.kind))).toBe(before)
    expect(await readTable(store, 'jobs')).toHaveLength(2)
    await store.close()
  })

  it('that only added lets the program before it go on; one that changed is refused by name', async () => {
    const { store } = await open()
    await migrate(store, { clock, migrations: [...migrations, adds] })
    const added = { schema: last.number + 1, changed: last.number + 2 }
    expect(await migrate(store, { clock })).toEqual({ from: added.schema, to: added.schema, copy: null })
    await migrate(store, { clock, migrations: [...migrations, adds, breaks] })
    await expect(migrate(store, { clock })).rejects.toMatchObject({
      code: 'SCHEMA_TOO_NEW',
      message: `the database has schema ${added.changed}, which needs a cidery that knows schema ${added.changed}; this one knows ${last.number}`,
    })
    expect(await readSchemaNumber(store)).toBe(added.changed)
    await store.close()
  })

  it('shows reads and writes the new columns at once', async () => {
    const { store } = await open()
    await migrate(store, { clock })
    const jobs = () => store.read((db) => db.selectFrom('jobs').selectAll().execute())
    await store.write((tx) =>
      tx
        .insertInto('jobs')
        .values({
          id: 'job_1',
          queue: 'q',
          state: 'queued',
          priority: 0,
          submitted_at: 1,
          ended_at: null,
          outcome: null,
          generation: 1,
          doc: '{}',
        })
        .execute(),
    )
    expect(Object.keys((await jobs())[0] ?? {})).not.toContain('colour')
    await migrate(store, { clock, migrations: [...migrations, adds] })
    // A connection whose prepared statement is of the old schema is given up, and its read refused: the next has a new one.
    const seen = await jobs().catch(jobs)
    expect(Object.keys(seen[0] ?? {})).toContain('colour')
    await store.close()
  })
})

describe('the steps of the schema', () => {
  it('are all kept as they were released', () => {
    expect(releases.map((release) => release.schema)).toEqual(migrations.map((migration) => migration.number))
  })

  it('are numbered without holes, and need ever newer programs', () => {
    expect(migrations.map((migration) => migration.number)).toEqual(migrations.map((_, i) => i + 1))
    for (const [i, migration] of migrations.entries()) {
      expect(migration.minimum).toBeLessThanOrEqual(migration.number)
      expect(migration.minimum).toBeGreaterThanOrEqual(migrations[i - 1]?.minimum ?? 1)
    }
  })
})
