import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { afterAll, describe, expect, it } from 'vitest'
import { createSystemClock } from '../../src/drivers/clocks/system-clock.ts'
import { createSystemTimers } from '../../src/drivers/clocks/system-timers.ts'
import { createSystemRandom } from '../../src/drivers/randoms/system-random.ts'
import { createSigner } from '../../src/drivers/secrets/signer.ts'
import { createPostgresStore } from '../../src/drivers/stores/postgres/postgres-store.ts'
import { createSqliteStore } from '../../src/drivers/stores/sqlite/sqlite-store.ts'
import type { MigratableStore } from '../../src/ports/store.ts'
import { copiedTables, copyState, type CopyOptions } from '../../src/record/copy-state.ts'
import { appendEvents } from '../../src/record/journal.ts'
import { takeLead } from '../../src/record/lead.ts'
import { migrate, readSchemaNumber, schemaNumber } from '../../src/record/migrate.ts'
import { forgetMoved, refuseMoved } from '../../src/record/moved-state.ts'
import { sealEvents } from '../../src/record/seal.ts'
import { verifyJournal } from '../../src/record/verify-journal.ts'
import { the } from '../doubles/the.ts'
import { startPostgres } from './postgres-server.ts'
import { buildRelease, releases } from './releases.ts'

const clock = createSystemClock()
const timers = createSystemTimers()
const random = createSystemRandom()
const server = await startPostgres()
const directory = mkdtempSync(join(tmpdir(), 'cidery-copy-'))
const signer = createSigner({ keyFile: join(directory, 'journal.key'), random })
let files = 0
afterAll(async () => {
  await server.stop()
  rmSync(directory, { recursive: true })
})

/** A state with rows in every table, more than a page of events, and a journal that verifies. */
async function openSource(): Promise<MigratableStore> {
  files += 1
  const store = await createSqliteStore({ path: join(directory, `state-${files}.db`), clock, timers })
  const release = the(releases.at(-1))
  await store.exclusively((tx) =>
    buildRelease(tx, { ...release, rows: { ...release.rows, events: [], checkpoints: [], lead: [] } }, 'sqlite'),
  )
  await migrate(store, { clock })
  for (let epoch = 1; epoch <= 2; epoch += 1) {
    await store.write((tx) => takeLead(tx, { holder: `ctl_${epoch}`, now: clock.now(), ttl: 60_000, alone: true }))
    const event = {
      kind: 'job.ended',
      at: 1,
      actor: 'ä',
      subject: 'job/job_1',
      origin: null,
      result: 'ok',
      data: { text: 'ü\n"' },
    } as const
    await store.write((tx) =>
      appendEvents(
        tx,
        epoch,
        Array.from({ length: 700 }, () => event),
      ),
    )
    await store.write((tx) => sealEvents(tx, { epoch, now: clock.now(), signer }))
  }
  return store
}

async function openTarget(): Promise<{ readonly target: MigratableStore; readonly url: string }> {
  const url = await server.createDatabase()
  return { url, target: await createPostgresStore({ url, timers, random }) }
}

async function rowsOf(store: MigratableStore, table: string): Promise<readonly unknown[]> {
  const { rows } = await store.read((db) => sql`select * from ${sql.table(table)} order by 1, 2`.execute(db))
  return rows.map((row) => ({ ...(row as object) }))
}

const optionsOf = (source: MigratableStore, target: MigratableStore): CopyOptions => ({
  source,
  target,
  signer,
  clock,
  targetName: 'postgres://db/cidery',
  dryRun: false,
})

describe('a copy of a state', () => {
  it('has every row of every table and a whole journal, and the next leader has a higher epoch', async () => {
    const source = await openSource()
    const { target } = await openTarget()
    const copied = await copyState(optionsOf(source, target))
    const counts = new Map(copied.tables.map(({ name, rows }) => [name, rows]))
    for (const table of copiedTables) {
      if (table === 'meta' || table === 'lead' || table === 'events') continue
      const rows = await rowsOf(source, table)
      expect([table, rows.length > 0]).toEqual([table, true])
      expect(await rowsOf(target, table)).toEqual(rows)
      expect(counts.get(table)).toBe(rows.length)
    }
    const sealed = (rows: readonly unknown[]) => rows.filter((row) => (row as { number: number | null }).number !== null)
    expect(sealed(await rowsOf(target, 'events'))).toEqual(sealed(await rowsOf(source, 'events')))
    expect(await rowsOf(target, 'meta')).toContainEqual({ key: 'installation_id', value: 'ins-1' })
    expect(await rowsOf(target, 'lead')).toMatchObject([{ epoch: 2, expires_at: 0 }])
    expect(await verifyJournal(target, { signer })).toMatchObject({ ok: true, last: 1400, checked: 1400 })
    expect(await target.write((tx) => takeLead(tx, { holder: 'ctl_3', now: clock.now(), ttl: 1000 }))).toMatchObject({ epoch: 3 })
    await target.write((tx) => sealEvents(tx, { epoch: 3, now: clock.now(), signer }))
    expect((await rowsOf(target, 'events')).at(-1)).toMatchObject({ kind: 'state.copied', number: 1401 })

    await expect(refuseMoved(source)).rejects.toMatchObject({ code: 'CONFLICT', message: 'this state was moved to postgres://db/cidery' })
    await forgetMoved(source)
    await refuseMoved(source)
    await Promise.all([source.close(), target.close()])
  })

  it('is only counted on a dry run: neither side changes', async () => {
    const source = await openSource()
    const { target } = await openTarget()
    const copied = await copyState({ ...optionsOf(source, target), dryRun: true })
    expect(copied.tables.find(({ name }) => name === 'events')).toEqual({ name: 'events', rows: 1400 })
    expect(await readSchemaNumber(target)).toBe(0)
    await refuseMoved(source)
    await Promise.all([source.close(), target.close()])
  })

  it('is refused for a target that holds anything, and leaves it as it was', async () => {
    const source = await openSource()
    const { target } = await openTarget()
    await migrate(target, { clock })
    await target.write((tx) => tx.insertInto('blobs').values({ digest: 'd', size_bytes: 1, created_at: 1, last_used_at: 1 }).execute())
    await expect(copyState(optionsOf(source, target))).rejects.toMatchObject({
      code: 'CONFLICT',
      message: 'the target is not empty: there are rows in blobs',
    })
    expect(await rowsOf(target, 'jobs')).toEqual([])
    await refuseMoved(source)
    await Promise.all([source.close(), target.close()])
  })

  it('goes on where one before it died after making the tables', async () => {
    const source = await openSource()
    const { target } = await openTarget()
    await migrate(target, { clock })
    expect((await copyState(optionsOf(source, target))).schema).toBe(schemaNumber)
    await Promise.all([source.close(), target.close()])
  })

  it('is refused for a journal that somebody changed, and nothing is copied', async () => {
    const source = await openSource()
    const { target } = await openTarget()
    await source.write((tx) => tx.updateTable('events').set({ doc: '{}' }).where('number', '=', 700).execute())
    await expect(copyState(optionsOf(source, target))).rejects.toMatchObject({ code: 'JOURNAL_BROKEN' })
    expect(await readSchemaNumber(target)).toBe(0)
    await Promise.all([source.close(), target.close()])
  })

  it('leaves nothing behind when the target refuses a row', async () => {
    const source = await openSource()
    const { target } = await openTarget()
    // PostgreSQL has no character 0 in its text.
    await source.write((tx) => tx.updateTable('uploads').set({ principal: 'a\u0000b' }).execute())
    await expect(copyState(optionsOf(source, target))).rejects.toThrow('the database refused a statement')
    for (const table of copiedTables) if (table !== 'meta') expect(await rowsOf(target, table)).toEqual([])
    await refuseMoved(source)
    await Promise.all([source.close(), target.close()])
  })

  it('knows every table that there is', async () => {
    const source = await openSource()
    const { rows } = await source.read((db) =>
      sql<{ name: string }>`select name from sqlite_schema where type = 'table' and name not like 'sqlite_%'`.execute(db),
    )
    expect(rows.map(({ name }) => name).toSorted()).toEqual([...copiedTables].toSorted())
    await source.close()
  })
})
