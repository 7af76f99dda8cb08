import type { AgentHealth } from './health.ts'

/** How many looks in a row change a verdict. */
export interface VerdictPolicy {
  readonly intervalMs: number
  readonly timeoutMs: number
  readonly healthyAfter: number
  readonly unhealthyAfter: number
}

/** Row 001-50. */
export const defaultVerdictPolicy: VerdictPolicy = { intervalMs: 30_000, timeoutMs: 5000, healthyAfter: 2, unhealthyAfter: 3 }

/** What is said of a host's health, and what speaks against it. */
export interface Verdict {
  readonly health: AgentHealth
  /** Looks in a row that say otherwise. */
  readonly against: number
}

/** Takes one look in: the first one decides, later ones only when enough of them in a row say the same. */
export function advanceVerdict(before: Verdict | null, look: AgentHealth, policy: VerdictPolicy): Verdict {
  if (before === null || before.health.ok === look.ok) return { health: look, against: 0 }
  const against = before.against + 1
  const needed = look.ok ? policy.healthyAfter : policy.unhealthyAfter
  return against >= needed ? { health: look, against: 0 } : { health: before.health, against }
}
