import { formatDuration } from '../../../src/model/instant.ts'
import type { Outcome } from '../../../src/model/job.ts'

/** `3m ago`, or `now`. */
export function ago(at: number | null, now: number): string {
  if (at === null) return 'never'
  const age = now - at
  return age < 1500 ? 'now' : `${formatDuration(age)} ago`
}

/** `3.2 GiB`. */
export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let value = count
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit] ?? ''}`
}

/** An outcome in a few words. */
export function outcomeText(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'exited':
      return outcome.code === 0 ? 'passed' : `exit code ${outcome.code}`
    case 'signalled':
      return `signal ${outcome.signal}`
    case 'timedOut':
      return `timed out after ${formatDuration(outcome.afterS * 1000)}`
    case 'cancelled':
      return `cancelled by ${outcome.by}`
    case 'setupFailed':
      return `set-up failed: ${outcome.message}`
    case 'infrastructure':
      return `infrastructure (${outcome.part}): ${outcome.message}`
  }
}
