import type { HostFacts } from '../../model/host.ts'
import { formatDuration, minute, second, type Milliseconds } from '../../model/instant.ts'

export interface HealthInputs {
  readonly facts: HostFacts | null
  readonly sync: { readonly online: boolean; readonly problem: string | null }
  /** Since the agent's loop last turned, and how often it should. */
  readonly sinceTickMs: Milliseconds
  readonly tickMs: Milliseconds
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

/** Whether this host can do its work: asked by the local health endpoint, so it looks at the real loop and not at the socket. */
export function judgeHealth(inputs: HealthInputs): AgentHealth {
  const { facts, sync, sinceTickMs, tickMs, silentMs } = inputs
  const reasons: string[] = []
  if (!sync.online || silentMs > silenceLimit)
    reasons.push(`network: ${sync.problem ?? `no controller answered for ${formatDuration(silentMs)}`}`)
  if (sinceTickMs > 10 * tickMs + 5 * second) reasons.push(`loop: it stands still for ${formatDuration(sinceTickMs)}`)
  if (facts === null) reasons.push('host: it could not be looked at')
  else {
    if (facts.diskUsed > diskLimit) reasons.push(`disk: ${Math.round(facts.diskUsed * 100)} % used`)
    if (facts.memoryFree < memoryFloor) reasons.push(`memory: ${Math.round(facts.memoryFree * 100)} % free`)
    for (const engine of facts.engines)
      if (!engine.ok) reasons.push(`supervisor: engine ${engine.name}: ${engine.problems.join('; ') || 'not ok'}`)
  }
  return { ok: reasons.length === 0, reasons }
}
