import type { Host, HostFacts } from '../model/host.ts'
import type { Milliseconds } from '../model/instant.ts'
import type { BuildAcknowledgement, SyncRequest, SyncResponse } from '../model/sync.ts'
import type { Reader } from '../ports/store.ts'
import { recordAttemptReport } from './attempts.ts'
import { recordBuildReport } from './builds.ts'
import type { Author, Recorder, RecordTx } from './commit.ts'
import { compiledOnce } from './compiled.ts'
import { findHostRow, recordHostReport } from './hosts.ts'
import { recordOperationReport } from './operations.ts'
import type { HostRow } from './rows.ts'
import { recordSandboxReports } from './sandboxes.ts'

/** A host's row, and what an answer to the host hangs on beside it. */
export type PolledHost = HostRow & {
  /** Of the lead; null before anybody led. */
  readonly lead_epoch: number | null
  /** One that has not ended; null: there is none. */
  readonly live_operation: string | null
}

/** What an answer to a host goes by, in one statement: beside another controller every poll asks. */
export async function findPolledHost(db: Reader, id: string): Promise<PolledHost | undefined> {
  return (await polledHost(db, id))[0]
}

const polledHost = compiledOnce((db: Reader, id: string) =>
  db
    .selectFrom('hosts')
    .selectAll('hosts')
    .select((eb) => [
      eb.selectFrom('lead').select('epoch').where('lead.id', '=', 1).as('lead_epoch'),
      eb
        .selectFrom('operations')
        .select('operations.id')
        .whereRef('operations.host_id', '=', 'hosts.id')
        .where('operations.ended_at', 'is', null)
        .orderBy('operations.id')
        .limit(1)
        .as('live_operation'),
    ])
    .where('hosts.id', '=', id),
)

/** What one sync brought, put into the controller's time. */
export interface HostReport {
  readonly hostId: string
  readonly bootId: string
  readonly facts: HostFacts | null
  readonly attempts: SyncRequest['attempts']
  readonly operations: SyncRequest['operations']
  readonly sandboxes: SyncRequest['sandboxes']
  readonly builds: NonNullable<SyncRequest['builds']>
  readonly retryDelayMs: Milliseconds
  /** Attempts that the host was told to end before. */
  readonly knownUnwanted: ReadonlySet<string>
}

export interface StoredReport {
  readonly host: Host
  readonly acknowledged: SyncResponse['acknowledged']
  /** Attempts that the host still runs though they are over here. */
  readonly unwanted: readonly string[]
}

/**
 * Stores what a host reported, in one commit, before it is answered. Reports come before the boot id, so that what an earlier boot is known to have
 * finished counts as finished and not as lost. Null when the host is not in the fleet.
 */
export async function recordReport(recorder: Recorder, author: Author, report: HostReport): Promise<StoredReport | null> {
  return recorder.write(author, (tx) => storeReport(tx, report))
}

async function storeReport(tx: RecordTx, report: HostReport): Promise<StoredReport | null> {
  const row = await findHostRow(tx.db, report.hostId)
  if (row === undefined || row.state === 'retired') return null
  const { attempts, unwanted } = await storeAttempts(tx, report)
  const operations: SyncResponse['acknowledged']['operations'][number][] = []
  for (const operation of report.operations) operations.push(await recordOperationReport(tx, report.hostId, operation))
  const builds: BuildAcknowledgement[] = []
  for (const build of report.builds) builds.push(await recordBuildReport(tx, report.hostId, build))
  await recordSandboxReports(tx, report.hostId, { reports: report.sandboxes, held: report.facts?.sandboxes ?? null })
  // Only what came of attempts and operations can have changed the host meanwhile.
  const isAsRead = report.attempts.length === 0 && report.operations.length === 0 && report.builds.length === 0
  const fresh = isAsRead ? row : await findHostRow(tx.db, report.hostId)
  const host = await recordHostReport(tx, fresh ?? row, report)
  return { host, acknowledged: { attempts, operations, ...(builds.length === 0 ? {} : { builds }) }, unwanted }
}

async function storeAttempts(
  tx: RecordTx,
  report: HostReport,
): Promise<{ readonly attempts: SyncResponse['acknowledged']['attempts']; readonly unwanted: readonly string[] }> {
  const attempts: SyncResponse['acknowledged']['attempts'][number][] = []
  const unwanted: string[] = []
  for (const attempt of report.attempts) {
    const stored = await recordAttemptReport(tx, attempt, report)
    if (stored.acknowledged !== null) attempts.push(stored.acknowledged)
    if (!stored.unwanted) continue
    unwanted.push(attempt.id)
    // Told once: it is part of what the host should look like from now on.
    if (!report.knownUnwanted.has(attempt.id)) tx.desire(report.hostId)
  }
  return { attempts, unwanted }
}
