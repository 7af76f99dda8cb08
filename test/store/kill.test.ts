import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { createSystemClock } from '../../src/drivers/clocks/system-clock.ts'
import { createSystemTimers } from '../../src/drivers/clocks/system-timers.ts'
import { createSystemRandom } from '../../src/drivers/randoms/system-random.ts'
import { createPostgresStore } from '../../src/drivers/stores/postgres/postgres-store.ts'
import { createSqliteStore } from '../../src/drivers/stores/sqlite/sqlite-store.ts'
import type { MigratableStore } from '../../src/ports/store.ts'
import { startLineProcess, type LineProcess } from './line-process.ts'
import { startPostgres } from './postgres-server.ts'

const clock = createSystemClock()
const timers = createSystemTimers()
const random = createSystemRandom()
const rounds = 4

const server = await startPostgres()
const directory = mkdtempSync(join(tmpdir(), 'cidery-kill-'))
const writers = new Set<LineProcess>()
afterAll(async () => {
  await Promise.all([...writers].map((writer) => writer.kill()))
  await server.stop()
  rmSync(directory, { recursive: true })
})

async function writeUntil(
  env: Readonly<Record<string, string>>,
  run: number,
  end: (writer: LineProcess) => Promise<void>,
): Promise<readonly string[]> {
  const writer = startLineProcess('writer.child.ts', [String(run)], env)
  writers.add(writer)
  await writer.next('ready')
  for (let i = 0; i < 3; i += 1) await writer.next('ack')
  // At any moment of a write: before, in and after its commit.
  await new Promise((resolve) => void setTimeout(resolve, random.fraction() * 60))
  await end(writer)
  await writer.kill()
  writers.delete(writer)
  return writer.lines
    .filter((line) => line.startsWith('ack '))
    .flatMap((line) =>
      line
        .slice(4)
        .split(' ')
        .map((i) => `${run}-${i}`),
    )
}

async function keysOf(store: MigratableStore): Promise<ReadonlySet<string>> {
  const rows = await store.read((db) => db.selectFrom('meta').select('key').execute())
  return new Set(rows.map((row) => row.key))
}

function expectWhole(keys: ReadonlySet<string>, acknowledged: readonly string[]): void {
  expect(acknowledged.length).toBeGreaterThan(50)
  expect(acknowledged.filter((key) => !keys.has(`a-${key}`) || !keys.has(`b-${key}`))).toEqual([])
  const halves = [...keys].filter((key) => /^[ab]-/.test(key) && !keys.has((key.startsWith('a') ? 'b' : 'a') + key.slice(1)))
  expect(halves).toEqual([])
}

describe('kill -9', () => {
  it('of the controller loses no write that SQLite acknowledged, and leaves none half done', async () => {
    const path = join(directory, 'state.db')
    const acknowledged: string[] = []
    for (let run = 0; run < rounds; run += 1) {
      acknowledged.push(...(await writeUntil({ STORE_PATH: path }, run, (writer) => writer.kill())))
      const store = await createSqliteStore({ path, clock, timers })
      expectWhole(await keysOf(store), acknowledged)
      await store.close()
    }
  })

  it('of the controller loses no write that PostgreSQL acknowledged, and leaves none half done', async () => {
    const url = await server.createDatabase()
    const acknowledged: string[] = []
    for (let run = 0; run < rounds; run += 1) {
      acknowledged.push(...(await writeUntil({ STORE_URL: url }, run, (writer) => writer.kill())))
      const store = await createPostgresStore({ url, timers, random })
      expectWhole(await keysOf(store), acknowledged)
      await store.close()
    }
  })

  it('of the whole database server loses no acknowledged write either', async () => {
    const url = await server.createDatabase()
    const acknowledged: string[] = []
    for (let run = 0; run < rounds; run += 1) {
      acknowledged.push(...(await writeUntil({ STORE_URL: url }, run, () => server.kill())))
      await server.start()
      const store = await createPostgresStore({ url, timers, random })
      expectWhole(await keysOf(store), acknowledged)
      await store.close()
    }
  })
})
