import { day } from '../../../model/instant.ts'
import type { AgentPorts } from '../../../ports/agent.ts'
import { messageOf } from '../outcome.ts'
import type { BuildLog } from './build-request.ts'

/** A host keeps the log of a build for so long. */
export const keepBuildLogs = 7 * day

export interface BuildLogListeners {
  /** How much of it is written, in bytes. */
  readonly onLength?: (bytes: number) => void
  /** All that is said, as it comes; also what is too much to be kept. */
  readonly onBytes?: (bytes: Uint8Array) => void
}

/** Writes what a build says in the order in which it was said, without making the build wait. */
export function buildLog(
  ports: Pick<AgentPorts, 'buildLogs' | 'clock' | 'log'>,
  id: string,
  { onLength, onBytes }: BuildLogListeners = {},
): { log: BuildLog; written(): Promise<void> } {
  let writing = Promise.resolve()
  let waiting: Uint8Array[] = []
  let waitingBytes = 0
  /** What a command says faster than a disk takes it is dropped beyond this. */
  const mostWaiting = 16 * 1024 ** 2
  let isDropping = false

  async function flush(): Promise<void> {
    const bytes = Buffer.concat(waiting)
    waiting = []
    waitingBytes = 0
    isDropping = false
    if (bytes.length === 0) return
    await ports.buildLogs.append(id, bytes)
    onLength?.(await ports.buildLogs.length(id))
  }

  function add(bytes: Uint8Array): void {
    onBytes?.(bytes)
    if (waitingBytes + bytes.length > mostWaiting) {
      if (!isDropping) waiting.push(Buffer.from('\n[output was dropped here: it came faster than it could be written]\n'))
      isDropping = true
      return
    }
    waiting.push(bytes)
    waitingBytes += bytes.length
    writing = writing
      .then(flush)
      .catch((error: unknown) => ports.log.error('the log of a build could not be written', { build: id, error: messageOf(error) }))
  }

  return {
    log: {
      line: (text) => add(Buffer.from(`[${new Date(ports.clock.now()).toISOString()}] ${text}\n`)),
      output: add,
    },
    written: () => writing,
  }
}
