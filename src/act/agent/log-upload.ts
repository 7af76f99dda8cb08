import { CideryError } from '../../model/errors.ts'
import type { AgentPorts } from '../../ports/agent.ts'
import { isPassing } from './deadline.ts'
import { redact, redactionFor, undecided, type Redaction } from './redact.ts'

export interface LogUpload {
  readonly ports: Pick<AgentPorts, 'link' | 'supervisors' | 'timers' | 'random' | 'log'>
  readonly attemptId: string
  /** The values of the job's secrets; asked once, before the first byte goes out. */
  readonly secrets: () => Promise<Readonly<Record<string, string>>>
  /** Whether the command ended, so that the log grows no more. */
  readonly ended: () => boolean
  /** Aborted when the agent stops; the next one takes the upload up again. */
  readonly signal: AbortSignal
  readonly onRedaction?: (redaction: Redaction) => void
}

/** One request carries at most this much, so that memory stays flat whatever a job writes. */
const pieceLimit = 1024 ** 2
const pollFast = 100
/** Shorter than a reader waits for the end of a log whose command is over (30 s), so that one lost connection cuts no reader off. */
const longestPause = 10_000

/**
 * Brings an attempt's log to the controller while it grows, with secrets hidden, and says where it ends. Resolves when the controller has all of
 * it, or when it no longer wants it. The offset is asked of the controller at the start and after each cut, so nothing is kept here.
 */
export async function uploadLog(upload: LogUpload): Promise<void> {
  const { ports, signal } = upload
  let pause = pollFast
  for (;;) {
    try {
      await uploadFrom(upload, () => {
        pause = pollFast
      })
      return
    } catch (error) {
      if (signal.aborted) throw error
      if (!isPassing(error) && !(error instanceof CideryError && error.code === 'OFFSET_MISMATCH')) {
        ports.log.warn('a log was not wanted by the controller', { attempt: upload.attemptId, error: String(error) })
        return
      }
      pause = Math.min(longestPause, pause * 2)
      await ports.timers.sleep(pause * (0.5 + ports.random.fraction() / 2), signal)
    }
  }
}

async function uploadFrom(upload: LogUpload, onProgress: () => void): Promise<void> {
  const { ports, attemptId, signal } = upload
  let held = await ports.link.appendLog(attemptId, 0, new Uint8Array())
  if (upload.ended() && (await ports.supervisors.logLength(attemptId)) === held) {
    await ports.link.finishLog(attemptId, held)
    return
  }
  const secrets = await secretsOrNull(upload)
  if (secrets === null) {
    held = await ports.link.appendLog(attemptId, held, Buffer.from(withheldMark))
    await ports.link.finishLog(attemptId, held)
    return
  }
  const redaction = redactionFor(secrets)
  upload.onRedaction?.(redaction)
  for (;;) {
    signal.throwIfAborted()
    // Asked before the length: a log that was complete here has no later byte.
    const complete = upload.ended()
    const length = await ports.supervisors.logLength(attemptId)
    if (held > length) throw new CideryError('CONFLICT', `the controller holds ${held} bytes of a log of ${length}`)
    const piece = held < length ? await readPiece(upload, { redaction, held, length, complete }) : new Uint8Array()
    if (piece.length > 0) {
      held = await ports.link.appendLog(attemptId, held, piece)
      onProgress()
      continue
    }
    if (complete && held === length) {
      await ports.link.finishLog(attemptId, length)
      return
    }
    await ports.supervisors.waitForLog(attemptId, length, signal)
    // The end of the command is known a moment before the attempt has taken it in.
    if ((await ports.supervisors.logLength(attemptId)) === length) await ports.timers.sleep(pollFast, signal)
  }
}

const withheldMark = '\n[cidery: the rest of this log is withheld: the secrets to be hidden in it could not be fetched again]\n'

/** The secrets to hide, or null when the controller refuses them: then nothing more of the log may go out. */
async function secretsOrNull(upload: LogUpload): Promise<Readonly<Record<string, string>> | null> {
  try {
    return await upload.secrets()
  } catch (error) {
    if (upload.signal.aborted || isPassing(error)) throw error
    upload.ports.log.error('a log is withheld because its secrets could not be fetched', {
      attempt: upload.attemptId,
      error: String(error),
    })
    return null
  }
}

interface Window {
  readonly redaction: Redaction
  readonly held: number
  readonly length: number
  readonly complete: boolean
}

/** The next bytes to send: read with enough around them to see a secret that lies across their edges. */
async function readPiece(upload: LogUpload, window: Window): Promise<Uint8Array> {
  const { redaction, held, length, complete } = window
  const margin = Math.max(0, redaction.longest - 1)
  const start = Math.max(0, held - margin)
  const bytes = await readFully(upload, start, held - start + pieceLimit + margin)
  const hidden = redact(bytes, redaction)
  const reachesEnd = start + bytes.length >= length
  // What may be the beginning of a secret waits for the rest of it, unless there is none to come.
  const certain = reachesEnd ? bytes.length - (complete ? 0 : undecided(bytes, redaction)) : bytes.length - margin
  return hidden.subarray(held - start, Math.max(held - start, Math.min(certain, held - start + pieceLimit)))
}

async function readFully(upload: LogUpload, start: number, limit: number): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  let size = 0
  while (size < limit) {
    const piece = await upload.ports.supervisors.readLog(upload.attemptId, start + size, limit - size)
    if (piece.length === 0) break
    pieces.push(piece)
    size += piece.length
  }
  return Buffer.concat(pieces)
}
