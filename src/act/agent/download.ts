import { createHash } from 'node:crypto'
import { CideryError } from '../../model/errors.ts'
import { minute, type Milliseconds } from '../../model/instant.ts'
import type { AgentPorts } from '../../ports/agent.ts'
import { isPassing, patiently } from './deadline.ts'

/** How long a download may stand still before it is given up. */
export const transferPatience: Milliseconds = 5 * minute

export type DownloadPorts = Pick<AgentPorts, 'link' | 'clock' | 'timers' | 'random'>

/**
 * The bytes of a blob, taken up again where a connection broke, and checked: the last piece is followed by INVALID_INPUT when they
 * are not what their name says.
 */
export async function* downloadBlob(ports: DownloadPorts, digest: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256')
  let offset = 0
  let failures = 0
  for (;;) {
    const from = offset
    const bytes = await patiently({ ...ports, signal, limitMs: transferPatience }, () => ports.link.downloadBlob(digest, from))
    try {
      for await (const piece of bytes) {
        signal.throwIfAborted()
        hash.update(piece)
        offset += piece.length
        failures = 0
        yield piece
      }
      break
    } catch (error) {
      failures += 1
      if (signal.aborted || !isPassing(error) || failures > 10) throw error
      await ports.timers.sleep(Math.min(10_000, 250 * 2 ** failures), signal)
    }
  }
  const found = hash.digest('hex')
  if (found !== digest) {
    throw new CideryError('INVALID_INPUT', `the ${offset} bytes that came for sha256 ${digest} have the digest ${found}`)
  }
}
