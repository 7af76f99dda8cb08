import { orAborted, withDeadline } from '../../act/agent/deadline.ts'
import { messageOf } from '../../act/agent/outcome.ts'
import type { EngineFacts, HostFacts } from '../../model/host.ts'
import { minute, second } from '../../model/instant.ts'
import type { Readiness } from '../../model/readiness.ts'
import { observeFacts } from '../../observe/agent/facts.ts'
import { materialDifference, renewsCheck } from '../../observe/agent/material-difference.ts'
import type { AgentPorts } from '../../ports/agent.ts'

const every = 10 * second
/** Facts that say nothing new are told again after this, before a controller asks: it does of those older than five minutes. */
const tellAgainAfter = 4 * minute
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
  /** How old a check may be that a controller counts on. */
  readonly checkMaxAgeMs: () => number
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
  /** Found when there are other facts, or the controller has others: it is asked for far more often. */
  let unknown: HostFacts | null = null

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
      compare()
      if (unknown !== null) options.onChange()
    } catch (error) {
      if (stopping.aborted) return
      ports.log.warn('the host could not be looked at', { error: messageOf(error) })
    }
  }

  function compare(): void {
    const isNews = latest !== null && (known === null || isDue(known, latest) || materialDifference(known, latest))
    unknown = isNews ? latest : null
  }

  function isDue(before: HostFacts, now: HostFacts): boolean {
    // A wall clock that was set back is no reason to be silent.
    return Math.abs(now.at - before.at) > tellAgainAfter || renewsCheck(before, now, options.checkMaxAgeMs())
  }

  function learned(facts: HostFacts | null): void {
    known = facts
    compare()
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
    news: () => unknown,
    sent: learned,
    ask: () => learned(null),
    tell() {
      void look().then(() => {
        learned(null)
        options.onChange()
      })
    },
    engine: (name) => latest?.engines.find((engine) => engine.name === name),
  }
}
