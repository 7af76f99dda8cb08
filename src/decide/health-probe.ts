import { second, type Instant, type Milliseconds } from '../model/instant.ts'

/** Row 001-50: how often to look, how long one look may take, and how many equal looks in a row change the state. */
export interface ProbePolicy {
  readonly interval: Milliseconds
  readonly timeout: Milliseconds
  readonly healthyAfter: number
  readonly unhealthyAfter: number
}

export const probePolicy: ProbePolicy = { interval: 30 * second, timeout: 5 * second, healthyAfter: 2, unhealthyAfter: 3 }

export interface Health {
  readonly state: 'unknown' | 'healthy' | 'unhealthy'
  /** Looks in a row that say the same. */
  readonly streak: number
  readonly lastOk: boolean | null
  readonly lastAt: Instant | null
  /** When `state` last changed. */
  readonly since: Instant | null
}

export const unknownHealth: Health = { state: 'unknown', streak: 0, lastOk: null, lastAt: null, since: null }

/**
 * Health after one more look. It turns healthy after two good looks in a row and unhealthy after three bad ones; anything less
 * leaves it as it was.
 */
export function afterProbe(
  health: Health,
  look: { readonly ok: boolean; readonly at: Instant },
  policy: ProbePolicy = probePolicy,
): Health {
  const streak = health.lastOk === look.ok ? health.streak + 1 : 1
  const seen = { ...health, streak, lastOk: look.ok, lastAt: look.at }
  const needed = look.ok ? policy.healthyAfter : policy.unhealthyAfter
  const state = look.ok ? 'healthy' : 'unhealthy'
  return streak >= needed && health.state !== state ? { ...seen, state, since: look.at } : seen
}

/** When to look again: at once when nobody looked, else one interval after the last look. */
export function nextProbeAt(health: Health, now: Instant, policy: ProbePolicy = probePolicy): Instant {
  // A clock that was set back must not put the next look far into the future.
  return health.lastAt === null ? now : Math.min(health.lastAt, now) + policy.interval
}
