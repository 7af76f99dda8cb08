import { CideryError } from '../model/errors.ts'
import type { JobId } from '../model/id.ts'
import { jobCan, type Job, type JobState, type Outcome, type ResolvedJob } from '../model/job.ts'
import type { Reader } from '../ports/store.ts'
import { chunks } from './chunks.ts'
import type { RecordTx } from './commit.ts'
import { compiledOnce } from './compiled.ts'
import { pageOfRows, readCursor, type Page, type PageRequest } from './pages.ts'
import { requireState } from './require-state.ts'
import { jobOf, jobRow, type JobRow } from './rows.ts'

export interface NewJob {
  readonly id: JobId
  readonly resolved: ResolvedJob
  /** Queued jobs that the queue may hold. */
  readonly maxQueued: number
  /** The job that this one repeats. */
  readonly rerunOf?: string
}

/** Adds a queued job; QUEUE_FULL when its queue holds as many as it may. */
export async function submitJob(tx: RecordTx, job: NewJob): Promise<Job> {
  const queue = job.resolved.spec.queue
  const queued = await countQueued(tx.db, queue)
  if (queued >= job.maxQueued) {
    throw new CideryError('QUEUE_FULL', `the queue ${queue} holds ${queued} waiting jobs, its limit`, {
      hint: `wait, cancel jobs (cidery job ls --queue ${queue}), or raise maxQueued in cidery.yaml`,
      details: { queue, queued, maxQueued: job.maxQueued },
    })
  }
  const made: Job = {
    id: job.id,
    queue,
    state: 'queued',
    resolved: job.resolved,
    submittedAt: tx.now,
    submittedBy: tx.author.actor,
    generation: 1,
    attempts: 0,
    infrastructureFailures: 0,
    notBefore: tx.now,
    avoidHosts: [],
    cancelRequested: null,
    outcome: null,
    endedAt: null,
  }
  await tx.db.insertInto('jobs').values(jobRow(made)).execute()
  tx.touch('job', made.id)
  tx.note('job.submitted', `job/${made.id}`, {
    data: { queue, engine: job.resolved.engine, ...(job.rerunOf === undefined ? {} : { rerunOf: job.rerunOf }) },
  })
  return made
}

export async function countQueued(db: Reader, queue: string): Promise<number> {
  const row = await db
    .selectFrom('jobs')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('queue', '=', queue)
    .where('state', '=', 'queued')
    .executeTakeFirstOrThrow()
  return row.count
}

export async function findJob(db: Reader, id: string): Promise<Job | null> {
  const [row] = await jobById(db, id)
  return row === undefined ? null : jobOf(row)
}

const jobById = compiledOnce((db: Reader, id: string) => db.selectFrom('jobs').selectAll().where('id', '=', id))

export async function readJob(db: Reader, id: string): Promise<Job> {
  const job = await findJob(db, id)
  if (job === null) throw new CideryError('NOT_FOUND', `no job has the id ${id}`, { hint: 'cidery job ls' })
  return job
}

export interface JobFilter {
  readonly queue?: string | undefined
  readonly state?: JobState | undefined
  /** Id of a host that the job had an attempt on. */
  readonly hostId?: string | undefined
}

/** Newest first. */
export async function listJobs(db: Reader, filter: JobFilter, page: PageRequest): Promise<Page<Job>> {
  let query = db.selectFrom('jobs').selectAll()
  if (filter.queue !== undefined) query = query.where('queue', '=', filter.queue)
  if (filter.state !== undefined) query = query.where('state', '=', filter.state)
  const { hostId } = filter
  if (hostId !== undefined)
    query = query.where((eb) => eb('id', 'in', eb.selectFrom('attempts').select('job_id').where('host_id', '=', hostId)))
  if (page.cursor !== undefined) {
    const { at, id } = readCursor(page.cursor)
    query = query.where((eb) =>
      eb.or([eb('submitted_at', '<', Number(at)), eb.and([eb('submitted_at', '=', Number(at)), eb('id', '<', id)])]),
    )
  }
  const rows = await query
    .orderBy('submitted_at', 'desc')
    .orderBy('id', 'desc')
    .limit(page.limit + 1)
    .execute()
  return pageOfRows(rows, page.limit, { item: jobOf, cursor: (row: JobRow) => ({ at: row.submitted_at, id: row.id }) })
}

/**
 * Writes a job back if it still has the generation it was read with, with the next one. False when somebody was faster, or when it ended:
 * an ended job never changes again.
 */
export async function saveJob(tx: RecordTx, before: Job, change: Partial<Job>): Promise<Job | null> {
  const after: Job = { ...before, ...change, generation: before.generation + 1 }
  const { id: _id, ...row } = jobRow(after)
  const done = await tx.db
    .updateTable('jobs')
    .set(row)
    .where('id', '=', before.id)
    .where('generation', '=', before.generation)
    .where('ended_at', 'is', null)
    .executeTakeFirst()
  if (done.numUpdatedRows === 0n) return null
  tx.touch('job', before.id)
  return after
}

/** Ends a job, once and for all. Null when it had ended before. */
export async function endJob(tx: RecordTx, job: Job, outcome: Outcome): Promise<Job | null> {
  const ended = await saveJob(tx, job, { state: 'ended', outcome, endedAt: tx.now })
  if (ended !== null)
    tx.note('job.ended', `job/${job.id}`, {
      data: { queue: job.queue, outcome, attempts: job.attempts, durationMs: tx.now - job.submittedAt },
    })
  return ended
}

/** CONFLICT unless an action is allowed in the state that a job is in. */
export function requireJobCan(job: Job, action: keyof typeof jobCan): void {
  requireState({ kind: 'job', name: job.id, state: job.state }, { action, allowed: jobCan[action], hint: `cidery job show ${job.id}` })
}

export interface QueueCounts {
  readonly queue: string
  readonly queued: number
  readonly running: number
  readonly oldestQueuedAt: number | null
}

/** Jobs per queue that wait or run, in order of the queues' names. */
export async function countByQueue(db: Reader): Promise<readonly QueueCounts[]> {
  const rows = await db
    .selectFrom('jobs')
    .select((eb) => ['queue', 'state', eb.fn.countAll<number>().as('count'), eb.fn.min('submitted_at').as('oldest')])
    .where('state', 'in', ['queued', 'assigned', 'running'])
    .groupBy(['queue', 'state'])
    .orderBy('queue')
    .orderBy('state')
    .execute()
  const counts = new Map<string, QueueCounts>()
  for (const row of rows) {
    const now = counts.get(row.queue) ?? { queue: row.queue, queued: 0, running: 0, oldestQueuedAt: null }
    const count = row.count
    counts.set(
      row.queue,
      row.state === 'queued' ? { ...now, queued: count, oldestQueuedAt: row.oldest } : { ...now, running: now.running + count },
    )
  }
  return [...counts.values()]
}

/** Jobs by id; those that are gone are left out. */
export async function jobsById(db: Reader, ids: readonly string[]): Promise<ReadonlyMap<string, Job>> {
  const jobs = new Map<string, Job>()
  for (const part of chunks([...new Set(ids)].toSorted(), 500)) {
    const rows = await db.selectFrom('jobs').selectAll().where('id', 'in', part).orderBy('id').execute()
    for (const row of rows) jobs.set(row.id, jobOf(row))
  }
  return jobs
}
