import { z } from 'zod'
import { messageOf } from '../../act/agent/outcome.ts'
import { minute, type Milliseconds } from '../../model/instant.ts'
import type { EngineName } from '../../model/job.ts'
import type { AgentPorts } from '../../ports/agent.ts'

const ResidueRecord = z.object({ residue: z.literal(true), engine: z.enum(['user', 'qemu', 'tart']), problem: z.string() })

/** What sandboxes left behind. Their engine is not used until it is gone; the agent tries again and again to remove it. */
export interface Residue {
  load(): Promise<void>
  add(residue: { readonly id: string; readonly engine: EngineName; readonly problem: string }): Promise<void>
  /** Tries to remove what is left, at most once a minute. */
  retry(): Promise<void>
  /** How long until it is tried again; `Infinity`: nothing is left. */
  retryIn(): Milliseconds
  byEngine(): ReadonlyMap<string, readonly string[]>
}

const retryEvery = minute

export function residueOf(ports: Pick<AgentPorts, 'journal' | 'engines' | 'clock' | 'log'>, onChange: () => void): Residue {
  const left = new Map<string, { readonly engine: EngineName; readonly problem: string }>()
  let triedAt = Number.NEGATIVE_INFINITY

  function retryIn(): Milliseconds {
    return left.size === 0 ? Number.POSITIVE_INFINITY : triedAt + retryEvery - ports.clock.steady()
  }

  async function remove(id: string, engine: EngineName): Promise<void> {
    await ports.engines.get(engine)?.stop(id, 0)
    await ports.engines.get(engine)?.destroy(id)
    left.delete(id)
    await ports.journal.remove('sandbox', id)
    ports.log.info('what a sandbox had left behind is gone', { sandbox: id, engine })
    onChange()
  }

  return {
    async load() {
      for (const [id, value] of await ports.journal.list('sandbox')) {
        const record = ResidueRecord.safeParse(value)
        if (record.success) left.set(id, record.data)
      }
    },
    async add({ id, engine, problem }) {
      left.set(id, { engine, problem })
      await ports.journal.put('sandbox', id, { residue: true, engine, problem })
      ports.log.error('a sandbox left something behind; its engine is not used until that is gone', { sandbox: id, engine, problem })
      onChange()
    },
    async retry() {
      if (retryIn() > 0) return
      triedAt = ports.clock.steady()
      for (const [id, { engine }] of left) {
        try {
          await remove(id, engine)
        } catch (error) {
          left.set(id, { engine, problem: messageOf(error) })
        }
      }
    },
    retryIn,
    byEngine() {
      const problems = new Map<string, string[]>()
      for (const [id, { engine, problem }] of left)
        problems.set(engine, [...(problems.get(engine) ?? []), `${id} was not cleaned up: ${problem}`])
      return problems
    },
  }
}
