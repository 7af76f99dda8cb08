import { withDeadline } from '../../act/agent/deadline.ts'
import { messageOf } from '../../act/agent/outcome.ts'
import { minute, second } from '../../model/instant.ts'
import type { AgentSettings } from '../../model/sync.ts'
import type { AgentPorts } from '../../ports/agent.ts'
import type { Engine, WarmingEngine, WarmRequest } from '../../ports/engine.ts'
import { createWakeUp } from '../wake-up.ts'

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

/** Keeps the sandboxes started that the pool of this host wants. */
export interface WarmKeeper {
  /** Ends when the agent stops, or at once where no engine can; what is warm stays for the next agent. */
  run(): Promise<void>
  /** Another number may be wanted now. */
  wake(): void
}

export function warmKeeper(options: WarmKeeperOptions): WarmKeeper {
  const { ports, stopping } = options
  const { timers, log } = ports
  const engines = [...ports.engines.values()].filter(canWarm)
  const wakeUp = createWakeUp(timers)
  /** Engines that have nothing warm because nothing is wanted: there is nothing to look at until something is. */
  const empty = new Set<WarmingEngine>()
  stopping.addEventListener('abort', wakeUp.close, { once: true })

  async function keep(engine: WarmingEngine): Promise<void> {
    const wanted = wantedOf(engine, options)
    if (wanted.length === 0 && empty.has(engine)) return
    empty.delete(engine)
    try {
      // An agent that stops does not wait for a boot: what is half made is removed by the next one.
      const round = engine.keepWarm(wanted, stopping)
      await withDeadline(timers, round, { ms: roundLimit, what: 'keeping sandboxes started', signal: stopping })
      if (wanted.length === 0) empty.add(engine)
    } catch (error) {
      stopping.throwIfAborted()
      log.warn('a sandbox could not be started ahead of its job', { engine: engine.name, error: messageOf(error) })
      await timers.sleep(retryAfter, stopping)
    }
  }

  return {
    async run() {
      while (engines.length > 0) {
        await wakeUp.wait(empty.size === engines.length || !options.knows() ? Number.POSITIVE_INFINITY : tick)
        stopping.throwIfAborted()
        if (options.knows()) for (const engine of engines) await keep(engine)
      }
    },
    wake: wakeUp.wake,
  }
}

function canWarm(engine: Engine): engine is WarmingEngine {
  return 'keepWarm' in engine
}

function wantedOf({ name }: Engine, { settings, blockedAddresses }: WarmKeeperOptions): readonly WarmRequest[] {
  const { warm = [], limits } = settings().engines[name] ?? { limits: 'enforced' as const }
  return warm.map(({ image, shape, network, count }) => ({ like: { image, shape, network, limits, blockedAddresses }, count }))
}
