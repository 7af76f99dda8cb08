import type { HostView } from '../model/api.ts'
import type { EngineFacts, Host } from '../model/host.ts'
import type { Instant } from '../model/instant.ts'
import { judgeReadiness } from '../model/readiness.ts'
import type { Pool } from '../model/spec.ts'

/** What a host's proofs are worth now. They carry the host's clock and are judged by it; a host of no pool proves nothing. */
export function readinessOf(host: Host, pool: Pool | undefined, now: Instant): HostView['readiness'] {
  const { facts } = host
  if (facts === null || pool === undefined) return []
  return facts.readiness.map((readiness) => {
    const verdict = judgeReadiness(readiness, pool.readiness, now + (facts.clockSkewMs ?? 0))
    const { engine, image } = readiness
    return { engine, image, state: verdict.state, reason: verdict.state === 'ready' ? '' : verdict.reason }
  })
}

/** Sandboxes of an engine at once: what it allows, or less if the pool says so. */
export function slotsOfEngine(engine: EngineFacts, pool: Pool | undefined): number {
  return Math.min(pool?.engines[engine.name]?.slots ?? engine.slots, engine.slots)
}
