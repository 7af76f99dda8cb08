import type { JobView, WaitingView } from '../client/views.ts'

/** In one line why a job is not running yet. */
export function describeWaiting(job: JobView): string {
  if (job.cancelRequested) return `${job.id} is being cancelled`
  const [first, ...more] = job.waiting
  if (first === undefined) return `${job.id} is ${stateText(job)}`
  const others = more.length === 0 ? '' : ` (and ${more.length} more: cidery explain job/${job.id})`
  return `${job.id} waits: ${first.message}; ${first.cure}${others}`
}

/** `queued in ios`, `booting`, `collecting`. */
function stateText(job: JobView): string {
  if (job.state === 'queued') return `queued in ${job.queue}`
  return job.attempts.at(-1)?.state ?? job.state
}

/** A waiting entry as two lines: what holds it, what to do. */
export function waitingLines(waiting: WaitingView): string {
  const hosts = waiting.hostCount > 0 ? ` [${waiting.hostCount} host${waiting.hostCount === 1 ? '' : 's'}]` : ''
  return `  ○ ${waiting.message}${hosts}\n    next: ${waiting.cure}\n`
}
