import { fromElsewhere, nameFrom, wordsOf } from './elsewhere.ts'
import type { TraceFormat } from './format.ts'
import { between } from './row.ts'
import type { Row } from './row.ts'

/**
 * Jobs of Buildkite, under the names of its REST API (`runnable_at`) or of GraphQL (`runnableAt`). A job counts as submitted when it could run: `runnable_at`
 * is after what it depends on and after its concurrency limit, which no host is to blame for. `scheduled_at` and `created_at` stand in for it.
 */
export const buildkiteTrace: TraceFormat = {
  needs: [['runnable_at', 'scheduled_at', 'created_at'], ['started_at'], ['finished_at']],
  read(row) {
    const type = row.text('type')
    if (type !== undefined && type !== 'script') return { leftOut: `steps of type ${type}` }
    const startedAt = row.moment('started_at')
    const finishedAt = row.moment('finished_at')
    if (startedAt === undefined) return { leftOut: 'never started' }
    if (finishedAt === undefined) return { leftOut: 'not ended yet' }
    const submittedAt = row.moment('runnable_at', 'scheduled_at', 'created_at')
    if (submittedAt === undefined)
      throw row.refuse('runnable_at', 'a job needs the moment it came', ['runnable_at, scheduled_at or created_at'])
    return fromElsewhere({
      line: row.line,
      name: row.text('step_key', 'name', 'label') ?? '',
      queue: queueOf(row),
      priority: Math.max(-100, Math.min(100, row.whole('priority', [-1_000_000, 1_000_000]) ?? 0)),
      // A job that is tried again is runnable anew only in some exports; it cannot have waited less than not at all.
      submittedAt: Math.min(submittedAt, startedAt),
      startedAt,
      runsMs: between(row, [startedAt, finishedAt], 'finished_at'),
      exitCode: exitCodeOf(row),
    })
  },
}

/** The queue of its rules (`queue=macos`), or a column of its own. */
function queueOf(row: Row): string {
  const rule = wordsOf(row.text('agent_query_rules') ?? '').find((word) => word.startsWith('queue='))
  return nameFrom(rule?.slice('queue='.length) ?? row.text('cluster_queue', 'queue') ?? 'default')
}

/** −1 is written for an agent that was lost. */
function exitCodeOf(row: Row): number {
  const code = row.whole('exit_status', [-1, 255]) ?? 0
  return code < 0 ? 255 : code
}
