import { withDeadline } from '../../act/agent/deadline.ts'
import { messageOf } from '../../act/agent/outcome.ts'
import type { EngineFacts, HostFacts } from '../../model/host.ts'
import type { StoredImage } from '../../model/image/stored.ts'
import { minute, second, type Instant, type Milliseconds } from '../../model/instant.ts'
import type { Readiness } from '../../model/readiness.ts'
import { observeFacts } from '../../observe/agent/facts.ts'
import { materialDifference, renewsCheck } from '../../observe/agent/material-difference.ts'
import type { AgentPorts } from '../../ports/agent.ts'
import { createWakeUp } from '../wake-up.ts'

const usualEvery = 10 * second
/** Facts that say nothing new are told again after this, before a controller asks: it does of those older than a quarter of an hour. */
const tellAgainAfter = 12 * minute
const limit = 30 * second
/** A repeated check that found the same is told when this much of the known one's life will be over with the poll after. */
const tellCheckAt = 0.8

export interface FactsBoardOptions {
  readonly ports: AgentPorts
  readonly agentVersion: string
  readonly mayReboot: boolean
  readonly readiness: () => readonly Readiness[]
  readonly images: () => readonly string[]
  /** Builds that are whole on this host. */
  readonly storedImages: () => Promise<readonly StoredImage[] | null>
  /** Engines that must not be used, and why. */
  readonly residue: () => ReadonlyMap<string, readonly string[]>
  readonly clockSkewMs: () => number | null
  /** How old a check may be that a controller counts on. */
  readonly checkMaxAgeMs: () => number
  /** After how long at most the next poll goes out. */
  readonly pollMs: () => number
  /** How often it is looked when nothing asks for it; default: ten seconds. */
  readonly everyMs: Milliseconds | undefined
  readonly onChange: () => void
  /** The machine slept, or its wall clock was set: what is due by a clock may be due already, whatever timers are set. */
  readonly onJump: () => void
  readonly stopping: AbortSignal
}

interface Moment {
  readonly steady: Milliseconds
  readonly wall: Instant
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
  /** The same, or facts that are to be told again with the next poll: they are worth no message of their own. */
  due(): HostFacts | null
  sent(facts: HostFacts): void
  /** The controller wants all of them. */
  ask(): void
  /** Looks now, and sends what is seen whether it differs or not: it proves what was done just before. */
  tell(): void
  engine(name: string): EngineFacts | undefined
}

export function factsBoard(options: FactsBoardOptions): FactsBoard {
  const { ports, stopping } = options
  const every = options.everyMs ?? usualEvery
  const pauses = createWakeUp(ports.timers)
  stopping.addEventListener('abort', pauses.close, { once: true })
  let latest: HostFacts | null = null
  let known: HostFacts | null = null
  /** Which look they are of; what a wall clock says of their order changes when it is set. */
  const order = new WeakMap<HostFacts, number>()
  let looks = 0
  /** Found when there are other facts, or the controller has others: it is asked for far more often. */
  let isNews = false

  function moment(): Moment {
    return { steady: ports.clock.steady(), wall: ports.clock.now() }
  }

  function isJump(before: Moment, now: Moment): boolean {
    const passed = now.steady - before.steady
    return passed > 2 * every || Math.abs(now.wall - before.wall - passed) > second
  }

  async function look(): Promise<void> {
    try {
      const looking = observeFacts(ports, {
        agentVersion: options.agentVersion,
        mayReboot: options.mayReboot,
        readiness: options.readiness(),
        images: options.images(),
        storedImages: await options.storedImages(),
        residue: options.residue(),
        clockSkewMs: options.clockSkewMs(),
        before: latest,
      })
      latest = await withDeadline(ports.timers, looking, { ms: limit, what: 'looking at the host', signal: stopping })
      order.set(latest, (looks += 1))
      compare()
      if (isNews) options.onChange()
    } catch (error) {
      if (stopping.aborted) return
      ports.log.warn('the host could not be looked at', { error: messageOf(error) })
    }
  }

  function compare(): void {
    isNews = latest !== null && (known === null || materialDifference(known, latest))
  }

  function isDue(before: HostFacts, now: HostFacts): boolean {
    // A wall clock that was set back is no reason to be silent.
    return (
      Math.abs(now.at - before.at) > tellAgainAfter || renewsCheck(before, now, tellCheckAt * options.checkMaxAgeMs() - options.pollMs())
    )
  }

  function learned(facts: HostFacts | null): void {
    known = facts
    compare()
  }

  return {
    look,
    async run() {
      for (let before = moment(); ;) {
        await pauses.pause(every)
        stopping.throwIfAborted()
        const now = moment()
        if (isJump(before, now)) options.onJump()
        before = now
        await look()
      }
    },
    latest: () => latest,
    news: () => (isNews ? latest : null),
    due: () => (isNews || (known !== null && latest !== null && isDue(known, latest)) ? latest : null),
    sent(facts) {
      // A parked poll is answered after what went out beside it: that was newer.
      if (known === null || (order.get(facts) ?? 0) >= (order.get(known) ?? 0)) learned(facts)
    },
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
