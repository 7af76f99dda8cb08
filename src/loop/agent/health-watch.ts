import { withDeadline } from '../../act/agent/deadline.ts'
import { messageOf } from '../../act/agent/outcome.ts'
import { second } from '../../model/instant.ts'
import type { AgentHealth } from '../../observe/agent/health.ts'
import { advanceVerdict, type Verdict, type VerdictPolicy } from '../../observe/agent/verdict.ts'
import type { AgentPorts } from '../../ports/agent.ts'

/** What the local health endpoint says. */
export interface HealthWatch {
  run(): Promise<void>
  verdict(): AgentHealth
}

export interface HealthWatchOptions {
  readonly ports: Pick<AgentPorts, 'timers' | 'log'>
  /** Null: nobody can ask, so that nobody looks. */
  readonly policy: VerdictPolicy | null
  /** Looks once, through the loop itself. */
  readonly look: () => Promise<AgentHealth>
  readonly stopping: AbortSignal
}

/** The first look decides alone: by then an agent that is well is in sync. */
const firstLookAfter = second

export function healthWatch(options: HealthWatchOptions): HealthWatch {
  const { ports, policy, stopping } = options
  let verdict: Verdict | null = null

  async function look({ timeoutMs }: VerdictPolicy): Promise<AgentHealth> {
    try {
      return await withDeadline(ports.timers, options.look(), { ms: timeoutMs, what: 'the look at the loop', signal: stopping })
    } catch (error) {
      return { ok: false, reasons: [`loop: ${messageOf(error)}`] }
    }
  }

  return {
    async run() {
      if (policy === null) return
      await ports.timers.sleep(firstLookAfter, stopping)
      for (;;) {
        const seen = await look(policy)
        stopping.throwIfAborted()
        const before = verdict?.health.ok
        verdict = advanceVerdict(verdict, seen, policy)
        if (before !== undefined && before !== verdict.health.ok) ports.log.warn('the health of this host changed', { ...verdict.health })
        await ports.timers.sleep(policy.intervalMs, stopping)
      }
    },
    verdict: () => verdict?.health ?? { ok: false, reasons: ['loop: it has not looked yet'] },
  }
}
