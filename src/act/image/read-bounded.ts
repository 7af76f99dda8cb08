import { CideryError } from '../../model/errors.ts'
import { formatDuration } from '../../model/instant.ts'
import type { Milliseconds } from '../../model/instant.ts'
import type { Downloads } from '../../ports/downloads.ts'
import type { Timers } from '../../ports/time.ts'

export interface ReadBounds {
  readonly downloads: Downloads
  readonly timers: Timers
  readonly maxBytes: number
  readonly timeout: Milliseconds
  readonly signal: AbortSignal
  /** What progress calls it. */
  readonly what: string
  say(message: string): void
}

const mebibyte = 1_048_576

/** Reads a file of the web to its end, within time and size, and says how far it is. Gives its size in bytes. */
export async function readBounded(url: string, bounds: ReadBounds, take: (part: Uint8Array) => void): Promise<number> {
  const deadline = new AbortController()
  const late = () =>
    new CideryError('UNREACHABLE', `${url} was not there whole within ${formatDuration(bounds.timeout)}`, {
      hint: '--timeout gives it longer',
    })
  const timer = bounds.timers.after(bounds.timeout, () => deadline.abort(late()))
  try {
    const { sizeBytes, bytes } = await bounds.downloads.read(url, AbortSignal.any([bounds.signal, deadline.signal]))
    if (sizeBytes !== null && sizeBytes > bounds.maxBytes) throw tooLarge(url, bounds.maxBytes)
    let size = 0
    for await (const part of bytes) {
      size += part.byteLength
      if (size > bounds.maxBytes) throw tooLarge(url, bounds.maxBytes)
      take(part)
      bounds.say(progressText(bounds.what, size, sizeBytes))
    }
    if (sizeBytes !== null && size !== sizeBytes) throw new CideryError('UNREACHABLE', `${url} ended after ${size} of ${sizeBytes} bytes`)
    return size
  } catch (error) {
    throw deadline.signal.aborted ? deadline.signal.reason : error
  } finally {
    timer.cancel()
  }
}

/** How much is worth a line of its own. */
const piece = 16 * mebibyte

/** Whole tenths of the way, so that a log gets ten lines and not ten thousand; of what is small, only that it is read. */
function progressText(what: string, size: number, whole: number | null): string {
  if (whole === null) return `${what}: ${Math.floor(size / piece) * 16} MiB`
  return whole < piece ? what : `${what}: ${Math.floor((size * 10) / whole) * 10} % of ${Math.round(whole / mebibyte)} MiB`
}

function tooLarge(url: string, maxBytes: number): CideryError {
  return new CideryError('PAYLOAD_TOO_LARGE', `${url} is larger than ${Math.floor(maxBytes / mebibyte)} MiB`, {
    hint: '--max-size allows more',
  })
}
