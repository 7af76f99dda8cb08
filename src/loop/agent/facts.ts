import { orAborted, withDeadline } from '../../act/agent/deadline.ts'
import { messageOf } from '../../act/agent/outcome.ts'
import type { EngineFacts, HostFacts } from '../../model/host.ts'
import { minute, second } from '../../model/instant.ts'
import type { Readiness } from '../../model/readiness.ts'
import { observeFacts } from '../../observe/agent/facts.ts'
import { materialDifference } from '../../observe/agent/material-difference.ts'
import type { AgentPorts } from '../../ports/agent.ts'

const every = 10 * second
const limit = 30 * second

export interface FactsBoardOptions {
  readonly ports: AgentPorts
  readonly agentVersion: string
  readonly mayReboot: boolean
  readonly readiness: () => readonly Readiness[]
  readonly images: () => readonly string[]
  /** Engines that must not be used, and why. */
  readonly residue: () => ReadonlyMap<string, readonly string[]>
  readonly clockSkewMs: () => number | null
  readonly onChange: () => void
  readonly stopping: AbortSignal
}

/** What this host looks like now, and whether the controller knows it. */
export interface FactsBoard {
  /** Looks once; what cannot be seen in time stays as it was. */
  look(): Promise<void>
  /** Looks again and again until the agent stops. */
  run(): Promise<void>
  latest(): HostFacts | null
  /** Facts that differ enough from what the controller has. */
  news(): HostFacts | null
  sent(facts: HostFacts): void
  /** The controller wants all of them. */
  ask(): void
  /** Looks now, and sends what is seen whether it differs or not: it proves what was done just before. */
  tell(): void
  engine(name: string): EngineFacts | undefined
}

export function factsBoard(options: FactsBoardOptions): FactsBoard {
  const { ports, stopping } = options
  let latest: HostFacts | null = null
  let known: HostFacts | null = null

  async function look(): Promise<void> {
    try {
      const looking = observeFacts(ports, {
        agentVersion: options.agentVersion,
        mayReboot: options.mayReboot,
        readiness: options.readiness(),
        images: options.images(),
        residue: options.residue(),
        clockSkewMs: options.clockSkewMs(),
        before: latest,
      })
      latest = await orAborted(withDeadline(ports.timers, looking, { ms: limit, what: 'looking at the host' }), stopping)
      if (news() !== null) options.onChange()
    } catch (error) {
      if (stopping.aborted) return
      ports.log.warn('the host could not be looked at', { error: messageOf(error) })
    }
  }

  function news(): HostFacts | null {
    if (latest === null) return null
    return known === null || materialDifference(known, latest) || latest.at - known.at > minute ? latest : null
  }

  return {
    look,
    async run() {
      for (;;) {
        await ports.timers.sleep(every, stopping)
        await look()
      }
    },
    latest: () => latest,
    news,
    sent: (facts) => {
      known = facts
    },
    ask: () => {
      known = null
    },
    tell() {
      void look().then(() => {
        known = null
        options.onChange()
      })
    },
    engine: (name) => latest?.engines.find((engine) => engine.name === name),
  }
}
