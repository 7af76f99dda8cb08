import { CideryError } from '../model/errors.ts'
import type { SecretBox } from '../ports/secrets.ts'
import type { Reader } from '../ports/store.ts'
import { findAttemptRow, recordLog } from '../record/attempts.ts'
import type { Author } from '../record/commit.ts'
import { findJob } from '../record/jobs.ts'
import type { AttemptRow } from '../record/rows.ts'
import { openSecrets } from '../record/secrets.ts'
import { logName, type LogServices } from './logs.ts'
import { appendBytes } from './uploads.ts'

/** An attempt of the host that asks. */
export interface OwnAttempt {
  readonly hostId: string
  readonly id: string
}

/** Room for the line that says where a log was cut. */
const cutMark = 64 * 1024

/** An attempt of the calling host; another's looks like none. */
async function ownAttempt(db: Reader, own: OwnAttempt): Promise<AttemptRow> {
  const row = await findAttemptRow(db, own.id)
  if (row !== undefined && row.host_id === own.hostId) return row
  throw new CideryError('NOT_FOUND', `this host has no attempt ${own.id}`)
}

/** Appends to the log of an attempt; OFFSET_MISMATCH names where to go on. Returns the length that is kept. */
export async function appendAttemptLog(
  services: LogServices,
  at: OwnAttempt & { readonly offset: number },
  bytes: AsyncIterable<Uint8Array>,
): Promise<number> {
  const job = await services.recorder.read(async (db) => findJob(db, (await ownAttempt(db, at)).job_id))
  const limit = (job?.resolved.logBytes ?? services.spec().limits.jobLog) + cutMark
  try {
    return await appendBytes(services, { name: logName(at.id), offset: at.offset, limit }, bytes)
  } finally {
    // What came before a broken connection is shown as well.
    services.logs.grew(at.id)
  }
}

/** Records that the log of an attempt ends at a length; OFFSET_MISMATCH when bytes are missing. */
export async function finishAttemptLog(
  services: LogServices,
  author: Author,
  end: OwnAttempt & { readonly length: number },
): Promise<void> {
  const held = await services.blobs.length(logName(end.id))
  await services.recorder.read((db) => ownAttempt(db, end))
  if (held < end.length) {
    throw new CideryError('OFFSET_MISMATCH', `${held} of ${end.length} bytes of the log are here`, { details: { offset: held } })
  }
  await services.recorder.write(author, (tx) => recordLog(tx, end.id, { bytes: end.length, complete: true }))
  services.logs.grew(end.id)
}

/** The values of the secrets of a job by name, while this host runs it. */
export async function secretsOfAttempt(
  services: LogServices & { readonly box: SecretBox },
  own: OwnAttempt,
): Promise<Readonly<Record<string, string>>> {
  return services.recorder.read(async (db) => {
    const row = await ownAttempt(db, own)
    const job = await findJob(db, row.job_id)
    if (row.ended_at !== null || job === null)
      throw new CideryError('FORBIDDEN', `the attempt ${own.id} is over: its secrets are not given out any more`)
    return openSecrets(db, services.box, { queue: job.queue, names: job.resolved.spec.secrets })
  })
}
