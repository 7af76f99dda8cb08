import type { HostFacts } from '../../model/host.ts'
import { formatDuration, minute, type Milliseconds } from '../../model/instant.ts'

export interface HealthInputs {
  readonly facts: HostFacts | null
  readonly sync: { readonly online: boolean; readonly problem: string | null }
  /** Since a controller was last heard. */
  readonly silentMs: Milliseconds
}

export interface AgentHealth {
  readonly ok: boolean
  /** What is wrong, one line each: `network: …`, `disk: …`, `memory: …`, `supervisor: …`, `loop: …`. */
  readonly reasons: readonly string[]
}

/** Limits of row 001-49, as fractions. */
const diskLimit = 0.95
const memoryFloor = 0.05
/** One missed poll is no fault of the network. */
const silenceLimit = minute

/** Whether this host can do its work, as one look at the real loop says. Whether that loop turns at all says who waits for the look. */
export function judgeHealth(inputs: HealthInputs): AgentHealth {
  const { facts, sync, silentMs } = inputs
  const reasons: string[] = []
  if (!sync.online || silentMs > silenceLimit)
    reasons.push(`network: ${sync.problem ?? `no controller answered for ${formatDuration(silentMs)}`}`)
  if (facts === null) reasons.push('host: it could not be looked at')
  else {
    if (facts.diskUsed > diskLimit) reasons.push(`disk: ${Math.round(facts.diskUsed * 100)} % used`)
    if (facts.memoryFree < memoryFloor) reasons.push(`memory: ${Math.round(facts.memoryFree * 100)} % free`)
    for (const engine of facts.engines)
      if (!engine.ok) reasons.push(`supervisor: engine ${engine.name}: ${engine.problems.join('; ') || 'not ok'}`)
  }
  return { ok: reasons.length === 0, reasons }
}
