import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { createSystemClock } from '../../src/drivers/clocks/system-clock.ts'
import { createSystemTimers } from '../../src/drivers/clocks/system-timers.ts'
import { createSystemRandom } from '../../src/drivers/randoms/system-random.ts'
import { createSigner } from '../../src/drivers/secrets/signer.ts'
import { createSqliteStore } from '../../src/drivers/stores/sqlite/sqlite-store.ts'
import { describeJournal } from './journal-suite.ts'

const directory = mkdtempSync(join(tmpdir(), 'cidery-journal-'))
afterAll(() => rmSync(directory, { recursive: true }))

describeJournal({
  name: 'SQLite',
  signer: createSigner({ keyFile: join(directory, 'journal.key'), random: createSystemRandom() }),
  open: () => createSqliteStore({ path: ':memory:', clock: createSystemClock(), timers: createSystemTimers() }),
  runs: 300,
})
