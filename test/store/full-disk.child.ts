// Fills a small disk with a SQLite store and says how that went, as one line of JSON: `node full-disk.child.ts DIRECTORY` in a mount
// namespace of its own, so that the disk goes with this process.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { createSystemClock } from '../../src/drivers/clocks/system-clock.ts'
import { createSystemTimers } from '../../src/drivers/clocks/system-timers.ts'
import { createSqliteStore } from '../../src/drivers/stores/sqlite/sqlite-store.ts'
import { migrate } from '../../src/record/migrate.ts'

const [directory = ''] = process.argv.slice(2)
if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'cidery-test', directory]).status !== 0) process.exit(77)

const clock = createSystemClock()
const store = await createSqliteStore({ path: join(directory, 'state.db'), clock, timers: createSystemTimers() })
await migrate(store, { clock })

async function write(key: string): Promise<string> {
  try {
    await store.write((tx) =>
      tx
        .insertInto('meta')
        .values({ key, value: 'x'.repeat(200_000) })
        .execute(),
    )
    return 'stored'
  } catch (error) {
    return (error as { code: string }).code
  }
}

const first = await write('first')
const answers: string[] = []
for (let group = 0; group < 8; group += 1)
  answers.push(...(await Promise.all(Array.from({ length: 5 }, (_, i) => write(`big${group}-${i}`)))))
const kept = await store.read((db) => db.selectFrom('meta').select('key').where('key', 'like', 'big%').execute())
spawnSync('mount', ['-o', 'remount,size=64m', directory])
const after = await write('after')
const present = await store.read((db) => db.selectFrom('meta').select('key').where('key', 'in', ['first', 'after']).execute())
await store.close()
console.log(JSON.stringify({ first, answers, kept: kept.length, after, present: present.length }))
