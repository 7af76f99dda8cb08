import { afterAll } from 'vitest'
import { createSystemTimers } from '../../src/drivers/clocks/system-timers.ts'
import { createSystemRandom } from '../../src/drivers/randoms/system-random.ts'
import { createPostgresStore } from '../../src/drivers/stores/postgres/postgres-store.ts'
import { startPostgres } from '../store/postgres-server.ts'
import { describeStore } from './store-suite.ts'

const timers = createSystemTimers()
const random = createSystemRandom()
const server = await startPostgres()
afterAll(() => server.stop())

describeStore({
  name: 'PostgreSQL',
  async open(limits) {
    const url = await server.createDatabase()
    const options = { url, timers, random, ...(limits && { limits }) }
    const store = await createPostgresStore(options)
    return { store, openSecond: () => createPostgresStore(options), dispose: () => store.close() }
  },
})
