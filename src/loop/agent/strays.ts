import { messageOf } from '../../act/agent/outcome.ts'
import type { AgentPorts } from '../../ports/agent.ts'

/** Removes the sandboxes of all engines that nobody owns. An engine that cannot be swept now is told of, and swept at the next start. */
export async function sweepUnowned({ engines, log }: Pick<AgentPorts, 'engines' | 'log'>, owners: ReadonlySet<string>): Promise<void> {
  for (const engine of engines.values()) {
    try {
      const swept = await engine.sweep(owners)
      if (swept.sandboxes.length > 0)
        log.warn('sandboxes that nobody owned were removed', { engine: engine.name, sandboxes: swept.sandboxes })
      for (const failure of swept.failures) log.error('something could not be swept', { engine: engine.name, failure })
    } catch (error) {
      log.error('an engine could not be swept', { engine: engine.name, error: messageOf(error) })
    }
  }
}

/** Ends runs without a record: whoever wanted them is gone, so nobody would ever end them or remove their logs. */
export async function dropStrayRuns(
  { supervisors, log }: Pick<AgentPorts, 'supervisors' | 'log'>,
  known: ReadonlySet<string>,
): Promise<void> {
  for (const id of await supervisors.list()) {
    if (known.has(id)) continue
    log.warn('a run that nobody owned was ended', { run: id })
    await supervisors.remove(id)
  }
}
