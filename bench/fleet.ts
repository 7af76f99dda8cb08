import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createSystemClock } from '../src/drivers/clocks/system-clock.ts'
import { createSystemTimers } from '../src/drivers/clocks/system-timers.ts'
import { createIds } from '../src/drivers/randoms/ids.ts'
import { createSystemRandom } from '../src/drivers/randoms/system-random.ts'
import { createPostgresStore } from '../src/drivers/stores/postgres/postgres-store.ts'
import { createSqliteStore } from '../src/drivers/stores/sqlite/sqlite-store.ts'
import type { Labels } from '../src/model/shape.ts'
import { chunks } from '../src/record/chunks.ts'
import { migrate } from '../src/record/migrate.ts'
import { hostDoc } from '../src/record/rows.ts'
import { apiOf, type Api } from '../test/e2e/api.ts'
import { freePort } from '../test/e2e/free-port.ts'
import { controllerOf, startCidery, temporaryDirectory } from '../test/e2e/processes.ts'
import type { BenchHost } from './agents.ts'

export interface BenchFleet {
  readonly api: Api
  readonly port: number
  readonly pid: number
  readonly stateDir: string
  readonly hosts: readonly BenchHost[]
  /** Ends the controller and removes its state. */
  remove(): Promise<void>
}

export interface BenchFleetOptions {
  readonly hosts: number
  readonly labels?: (number: number) => Labels
  /** URL of an empty PostgreSQL database; default: SQLite. */
  readonly postgres?: string
}

/** A real controller process with a fleet whose hosts are enrolled and have not reported yet. They are written by the controller's own store. */
export async function startBenchFleet(options: BenchFleetOptions): Promise<BenchFleet> {
  const directory = await temporaryDirectory('bench')
  const stateDir = join(directory.path, 'state')
  mkdirSync(stateDir, { mode: 0o700 })
  const hosts = await seed(options, join(stateDir, 'state.db'))
  const port = await freePort()
  const env: Record<string, string> = {
    CIDERY_STATE: stateDir,
    ...(options.postgres === undefined ? {} : { CIDERY_STORE_URL: options.postgres }),
  }
  // CIDERY_BENCH_PROFILE=folder: where the time goes, for `node --cpu-prof` viewers.
  const profile = process.env['CIDERY_BENCH_PROFILE']
  if (profile !== undefined) env['NODE_OPTIONS'] = `--cpu-prof --cpu-prof-dir=${profile}`
  const running = startCidery(['controller', 'run', '--state', stateDir, '--listen', `127.0.0.1:${port}`], {
    env,
    logFile: join(directory.path, 'log'),
  })
  const remove = async (): Promise<void> => {
    await running.stop()
    rmSync(directory.path, { recursive: true, force: true })
  }
  try {
    const address = await controllerOf(stateDir, running)
    return { api: apiOf(() => address), port, pid: running.child.pid ?? 0, stateDir, hosts, remove }
  } catch (error) {
    const log = readFileSync(join(directory.path, 'log'), 'utf8')
    await remove()
    throw new Error(`the controller did not start: ${log.slice(-2000)}`, { cause: error })
  }
}

async function seed(options: BenchFleetOptions, path: string): Promise<readonly BenchHost[]> {
  const [clock, timers, random] = [createSystemClock(), createSystemTimers(), createSystemRandom()]
  const ids = createIds(clock, random)
  const store =
    options.postgres === undefined
      ? await createSqliteStore({ path, clock, timers })
      : await createPostgresStore({ url: options.postgres, timers, random })
  const hosts: BenchHost[] = Array.from({ length: options.hosts }, (_, index) => ({
    id: ids.next('host'),
    name: `host-${String(index + 1).padStart(5, '0')}`,
    key: `cidery_key_${randomBytes(32).toString('base64url')}`,
  }))
  try {
    await migrate(store, { clock })
    await store.write(async (db) => {
      for (const part of chunks([...hosts.entries()], 500)) {
        const rows = part.map(([number, { id, name, key }]) => ({
          id,
          name,
          pool: 'default',
          state: 'enrolled',
          generation: 1,
          desired_generation: 1,
          last_seen_at: null,
          boot_id: null,
          key_hash: createHash('sha256').update(key).digest('hex'),
          next_key_hash: null,
          enrolled_at: clock.now(),
          doc: hostDoc({
            labels: options.labels?.(number) ?? {},
            schedulable: { kind: 'open' },
            facts: null,
            failureStreak: 0,
            repairedAt: null,
          }),
        }))
        await db.insertInto('hosts').values(rows).execute()
      }
    })
  } finally {
    await store.close()
  }
  return hosts
}
