import { orAborted, withDeadline } from '../../act/agent/deadline.ts'
import { messageOf } from '../../act/agent/outcome.ts'
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
  readonly policy: VerdictPolicy
  /** Looks once, through the loop itself. */
  readonly look: () => Promise<AgentHealth>
  readonly stopping: AbortSignal
}

export function healthWatch(options: HealthWatchOptions): HealthWatch {
  const { ports, policy, stopping } = options
  let verdict: Verdict | null = null

  async function look(): Promise<AgentHealth> {
    try {
      return await orAborted(withDeadline(ports.timers, options.look(), { ms: policy.timeoutMs, what: 'the look at the loop' }), stopping)
    } catch (error) {
      return { ok: false, reasons: [`loop: ${messageOf(error)}`] }
    }
  }

  return {
    async run() {
      for (;;) {
        const seen = await look()
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
