// Writes to a store until it is killed, and says which writes were acknowledged: `STORE_PATH=… | STORE_URL=… node writer.child.ts RUN`.
// Lines out: `ready`, `ack <numbers>`.
import { createInterface } from 'node:readline'
import { createSystemClock } from '../../src/drivers/clocks/system-clock.ts'
import { createSystemTimers } from '../../src/drivers/clocks/system-timers.ts'
import { createSystemRandom } from '../../src/drivers/randoms/system-random.ts'
import { createPostgresStore } from '../../src/drivers/stores/postgres/postgres-store.ts'
import { createSqliteStore } from '../../src/drivers/stores/sqlite/sqlite-store.ts'
import { migrate } from '../../src/record/migrate.ts'

const [run = '0'] = process.argv.slice(2)
const clock = createSystemClock()
const timers = createSystemTimers()
const url = process.env['STORE_URL']
const path = process.env['STORE_PATH'] ?? ''
const store =
  url === undefined
    ? await createSqliteStore({ path, clock, timers })
    : await createPostgresStore({ url, timers, random: createSystemRandom() })
await migrate(store, { clock })
createInterface({ input: process.stdin }).on('close', () => process.exit())
console.log('ready')

/** Each write makes two rows, so that half of one would show. */
async function write(i: number): Promise<number> {
  await store.write(async (tx) => {
    await tx
      .insertInto('meta')
      .values({ key: `a-${run}-${i}`, value: 'x'.repeat(200) })
      .execute()
    await tx
      .insertInto('meta')
      .values({ key: `b-${run}-${i}`, value: 'y' })
      .execute()
  })
  return i
}

for (let i = 0; ; i += 20) {
  const group = await Promise.all(Array.from({ length: 20 }, (_, n) => write(i + n)))
  console.log(`ack ${group.join(' ')}`)
}
