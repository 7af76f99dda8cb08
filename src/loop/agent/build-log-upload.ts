import { patiently } from '../../act/agent/deadline.ts'
import { CideryError } from '../../model/errors.ts'
import { hour, second } from '../../model/instant.ts'
import type { AgentPorts } from '../../ports/agent.ts'

export interface BuildLogUpload {
  readonly ports: Pick<AgentPorts, 'buildLogs' | 'link' | 'clock' | 'timers' | 'random'>
  readonly id: string
  /** Nothing more will be written. */
  readonly ended: () => boolean
  readonly signal: AbortSignal
}

const pieceBytes = 512 * 1024
const lookEvery = 2 * second
/** A controller that is away for longer than this does without the rest. */
const patience = 4 * hour

/** Sends the log of a build as it grows, until it is over and all of it is there. Rejects when the controller refuses it, or is away for too long. */
export async function uploadBuildLog({ ports, id, ended, signal }: BuildLogUpload): Promise<void> {
  const { clock, timers, random, link, buildLogs } = ports
  let held = 0
  for (;;) {
    signal.throwIfAborted()
    // Asked before the bytes are: what was complete here has no later byte.
    const isWhole = ended()
    const bytes = await buildLogs.read(id, held, pieceBytes)
    if (bytes.length === 0) {
      if (isWhole) return
      await timers.sleep(lookEvery, signal)
      continue
    }
    try {
      held = await patiently({ clock, timers, random, signal, limitMs: patience }, () => link.appendBuildLog(id, held, bytes))
    } catch (error) {
      held = goOnAt(error)
    }
  }
}

/** Where the controller says that the log goes on; any other error is thrown. */
function goOnAt(error: unknown): number {
  const offset = error instanceof CideryError && error.code === 'OFFSET_MISMATCH' ? error.details?.['offset'] : undefined
  if (typeof offset === 'number') return offset
  throw error
}
