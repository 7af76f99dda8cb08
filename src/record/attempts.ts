import type { HostId } from '../model/id.ts'
import { minute, type Milliseconds } from '../model/instant.ts'
import type { Attempt, Job, Outcome } from '../model/job.ts'
import type { AttemptReport } from '../model/sync.ts'
import type { Reader } from '../ports/store.ts'
import { newAttempt, type Assignment } from './assignment.ts'
import { chunks } from './chunks.ts'
import type { Applied, RecordTx } from './commit.ts'
import { compiledOnce } from './compiled.ts'
import { countFailure, findHostRow } from './hosts.ts'
import { countAssigned, countEnded, isServedNow } from './image-promotion.ts'
import { endJob, findJob, saveJob } from './jobs.ts'
import { attemptOf, attemptRow, hostOf, type AttemptRow } from './rows.ts'

/** The longest wait between two tries of a job. */
const longestRetryDelay = 10 * minute

/** Gives a queued job to a host: job, attempt and the host's desired state change in one commit, or nothing does. */
export async function assignJob(tx: RecordTx, assignment: Assignment): Promise<Applied> {
  const job = await findJob(tx.db, assignment.jobId)
  if (job === null || !isAsDecided(job, assignment)) return 'stale'
  const row = await findHostRow(tx.db, assignment.hostId)
  if (row === undefined) return 'stale'
  const host = hostOf(row)
  const open = host.state === 'up' && host.schedulable.kind === 'open' && host.generation === assignment.hostGeneration
  if (!open || host.bootId === null || !(await isServedNow(tx.db, assignment.buildId))) return 'stale'
  const saved = await saveJob(tx, job, { state: 'assigned', attempts: job.attempts + 1 })
  if (saved === null) return 'stale'
  const attempt = newAttempt(assignment, { job: saved, host, bootId: host.bootId, now: tx.now })
  await tx.db
    .insertInto('attempts')
    .values(attemptRow(attempt, { revision: -1, endedAt: null }))
    .execute()
  if (attempt.buildId !== null) await countAssigned(tx, job.resolved.image, attempt.buildId)
  tx.touch('attempt', attempt.id)
  tx.desire(host.id)
  const build = attempt.buildId === null ? {} : { build: attempt.buildId }
  tx.note('job.assigned', `job/${job.id}`, {
    data: { attemptId: attempt.id, number: attempt.number, host: host.name, why: assignment.why, ...build },
  })
  return 'done'
}

function isAsDecided({ state, generation, cancelRequested }: Job, assignment: Assignment): boolean {
  return state === 'queued' && generation === assignment.jobGeneration && cancelRequested === null
}

export async function findAttemptRow(db: Reader, id: string): Promise<AttemptRow | undefined> {
  return (await attemptById(db, id))[0]
}

const attemptById = compiledOnce((db: Reader, id: string) => db.selectFrom('attempts').selectAll().where('id', '=', id))

export async function readLiveAttemptOfJob(db: Reader, jobId: string): Promise<Attempt | null> {
  const row = await db
    .selectFrom('attempts')
    .selectAll()
    .where('job_id', '=', jobId)
    .where('ended_at', 'is', null)
    .orderBy('id')
    .executeTakeFirst()
  return row === undefined ? null : attemptOf(row)
}

/** Attempts of some jobs, by job, each list in the order of the tries. */
export async function attemptsOfJobs(db: Reader, jobIds: readonly string[]): Promise<ReadonlyMap<string, readonly Attempt[]>> {
  const byJob = new Map<string, Attempt[]>()
  for (const part of chunks(jobIds, 500)) {
    const rows = await db
      .selectFrom('attempts')
      .selectAll()
      .where('job_id', 'in', part)
      .orderBy('job_id')
      .orderBy('number')
      .orderBy('id')
      .execute()
    for (const row of rows) {
      const list = byJob.get(row.job_id) ?? []
      list.push(attemptOf(row))
      byJob.set(row.job_id, list)
    }
  }
  return byJob
}

export async function liveAttemptsOfHosts(db: Reader, hostIds: readonly string[]): Promise<readonly Attempt[]> {
  const attempts: Attempt[] = []
  for (const part of chunks(hostIds, 500)) {
    const rows = await db
      .selectFrom('attempts')
      .selectAll()
      .where('host_id', 'in', part)
      .where('ended_at', 'is', null)
      .orderBy('host_id')
      .orderBy('id')
      .execute()
    for (const row of rows) attempts.push(attemptOf(row))
  }
  return attempts
}

/** Hosts on which an attempt is not known to be over, in order of ids. */
export async function hostsWithAttempts(db: Reader): Promise<readonly string[]> {
  const rows = await db.selectFrom('attempts').select('host_id').distinct().where('ended_at', 'is', null).orderBy('host_id').execute()
  return rows.map((row) => row.host_id)
}

/** Writes a live attempt back. False when it ended meanwhile: what has ended never changes. */
async function saveAttempt(
  tx: RecordTx,
  attempt: Attempt,
  rest: { readonly revision: number; readonly endedAt: number | null },
): Promise<boolean> {
  const { id: _id, ...row } = attemptRow(attempt, rest)
  const done = await tx.db.updateTable('attempts').set(row).where('id', '=', attempt.id).where('ended_at', 'is', null).executeTakeFirst()
  if (done.numUpdatedRows === 0n) return false
  tx.touch('attempt', attempt.id)
  return true
}

/** Tells the host of a live attempt to end it. Asking again changes nothing. */
export async function requestCancelOfAttempt(tx: RecordTx, attempt: Attempt, by: string): Promise<Applied> {
  const row = await findAttemptRow(tx.db, attempt.id)
  if (row === undefined || row.ended_at !== null || row.generation !== attempt.generation) return 'stale'
  const now = attemptOf(row)
  if (now.cancelRequested !== null) return 'stale'
  await saveAttempt(tx, { ...now, cancelRequested: { by, at: tx.now } }, { revision: row.revision, endedAt: null })
  tx.desire(now.hostId)
  return 'done'
}

export interface AttemptEnd {
  readonly attemptId: string
  /** Generation that the attempt was made under. */
  readonly generation: number
  readonly outcome: Outcome
  readonly why: string
  readonly retryDelayMs: Milliseconds
}

/** Ends an attempt whose host did not say so itself: it is proved gone, or its lease ran out. */
export async function endAttemptByProof(tx: RecordTx, end: AttemptEnd): Promise<Applied> {
  const row = await findAttemptRow(tx.db, end.attemptId)
  if (row === undefined || row.ended_at !== null || row.generation !== end.generation) return 'stale'
  const attempt = attemptOf(row)
  const ended = {
    ...attempt,
    state: 'ended',
    outcome: end.outcome,
    times: { ...attempt.times, ended: tx.now },
    notes: [...attempt.notes, end.why],
  } as const
  await closeAttempt(tx, ended, { revision: row.revision, retryDelayMs: end.retryDelayMs, proof: true })
  tx.desire(attempt.hostId)
  return 'done'
}

interface Closing {
  readonly revision: number
  readonly retryDelayMs: Milliseconds
  /** Ended by proof, not by the host's own report. */
  readonly proof: boolean
}

/** The one place where an attempt gets its outcome, and its job either its own outcome or another try. */
async function closeAttempt(tx: RecordTx, attempt: Attempt & { readonly outcome: Outcome | null }, closing: Closing): Promise<void> {
  const { outcome } = attempt
  if (outcome === null) return
  if (!(await saveAttempt(tx, attempt, { revision: closing.revision, endedAt: tx.now }))) return
  const pool = (await findHostRow(tx.db, attempt.hostId))?.pool
  tx.note('attempt.ended', `job/${attempt.jobId}`, {
    data: { attemptId: attempt.id, number: attempt.number, hostId: attempt.hostId, pool, outcome },
  })
  await countFailure(tx, attempt, { outcome, proof: closing.proof })
  if (attempt.buildId !== null) await countEnded(tx, attempt.buildId, outcome)
  const job = await findJob(tx.db, attempt.jobId)
  if (job === null || job.endedAt !== null) return
  if (outcome.kind !== 'infrastructure') return void (await endJob(tx, job, outcome))
  await retryOrEnd(tx, job, { attempt, outcome, retryDelayMs: closing.retryDelayMs })
}

interface Failure {
  readonly attempt: Attempt
  readonly outcome: Outcome
  readonly retryDelayMs: Milliseconds
}

async function retryOrEnd(tx: RecordTx, job: Job, failure: Failure): Promise<void> {
  const failures = job.infrastructureFailures + 1
  const counted = { ...job, infrastructureFailures: failures }
  const cancel = job.cancelRequested
  if (cancel !== null) return void (await endJob(tx, counted, { kind: 'cancelled', by: cancel.by }))
  if (job.infrastructureFailures >= job.resolved.retries) return void (await endJob(tx, counted, failure.outcome))
  const notBefore = tx.now + retryDelay(failure.retryDelayMs, failures)
  const avoidHosts = [...new Set<HostId>([...job.avoidHosts, failure.attempt.hostId])]
  await saveJob(tx, counted, { state: 'queued', notBefore, avoidHosts })
  tx.note('job.retried', `job/${job.id}`, {
    data: { attemptId: failure.attempt.id, hostId: failure.attempt.hostId, outcome: failure.outcome, notBefore, failures },
  })
}

/** Doubles with each failure, up to ten minutes. */
export function retryDelay(first: Milliseconds, failures: number): Milliseconds {
  return Math.min(longestRetryDelay, first * 2 ** Math.min(30, Math.max(0, failures - 1)))
}

export interface AttemptAcknowledgement {
  readonly id: string
  readonly revision: number
  readonly ended: boolean
}

/** What came of a report. `unwanted`: the host still runs what is over here, and shall end it. */
export interface ReportedAttempt {
  readonly acknowledged: AttemptAcknowledgement | null
  readonly unwanted: boolean
}

export interface ReportContext {
  readonly hostId: string
  readonly retryDelayMs: Milliseconds
}

/**
 * Stores what a host says of an attempt. A report of an attempt that is not this host's, was made under another generation, or is over already is
 * refused and noted once; the host may forget it when it has ended there too.
 */
export async function recordAttemptReport(tx: RecordTx, report: AttemptReport, context: ReportContext): Promise<ReportedAttempt> {
  const row = await findAttemptRow(tx.db, report.id)
  // Nothing is known of it (its history was removed): the host is told that it is over, so that it cleans up.
  if (row === undefined) return { acknowledged: { id: report.id, revision: report.revision, ended: true }, unwanted: false }
  if (row.host_id !== context.hostId || row.generation !== report.generation || row.ended_at !== null)
    return refuseReport(tx, report, { row, hostId: context.hostId })
  if (report.revision <= row.revision) return { acknowledged: { id: report.id, revision: row.revision, ended: false }, unwanted: false }
  const before = attemptOf(row)
  const after: Attempt = {
    ...before,
    receiptAt: tx.now,
    leaseUntil: tx.now + (before.leaseUntil - before.receiptAt),
    state: report.state,
    times: { ...before.times, ...report.times },
    isolation: report.isolation,
    logBytes: Math.max(before.logBytes, report.logBytes),
    artifacts: report.artifacts,
    artifactFailures: report.artifactFailures,
    notes: report.notes,
    outcome: report.outcome,
  }
  if (report.state === 'ended') {
    const outcome: Outcome = report.outcome ?? {
      kind: 'infrastructure',
      part: 'agent',
      code: 'NO_OUTCOME',
      message: 'the agent ended the attempt without saying how',
    }
    await closeAttempt(tx, { ...after, outcome }, { revision: report.revision, retryDelayMs: context.retryDelayMs, proof: false })
    tx.desire(context.hostId)
    return { acknowledged: { id: report.id, revision: report.revision, ended: true }, unwanted: false }
  }
  await saveAttempt(tx, { ...after, outcome: null }, { revision: report.revision, endedAt: null })
  await noteRunning(tx, after)
  return { acknowledged: { id: report.id, revision: report.revision, ended: false }, unwanted: false }
}

/** Its state does not say: an attempt whose boot failed is cleaned up as well. */
async function noteRunning(tx: RecordTx, attempt: Attempt): Promise<void> {
  if (attempt.times.running === undefined) return
  const job = await findJob(tx.db, attempt.jobId)
  if (job === null || job.state !== 'assigned') return
  if ((await saveJob(tx, job, { state: 'running' })) !== null)
    tx.note('job.running', `job/${job.id}`, {
      data: { queue: job.queue, attemptId: attempt.id, hostId: attempt.hostId, waitedMs: tx.now - job.submittedAt },
    })
}

interface Refusal {
  readonly row: AttemptRow
  readonly hostId: string
}

async function refuseReport(tx: RecordTx, report: AttemptReport, refusal: Refusal): Promise<ReportedAttempt> {
  const { row } = refusal
  const isOwn = row.host_id === refusal.hostId
  const recorded = attemptOf(row).outcome
  const repeats = isOwn && row.ended_at !== null && JSON.stringify(recorded) === JSON.stringify(report.outcome)
  if (!repeats && report.state === 'ended' && (!isOwn || report.revision > row.revision)) {
    tx.note('attempt.refused', `job/${row.job_id}`, {
      result: 'refused',
      data: {
        attemptId: row.id,
        hostId: refusal.hostId,
        generation: report.generation,
        liveGeneration: row.generation,
        outcome: report.outcome,
        recorded,
      },
    })
    if (isOwn) await tx.db.updateTable('attempts').set({ revision: report.revision }).where('id', '=', row.id).execute()
  }
  const over = report.state === 'ended' || !isOwn
  return { acknowledged: over ? { id: report.id, revision: report.revision, ended: true } : null, unwanted: !over }
}

/** Records how far an attempt's log is on the controller. The length of a complete log never changes again. */
export async function recordLog(
  tx: RecordTx,
  attemptId: string,
  log: { readonly bytes: number; readonly complete: boolean },
): Promise<void> {
  const row = await findAttemptRow(tx.db, attemptId)
  if (row === undefined) return
  const attempt = attemptOf(row)
  if (attempt.logComplete) return
  const { doc } = attemptRow(
    { ...attempt, logBytes: log.bytes, logComplete: log.complete },
    { revision: row.revision, endedAt: row.ended_at },
  )
  await tx.db.updateTable('attempts').set({ doc }).where('id', '=', attemptId).execute()
  tx.touch('attempt', attemptId)
}
