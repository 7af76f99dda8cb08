import type { Instant, Milliseconds } from '../model/instant.ts'
import type { Blobs } from '../ports/blobs.ts'
import type { Reader } from '../ports/store.ts'
import { digestsOfJob, hasBlob, removeUpload, uploadsBefore } from './blobs.ts'
import type { Recorder, RecordTx } from './commit.ts'
import { digestsOfRecipes } from './image-recipes.ts'
import { digestsOfOperation } from './operations.ts'
import { jobOf, operationOf } from './rows.ts'

export interface RetentionLimits {
  readonly logRetention: Milliseconds
  readonly artifactRetention: Milliseconds
  readonly historyRetention: Milliseconds
}

export interface RetentionPorts {
  readonly recorder: Recorder
  readonly blobs: Blobs
  readonly now: Instant
  /** Runs a removal in a transaction that only the leader may make. */
  readonly write: <T>(work: (tx: RecordTx) => Promise<T>) => Promise<T>
}

export interface Removed {
  readonly jobs: number
  readonly operations: number
  readonly logs: number
  readonly blobs: number
  readonly uploads: number
}

/** Rows removed in one transaction. */
const batch = 500
/** An upload that was not finished within this is given up. */
const uploadPatience = 24 * 60 * 60 * 1000

/** Removes what is older than the spec keeps it: history, logs, artifacts and sources, uploads that were given up. What a live job needs stays. */
export async function removeOld(ports: RetentionPorts, limits: RetentionLimits): Promise<Removed> {
  const { now } = ports
  return {
    jobs: await repeat(() => ports.write((tx) => removeJobs(tx, now - limits.historyRetention))),
    operations: await repeat(() => ports.write((tx) => removeOperations(tx, now - limits.historyRetention))),
    logs: await removeLogs(ports, now - limits.logRetention),
    blobs: await removeBlobs(ports, now - limits.artifactRetention),
    uploads: await removeUploads(ports, now - uploadPatience),
  }
}

async function repeat(removeBatch: () => Promise<number>): Promise<number> {
  let all = 0
  for (;;) {
    const removed = await removeBatch()
    all += removed
    if (removed < batch) return all
  }
}

async function removeJobs(tx: RecordTx, before: Instant): Promise<number> {
  const rows = await tx.db
    .selectFrom('jobs')
    .select('id')
    .where('ended_at', '<', before)
    .orderBy('ended_at')
    .orderBy('id')
    .limit(batch)
    .execute()
  const ids = rows.map(({ id }) => id)
  if (ids.length === 0) return 0
  await tx.db.deleteFrom('attempts').where('job_id', 'in', ids).execute()
  await tx.db.deleteFrom('jobs').where('id', 'in', ids).execute()
  return ids.length
}

async function removeOperations(tx: RecordTx, before: Instant): Promise<number> {
  const rows = await tx.db
    .selectFrom('operations')
    .select('id')
    .where('ended_at', '<', before)
    .orderBy('ended_at')
    .orderBy('id')
    .limit(batch)
    .execute()
  const ids = rows.map(({ id }) => id)
  if (ids.length > 0) await tx.db.deleteFrom('operations').where('id', 'in', ids).execute()
  await tx.db.deleteFrom('sandboxes').where('state', '=', 'gone').where('created_at', '<', before).execute()
  // Builds that did not fail are removed by the policy of their image.
  await tx.db.deleteFrom('builds').where('state', '=', 'failed').where('ended_at', '<', before).execute()
  return ids.length
}

async function removeLogs(ports: RetentionPorts, before: Instant): Promise<number> {
  let removed = 0
  for await (const { name, changedAt } of ports.blobs.list('logs/')) {
    if (changedAt >= before) continue
    const id = name.slice('logs/'.length)
    if (await ports.recorder.read((db) => isLive(db, id))) continue
    await ports.blobs.remove(name)
    removed += 1
  }
  return removed
}

/** Attempts and builds have logs. */
async function isLive(db: Reader, id: string): Promise<boolean> {
  const table = id.startsWith('bld_') ? 'builds' : 'attempts'
  const row = await db.selectFrom(table).select('ended_at').where('id', '=', id).executeTakeFirst()
  return row !== undefined && row.ended_at === null
}

/** The row goes first: bytes without a row are sent again, a row without bytes would promise what is not there. */
async function removeBlobs(ports: RetentionPorts, before: Instant): Promise<number> {
  const old = await ports.write(async (tx) => {
    const needed = new Set([
      ...(await digestsOfLiveJobs(tx.db)),
      ...(await digestsOfLiveOperations(tx.db)),
      ...(await digestsOfRecipes(tx.db)),
    ])
    const rows = await tx.db.selectFrom('blobs').select('digest').where('last_used_at', '<', before).orderBy('digest').execute()
    const digests = rows.map(({ digest }) => digest).filter((digest) => !needed.has(digest))
    for (let start = 0; start < digests.length; start += batch) {
      await tx.db
        .deleteFrom('blobs')
        .where('digest', 'in', digests.slice(start, start + batch))
        .execute()
    }
    return digests
  })
  for (const digest of old) {
    // Somebody may have sent them again meanwhile.
    if (await ports.recorder.read((db) => hasBlob(db, digest))) continue
    await ports.blobs.remove(`sha256/${digest}`)
  }
  return old.length
}

async function digestsOfLiveJobs(db: Reader): Promise<ReadonlySet<string>> {
  const rows = await db.selectFrom('jobs').selectAll().where('ended_at', 'is', null).orderBy('id').execute()
  return new Set(rows.flatMap((row) => digestsOfJob(jobOf(row).resolved.spec)))
}

async function digestsOfLiveOperations(db: Reader): Promise<readonly string[]> {
  const rows = await db.selectFrom('operations').selectAll().where('ended_at', 'is', null).orderBy('id').execute()
  return rows.flatMap((row) => digestsOfOperation(operationOf(row).request))
}

async function removeUploads(ports: RetentionPorts, before: Instant): Promise<number> {
  const ids = await ports.recorder.read((db) => uploadsBefore(db, before))
  for (const id of ids) {
    await ports.blobs.remove(`uploads/${id}`)
    await ports.write((tx) => removeUpload(tx.db, id))
  }
  return ids.length
}
