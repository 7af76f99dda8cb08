import { messageOf } from '../../act/agent/outcome.ts'
import { second, type Milliseconds } from '../../model/instant.ts'
import type { AgentPorts } from '../../ports/agent.ts'
import { createWakeUp } from '../wake-up.ts'

/** The agent's turns: limits, leases and removals that fall due though nothing comes from outside. */
export interface Turns {
  /** Turns until the agent stops. */
  run(): Promise<void>
  /** Something changed, or a clock jumped: what is due next may be another thing now. */
  wake(): void
  /** Resolves when a turn went well: a loop that stands still never says so. */
  turned(): Promise<void>
}

export interface TurnsOptions {
  readonly ports: Pick<AgentPorts, 'timers' | 'log'>
  /** Does what is due. */
  readonly turn: () => Promise<void>
  /** How long until something is due, as far as is known now; `Infinity`: nothing will be. */
  readonly dueIn: () => Milliseconds
  readonly stopping: AbortSignal
}

/** What is due is done so late at most; and what cannot be done yet although it is due is not tried more often. */
const shortestPause = second

export function turnsOf(options: TurnsOptions): Turns {
  const { ports, stopping } = options
  const wakeUp = createWakeUp(ports.timers)
  const waiting: (() => void)[] = []
  stopping.addEventListener('abort', wakeUp.close, { once: true })

  /** Whether the turn went well. */
  async function turn(): Promise<boolean> {
    try {
      await options.turn()
      return true
    } catch (error) {
      stopping.throwIfAborted()
      // A full disk, for one: what could not be written is tried again, and the limits go on being watched.
      ports.log.error('a turn of the loop failed', { error: messageOf(error) })
      return false
    }
  }

  return {
    async run() {
      for (let well = true; ;) {
        if (well) await wakeUp.wait(Math.max(shortestPause, options.dueIn()))
        else await wakeUp.pause(shortestPause)
        stopping.throwIfAborted()
        well = await turn()
        if (well) for (const turned of waiting.splice(0)) turned()
      }
    },
    wake: wakeUp.wake,
    turned() {
      const { promise, resolve } = Promise.withResolvers<void>()
      waiting.push(resolve)
      wakeUp.wake()
      return promise
    },
  }
}
