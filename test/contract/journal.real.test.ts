import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { createSystemTimers } from '../../src/drivers/clocks/system-timers.ts'
import { createSystemRandom } from '../../src/drivers/randoms/system-random.ts'
import { createSigner } from '../../src/drivers/secrets/signer.ts'
import { createPostgresStore } from '../../src/drivers/stores/postgres/postgres-store.ts'
import { startPostgres } from '../store/postgres-server.ts'
import { describeJournal } from './journal-suite.ts'

const random = createSystemRandom()
const directory = mkdtempSync(join(tmpdir(), 'cidery-journal-'))
const server = await startPostgres()
afterAll(async () => {
  await server.stop()
  rmSync(directory, { recursive: true })
})

describeJournal({
  name: 'PostgreSQL',
  signer: createSigner({ keyFile: join(directory, 'journal.key'), random }),
  open: async () => createPostgresStore({ url: await server.createDatabase(), timers: createSystemTimers(), random }),
  runs: 80,
})
