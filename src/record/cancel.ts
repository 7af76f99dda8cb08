import type { Job } from '../model/job.ts'
import { readLiveAttemptOfJob, requestCancelOfAttempt } from './attempts.ts'
import type { RecordTx } from './commit.ts'
import { endJob, readJob, saveJob } from './jobs.ts'

/**
 * Asks for the end of a job. A queued one ends at once; one with a live attempt ends when its host says that the attempt is over.
 * Asking again changes nothing; a job that ended stays as it is.
 */
export async function cancelJob(tx: RecordTx, id: string): Promise<Job> {
  const job = await readJob(tx.db, id)
  if (job.state === 'ended' || job.cancelRequested !== null) return job
  const cancelRequested = { by: tx.author.actor, at: tx.now }
  tx.note('job.cancelRequested', `job/${id}`)
  if (job.state === 'queued') return (await endJob(tx, { ...job, cancelRequested }, { kind: 'cancelled', by: tx.author.actor })) ?? job
  const saved = await saveJob(tx, job, { cancelRequested })
  const attempt = await readLiveAttemptOfJob(tx.db, id)
  if (attempt !== null) await requestCancelOfAttempt(tx, attempt, tx.author.actor)
  return saved ?? job
}
