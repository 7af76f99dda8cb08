import type { Host } from '../model/host.ts'
import type { Attempt } from '../model/job.ts'
import type { Operation, OperationState } from '../model/operation.ts'
import type { Sandbox } from '../model/sandbox.ts'
import type { DesiredAttempt, DesiredOperation } from '../model/sync.ts'
import type { Reader } from '../ports/store.ts'
import { findAttemptRow, liveAttemptsOfHosts } from './attempts.ts'
import { findJob } from './jobs.ts'
import { liveOperationsOfHosts } from './operations.ts'
import { attemptOf } from './rows.ts'
import { sandboxesOfHosts } from './sandboxes.ts'

/** What a host should look like, as far as the rows say. */
export interface DesiredRows {
  readonly attempts: readonly DesiredAttempt[]
  readonly operations: readonly DesiredOperation[]
  readonly sandboxes: readonly string[]
}

/** States in which a host carries an operation out. */
const carriedOut: ReadonlySet<OperationState> = new Set([
  'EXECUTING',
  'RUNNING_WARNING',
  'TIMEOUT_PENDING',
  'AWAITING_RECONNECT',
  'KILLING',
])

/**
 * Reads what a host should look like. `unwanted` are attempts that it still runs and that are over here: it shall end them.
 * An attempt that was made for an earlier boot of the host is left out: that boot may have begun it, so it never begins again.
 */
export async function readDesired(db: Reader, host: Host, unwanted: readonly string[]): Promise<DesiredRows> {
  const live = await liveAttemptsOfHosts(db, [host.id])
  const attempts: DesiredAttempt[] = []
  for (const attempt of live) {
    if (attempt.hostBootId !== host.bootId) continue
    const desired = await desiredAttempt(db, attempt, attempt.cancelRequested?.by ?? null)
    if (desired !== null) attempts.push(desired)
  }
  for (const id of unwanted) {
    const row = await findAttemptRow(db, id)
    const desired = row === undefined || row.ended_at === null ? null : await desiredAttempt(db, attemptOf(row), 'system')
    if (desired !== null) attempts.push(desired)
  }
  const operations = await liveOperationsOfHosts(db, [host.id])
  const sandboxes = await sandboxesOfHosts(db, [host.id])
  return {
    attempts,
    operations: operations.filter(({ state }) => carriedOut.has(state)).map(desiredOperation),
    sandboxes: sandboxes.filter(isKept).map(({ id }) => id),
  }
}

async function desiredAttempt(db: Reader, attempt: Attempt, cancelBy: string | null): Promise<DesiredAttempt | null> {
  const job = await findJob(db, attempt.jobId)
  if (job === null) return null
  return {
    id: attempt.id,
    jobId: attempt.jobId,
    generation: attempt.generation,
    job: job.resolved,
    queue: job.queue,
    want: cancelBy === null ? 'run' : 'cancel',
    cancelBy,
    number: attempt.number,
  }
}

function desiredOperation(operation: Operation): DesiredOperation {
  const hardMs =
    operation.deadline === null || operation.startedAt === null ? operation.limits.hard : operation.deadline - operation.startedAt
  return {
    id: operation.id,
    generation: operation.generation,
    request: operation.request,
    want: operation.killRequested ? 'kill' : 'run',
    warningMs: operation.limits.warning,
    hardMs,
  }
}

function isKept(sandbox: Sandbox): boolean {
  return sandbox.state !== 'removing'
}
