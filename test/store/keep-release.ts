// Writes the schema of this release to test/store/fixtures, where the upgrade test of every later release finds it. Run it once when a
// release is made: `node test/store/keep-release.ts`. Before its release a schema may be kept again; afterwards never.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createSystemClock } from '../../src/drivers/clocks/system-clock.ts'
import { createSystemTimers } from '../../src/drivers/clocks/system-timers.ts'
import { createSystemRandom } from '../../src/drivers/randoms/system-random.ts'
import { createPostgresStore } from '../../src/drivers/stores/postgres/postgres-store.ts'
import { createSqliteStore } from '../../src/drivers/stores/sqlite/sqlite-store.ts'
import { migrate, schemaNumber } from '../../src/record/migrate.ts'
import { startPostgres } from './postgres-server.ts'
import { readSchemaText } from './schema-text.ts'

const clock = createSystemClock()
const timers = createSystemTimers()
const fixtures = join(import.meta.dirname, 'fixtures')
mkdirSync(fixtures, { recursive: true })

const server = await startPostgres()
try {
  const stores = [
    await createSqliteStore({ path: ':memory:', clock, timers }),
    await createPostgresStore({ url: await server.createDatabase(), timers, random: createSystemRandom() }),
  ]
  for (const store of stores) {
    await migrate(store, { clock })
    const file = join(fixtures, `schema-${schemaNumber}.${store.kind}.sql`)
    writeFileSync(file, await store.read((db) => readSchemaText(db, store.kind)))
    console.log(`kept ${file}`)
    await store.close()
  }
} finally {
  await server.stop()
}
