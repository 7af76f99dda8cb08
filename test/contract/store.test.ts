import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSystemClock } from '../../src/drivers/clocks/system-clock.ts'
import { createSystemTimers } from '../../src/drivers/clocks/system-timers.ts'
import { createSqliteStore } from '../../src/drivers/stores/sqlite/sqlite-store.ts'
import { describeStore } from './store-suite.ts'

const clock = createSystemClock()
const timers = createSystemTimers()

describeStore({
  name: 'SQLite in memory',
  async open(limits) {
    const store = await createSqliteStore({ path: ':memory:', clock, timers, ...(limits && { limits }) })
    return { store, dispose: () => store.close() }
  },
})

describeStore({
  name: 'SQLite file',
  async open(limits) {
    const directory = mkdtempSync(join(tmpdir(), 'cidery-store-'))
    const store = await createSqliteStore({ path: join(directory, 'state.db'), clock, timers, ...(limits && { limits }) })
    return {
      store,
      async dispose() {
        await store.close()
        rmSync(directory, { recursive: true })
      },
    }
  },
})
