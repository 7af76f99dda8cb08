import { fromElsewhere, nameFrom, wordsOf } from './elsewhere.ts'
import type { TraceFormat } from './format.ts'
import { between } from './row.ts'

/** Labels that every runner of a kind has: they name no queue. */
const general = new Set(['self-hosted', 'linux', 'macos', 'windows', 'x64', 'x86', 'arm', 'arm64'])

/**
 * Jobs of GitHub Actions, under the names of its REST API (`GET …/actions/runs/{run_id}/jobs`). `created_at` is when the job was
 * queued.
 */
export const githubTrace: TraceFormat = {
  needs: [['created_at'], ['started_at'], ['completed_at']],
  read(row) {
    const conclusion = row.text('conclusion')
    // It has moments all the same, both the one at which it was decided that it does not run.
    if (conclusion === 'skipped') return { leftOut: 'skipped' }
    const completedAt = row.moment('completed_at')
    if (completedAt === undefined) return { leftOut: 'not ended yet' }
    const startedAt = row.moment('started_at')
    // A job that was cancelled in the queue has no runner.
    const runner = row.text('runner_id', 'runner_name')
    if (startedAt === undefined || runner === '0') return { leftOut: 'never started' }
    const createdAt = row.moment('created_at')
    if (createdAt === undefined) throw row.refuse('created_at', 'a job needs the moment it came')
    return fromElsewhere({
      line: row.line,
      name: row.text('name', 'workflow_name') ?? '',
      queue: queueOf(wordsOf(row.text('labels') ?? '')),
      priority: 0,
      // Moments are whole seconds: a job may seem to have started before it came.
      submittedAt: Math.min(createdAt, startedAt),
      startedAt,
      runsMs: between(row, [startedAt, completedAt], 'completed_at'),
      exitCode: conclusion === undefined || conclusion === 'success' || conclusion === 'neutral' ? 0 : 1,
    })
  },
}

/** The first label that names more than a system or a processor. */
function queueOf(labels: readonly string[]): string {
  return nameFrom(labels.find((label) => !general.has(label.toLowerCase())) ?? 'default')
}
