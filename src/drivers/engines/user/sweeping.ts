import { CideryError } from '../../../model/errors.ts'
import type { SweepReport } from '../../../ports/engine.ts'
import type { RecordStore } from '../records.ts'
import type { FoundAccount, Isolation, Removed } from './isolation.ts'
import type { SandboxRecord } from './record.ts'
import type { UserEngineConfig } from './settings.ts'

/** What a sweep works with. */
export interface Sweeper {
  readonly config: UserEngineConfig
  readonly isolation: Isolation
  readonly records: RecordStore<SandboxRecord>
  remove(record: SandboxRecord): Promise<Removed>
  underLock<T>(work: () => Promise<T>): Promise<T>
}

class Report {
  readonly #sandboxes: string[] = []
  readonly #accounts: string[] = []
  readonly #failures: string[] = []
  #processes = 0
  #bytes = 0

  async removing(what: { readonly sandbox?: string; readonly account?: string }, work: () => Promise<Removed>): Promise<void> {
    try {
      const { processes, bytes } = await work()
      this.#processes += processes
      this.#bytes += bytes
      if (what.sandbox !== undefined) this.#sandboxes.push(what.sandbox)
      if (what.account !== undefined) this.#accounts.push(what.account)
    } catch (error) {
      this.#failures.push(error instanceof Error ? error.message : String(error))
    }
  }

  result(): SweepReport {
    return {
      sandboxes: this.#sandboxes,
      accounts: this.#accounts,
      processes: this.#processes,
      bytes: this.#bytes,
      failures: this.#failures,
    }
  }
}

/** The record that an account without one would have had: enough to clean up by. */
function recordFor(config: UserEngineConfig, { name, uid }: FoundAccount): SandboxRecord {
  return {
    id: `lost_${name.slice(config.prefix.length)}`,
    jobId: '',
    account: name,
    uid,
    home: `${config.homeRoot}/${name}`,
    shape: { cpu: 1, memoryMiB: 1, diskMiB: 0 },
    limits: 'advisory',
    network: 'none',
    blockedAddresses: [],
    mount: null,
    networkSlot: null,
    phase: 'removing',
    createdAt: 0,
    holder: null,
    residue: [],
    notes: [],
  }
}

/** Removes every sandbox that is not to be kept, and every account, storage and group of the engine that no record speaks of. */
export async function sweepSandboxes(sweeper: Sweeper, keep: ReadonlySet<string>): Promise<SweepReport> {
  const { config, isolation, records } = sweeper
  const report = new Report()
  records.removeParts()
  for (const record of records.list().filter(({ id }) => !keep.has(id))) {
    await report.removing({ sandbox: record.id, account: record.account }, () => sweeper.remove(record))
  }
  // Under the lock no create is half-way: whatever has no record now never gets one.
  const lost = await sweeper.underLock(async () => {
    const known = new Set(records.list().map(({ account }) => account))
    return (await isolation.accounts()).filter(({ name }) => !known.has(name)).map((account) => records.put(recordFor(config, account)))
  })
  for (const record of lost) await report.removing({ account: record.account }, () => sweeper.remove(record))
  await sweeper.underLock(async () => {
    const known = new Set(records.list().map(({ account }) => account))
    for (const name of await isolation.strays(known)) {
      await report.removing({}, async () => {
        await isolation.removeStray(name)
        return { processes: 0, bytes: 0, left: [] }
      })
    }
    if (!records.list().some(({ network }) => network === 'nat')) await isolation.restoreHost()
  })
  return report.result()
}

/** Removes one account and all that it left. FORBIDDEN for a name or UID that is not the engine's: a person's account is never touched. */
export async function cleanAccount(sweeper: Sweeper, account: string): Promise<SweepReport> {
  const { config, isolation, records } = sweeper
  if (!account.startsWith(config.prefix)) {
    throw new CideryError('FORBIDDEN', `${account} is not an account of cidery`, { hint: `accounts of jobs start with ${config.prefix}` })
  }
  const report = new Report()
  const recorded = records.list().find((record) => record.account === account)
  const found = (await isolation.accounts()).find(({ name }) => name === account)
  if (recorded === undefined && found === undefined) {
    throw new CideryError('NOT_FOUND', `there is no account ${account} of cidery on this host`, { hint: 'cidery host clean --all' })
  }
  const record = recorded ?? records.put(recordFor(config, found ?? { name: account, uid: config.firstUid }))
  await report.removing({ account, ...(recorded === undefined ? {} : { sandbox: record.id }) }, () => sweeper.remove(record))
  return report.result()
}
