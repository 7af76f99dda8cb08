import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createSystemClock } from '../../src/drivers/clocks/system-clock.ts'
import { createSystemTimers } from '../../src/drivers/clocks/system-timers.ts'
import { createKernelLock } from '../../src/drivers/locks/kernel-lock.ts'
import { createSqliteStore, type SqliteStoreOptions } from '../../src/drivers/stores/sqlite/sqlite-store.ts'
import type { MigratableStore } from '../../src/ports/store.ts'
import { migrate } from '../../src/record/migrate.ts'
import { setMeta } from '../contract/store-suite.ts'
import { startLineProcess } from './line-process.ts'

const clock = createSystemClock()
const timers = createSystemTimers()
let directory: string
let path: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cidery-sqlite-'))
  path = join(directory, 'state.db')
})
afterEach(() => rmSync(directory, { recursive: true }))

async function open(more: Partial<SqliteStoreOptions> = {}): Promise<MigratableStore> {
  const store = await createSqliteStore({ path, clock, timers, ...more })
  await migrate(store, { clock })
  return store
}

describe('a SQLite store on the disk', () => {
  it('lets nobody else look in', async () => {
    const store = await open()
    await store.write((tx) => setMeta(tx, 'a', 'b'))
    for (const name of readdirSync(directory))
      expect({ name, mode: statSync(join(directory, name)).mode & 0o777 }).toEqual({ name, mode: 0o600 })
    await store.close()
    expect(readdirSync(directory)).toEqual(['state.db'])
  })

  it('keeps a second controller out for as long as the first lives', async () => {
    const lock = createKernelLock()
    const store = await open({ lock })
    await expect(open({ lock })).rejects.toMatchObject({ code: 'CONTROLLER_LOCKED' })
    const other = startLineProcess('lock.child.ts', [`${path}.lock`, '--start'])
    other.say('take')
    expect(await other.next('refused')).toContain(`pid ${process.pid}`)
    await other.ended
    await store.write((tx) => setMeta(tx, 'still', 'mine'))
    await store.close()
    const next = await open({ lock })
    await next.close()
  })

  it('waits while another program holds the database, without standing still', async () => {
    const store = await open()
    const shell = new DatabaseSync(path)
    shell.exec('begin immediate')
    let turns = 0
    const count = setInterval(() => (turns += 1), 10)
    const writing = store.write((tx) => setMeta(tx, 'waited', 'x'))
    setTimeout(() => shell.exec('commit'), 700)
    await writing
    clearInterval(count)
    expect(turns).toBeGreaterThan(5)
    shell.close()
    await store.close()
  })

  it('gives up a write after a bounded time when the other program does not let go, and serves reads meanwhile', async () => {
    const store = await open()
    const shell = new DatabaseSync(path)
    shell.exec('begin immediate')
    const writing = store.write((tx) => setMeta(tx, 'never', 'x')).catch((error: unknown) => error)
    expect(await store.read((db) => db.selectFrom('meta').select('key').where('key', '=', 'schema').execute())).toHaveLength(1)
    expect(await writing).toMatchObject({ code: 'UNAVAILABLE' })
    shell.exec('rollback')
    shell.close()
    await store.write((tx) => setMeta(tx, 'again', 'x'))
    await store.close()
  })

  it('refuses a file that is no database, by name', async () => {
    spawnSync('/bin/sh', ['-c', 'head -c 8192 /dev/urandom > "$1"', 'sh', path])
    await expect(open()).rejects.toMatchObject({ code: 'INTERNAL' })
    expect(existsSync(`${path}.lock`)).toBe(false)
  })
})

describe('a full disk', () => {
  it('refuses the writes that do not fit with STORAGE_FULL, keeps what was there, and goes on when there is room', (context) => {
    if (process.platform !== 'linux' || process.getuid?.() !== 0) context.skip('mounting a small disk needs root on Linux')
    const script = join(import.meta.dirname, 'full-disk.child.ts')
    const run = spawnSync('unshare', ['--mount', '--propagation', 'private', process.execPath, script, directory], {
      encoding: 'utf8',
      timeout: 60_000,
    })
    expect({ status: run.status, error: run.stderr }).toEqual({ status: 0, error: '' })
    const said = JSON.parse(run.stdout) as { first: string; answers: string[]; kept: number; after: string; present: number }
    expect(said).toMatchObject({ first: 'stored', after: 'stored', present: 2 })
    expect(new Set(said.answers)).toEqual(new Set(['stored', 'STORAGE_FULL']))
    expect(said.kept).toBe(said.answers.filter((answer) => answer === 'stored').length)
  })
})
