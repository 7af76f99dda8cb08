import type { Host } from '../model/host.ts'
import type { DesiredImages } from '../model/image/build.ts'
import type { Instant } from '../model/instant.ts'
import type { Attempt, Job } from '../model/job.ts'
import type { Operation } from '../model/operation.ts'
import type { Sandbox } from '../model/sandbox.ts'
import type { DesiredAttempt, DesiredOperation, DesiredStream } from '../model/sync.ts'
import type { Reader } from '../ports/store.ts'
import { liveAttemptsOfHosts } from './attempts.ts'
import { readDesiredImages } from './desired-images.ts'
import { findJob } from './jobs.ts'
import { liveOperationsOfHosts } from './operations.ts'
import { sandboxesOfHosts } from './sandboxes.ts'

/** How long hosts keep builds that they need not have; null: the fleet manages no images. */
export type ImageRetention = DesiredImages['retention']

/** What a host should look like, as far as the rows say. */
export interface DesiredRows {
  readonly attempts: readonly DesiredAttempt[]
  readonly operations: readonly DesiredOperation[]
  readonly sandboxes: readonly string[]
  readonly streams: readonly DesiredStream[]
  /** Not there in a fleet that manages no images. */
  readonly images?: DesiredImages
}

/**
 * Reads what a host should look like. An attempt that is not listed is one that the host shall end if it still runs there. One that was made for an
 * earlier boot of the host is left out: that boot may have begun it, so it never begins again.
 */
export async function readDesired(
  db: Reader,
  host: Host,
  wanted: { readonly now: Instant; readonly retention: ImageRetention | null },
): Promise<DesiredRows> {
  const { now, retention } = wanted
  const attempts: DesiredAttempt[] = []
  for (const attempt of await liveAttemptsOfHosts(db, [host.id])) {
    if (attempt.hostBootId !== host.bootId) continue
    const job = await findJob(db, attempt.jobId)
    if (job !== null) attempts.push(desiredAttempt(attempt, job))
  }
  const operations = await liveOperationsOfHosts(db, [host.id])
  const sandboxes = await sandboxesOfHosts(db, [host.id])
  return {
    attempts,
    operations: operations.filter(({ state }) => state !== 'PENDING').map(desiredOperation),
    sandboxes: sandboxes.filter(({ state }) => state !== 'removing').map(({ id }) => id),
    streams: sandboxes.flatMap((sandbox) => streamsOf(sandbox, now)),
    ...(retention === null ? {} : { images: await readDesiredImages(db, host, retention) }),
  }
}

function streamsOf(sandbox: Sandbox, now: Instant): readonly DesiredStream[] {
  const wanted = (sandbox.wantedStreams ?? []).filter(({ until }) => until > now)
  return wanted.map(({ id, command, tty }) => ({ id, sandboxId: sandbox.id, command, tty }))
}

function desiredAttempt(attempt: Attempt, job: Job): DesiredAttempt {
  const cancelBy = attempt.cancelRequested?.by ?? null
  return {
    id: attempt.id,
    jobId: attempt.jobId,
    generation: attempt.generation,
    job: job.resolved,
    queue: job.queue,
    want: cancelBy === null ? 'run' : 'cancel',
    cancelBy,
    number: attempt.number,
    build: attempt.buildId,
  }
}

function desiredOperation(operation: Operation): DesiredOperation {
  const hardMs =
    operation.deadline === null || operation.startedAt === null ? operation.limits.hard : operation.deadline - operation.startedAt
  return {
    id: operation.id,
    generation: operation.generation,
    request: operation.request,
    want: operation.killRequested || operation.state === 'KILLING' ? 'kill' : 'run',
    warningMs: operation.limits.warning,
    hardMs,
  }
}
