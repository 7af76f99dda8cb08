import { minute, second, type Milliseconds } from '../model/instant.ts'

/** How a call went, as far as waiting is concerned: `refused` is an answer of 401 or 403. */
export type CallResult = 'ok' | 'unreachable' | 'refused'

export interface Backoff {
  /** Failures of one kind in a row. */
  readonly failures: number
  readonly kind: 'unreachable' | 'refused' | null
}

export const noBackoff: Backoff = { failures: 0, kind: null }

const waits = {
  /** A network that is down comes back at any moment. */
  unreachable: { first: second, most: minute },
  /** A key that was refused will be refused again: asking often only fills the other side's log. */
  refused: { first: minute, most: 15 * minute },
} as const satisfies Record<string, { first: Milliseconds; most: Milliseconds }>

/** What is known after one more call. A success, or a failure of the other kind, starts the count anew. */
export function afterCall(before: Backoff, result: CallResult): Backoff {
  if (result === 'ok') return noBackoff
  return { kind: result, failures: before.kind === result ? before.failures + 1 : 1 }
}

/**
 * How long to wait before the next call: 0 when all is well, else doubling with each failure, up to a minute (15 minutes after 401 or 403).
 * `fraction`, 0…1, spreads the callers: half of the wait is certain, the other half is chance.
 *
 * @example backoffDelay({ kind: 'unreachable', failures: 3 }, 1) // 4_000
 */
export function backoffDelay(backoff: Backoff, fraction: number): Milliseconds {
  if (backoff.kind === null) return 0
  const { first, most } = waits[backoff.kind]
  const whole = Math.min(most, first * 2 ** (backoff.failures - 1))
  return Math.round(whole * (0.5 + Math.min(1, Math.max(0, fraction)) / 2))
}
