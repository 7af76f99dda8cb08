import { orAborted, withDeadline } from '../../act/agent/deadline.ts'
import { messageOf } from '../../act/agent/outcome.ts'
import { minute, second } from '../../model/instant.ts'
import type { AgentSettings } from '../../model/sync.ts'
import type { AgentPorts } from '../../ports/agent.ts'
import type { Engine, WarmingEngine, WarmRequest } from '../../ports/engine.ts'

export interface WarmKeeperOptions {
  readonly ports: Pick<AgentPorts, 'engines' | 'timers' | 'log'>
  readonly settings: () => AgentSettings
  /** False until a controller said what it wants: before that nothing warm is removed. */
  readonly knows: () => boolean
  readonly blockedAddresses: readonly string[]
  readonly stopping: AbortSignal
}

/** So soon after a job took one the next is begun. */
const tick = 5 * second
/** What could not be started is tried again after this. */
const retryAfter = minute
/** A round may wedge with its engine; then the next one is tried. */
const roundLimit = 30 * minute

/** Keeps the sandboxes started that the pool of this host wants. Ends when the agent stops; what is warm stays for the next agent. */
export async function keepSandboxesWarm(options: WarmKeeperOptions): Promise<void> {
  const { ports, stopping } = options
  const engines = [...ports.engines.values()].filter(canWarm)
  for (;;) {
    await ports.timers.sleep(tick, stopping)
    if (!options.knows()) continue
    for (const engine of engines) {
      try {
        const round = engine.keepWarm(wantedOf(engine, options), stopping)
        // An agent that stops does not wait for a boot: what is half made is removed by the next one.
        await orAborted(withDeadline(ports.timers, round, { ms: roundLimit, what: 'keeping sandboxes started' }), stopping)
      } catch (error) {
        stopping.throwIfAborted()
        ports.log.warn('a sandbox could not be started ahead of its job', { engine: engine.name, error: messageOf(error) })
        await ports.timers.sleep(retryAfter, stopping)
      }
    }
  }
}

function canWarm(engine: Engine): engine is WarmingEngine {
  return 'keepWarm' in engine
}

function wantedOf({ name }: Engine, { settings, blockedAddresses }: WarmKeeperOptions): readonly WarmRequest[] {
  const { warm = [], limits } = settings().engines[name] ?? { limits: 'enforced' as const }
  return warm.map(({ image, shape, network, count }) => ({ like: { image, shape, network, limits, blockedAddresses }, count }))
}
