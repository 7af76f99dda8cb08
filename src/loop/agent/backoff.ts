import { CideryError } from '../../model/errors.ts'
import { minute, second, type Milliseconds } from '../../model/instant.ts'

/** `passing`: the network, or a fault of the controller. `refused`: it does not want us (401, 403). `tooOld`: it speaks no protocol of ours (426). */
export type FailureKind = 'passing' | 'refused' | 'tooOld'

export function failureKind(error: unknown): FailureKind {
  if (!(error instanceof CideryError)) return 'passing'
  if (error.code === 'AGENT_TOO_OLD') return 'tooOld'
  return error.code === 'UNAUTHENTICATED' || error.code === 'FORBIDDEN' ? 'refused' : 'passing'
}

const steps = {
  passing: { first: second, longest: minute },
  // A revoked key does not come back by asking often; whole fleets with a wrong key must not look like an attack.
  refused: { first: 30 * second, longest: 5 * minute },
  tooOld: { first: minute, longest: 5 * minute },
} as const satisfies Record<FailureKind, { first: Milliseconds; longest: Milliseconds }>

/**
 * How long to wait after the nth failure in a row (n from 1): doubling, and between half of it and all of it by chance (0 ≤ fraction < 1), so
 * that a fleet does not come back in step.
 *
 * @example backoff('passing', 3, 0.5) // 3_000: between 2 and 4 s
 */
export function backoff(kind: FailureKind, failures: number, fraction: number): Milliseconds {
  const { first, longest } = steps[kind]
  const whole = Math.min(longest, first * 2 ** Math.min(30, Math.max(0, failures - 1)))
  return Math.round(whole * (0.5 + fraction / 2))
}
