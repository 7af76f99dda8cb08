import { messageOf } from '../../act/agent/outcome.ts'
import { engineWith, openStream } from '../../act/agent/stream.ts'
import type { DesiredStream } from '../../model/sync.ts'
import type { AgentPorts } from '../../ports/agent.ts'

/** Shells and commands that people opened in sandboxes. */
export interface StreamBoard {
  apply(desired: readonly DesiredStream[]): void
  settled(): Promise<void>
}

/** At once; more wait for the controller to list them again. */
const mostStreams = 32

export function streamBoard(ports: AgentPorts, stopping: AbortSignal): StreamBoard {
  const open = new Map<string, Promise<void>>()
  /** Streams that ended and are still listed are not opened again. */
  const over = new Set<string>()

  async function attach(desired: DesiredStream): Promise<void> {
    try {
      await openStream(ports, desired, { subject: await engineWith(ports, desired.sandboxId), stopping })
    } catch (error) {
      ports.log.warn('a stream could not be opened', { stream: desired.id, error: messageOf(error) })
    } finally {
      open.delete(desired.id)
      over.add(desired.id)
    }
  }

  return {
    apply(desired) {
      const wanted = new Set(desired.map(({ id }) => id))
      for (const id of over) if (!wanted.has(id)) over.delete(id)
      for (const each of desired) {
        if (open.has(each.id) || over.has(each.id) || open.size >= mostStreams) continue
        open.set(each.id, attach(each))
      }
    },
    async settled() {
      await Promise.all(open.values())
    },
  }
}
