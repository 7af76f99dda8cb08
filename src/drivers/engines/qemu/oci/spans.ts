import type { DiskIndex } from './disk-index.ts'

/** A frame that is missing. */
export interface MissingFrame {
  /** Number of the chunk in the index. */
  readonly chunk: number
  readonly offset: number
  readonly length: number
}

/** Frames that one task of a thread unpacks. */
export interface Batch {
  readonly from: number
  readonly to: number
  readonly frames: readonly MissingFrame[]
}

/** Bytes of a pack that are asked for at once. Half-open. */
export interface Span {
  readonly pack: number
  readonly from: number
  readonly to: number
  readonly batches: readonly Batch[]
}

/** Between two frames, bytes that are cheaper to fetch than another request is to make. */
const mostGapBytes = 128 * 1024
/** A request of its own for each so many bytes, so that several streams have work to the end. */
const mostSpanBytes = 16 * 1024 ** 2
const mostBatchBytes = 1024 ** 2

/** The requests that bring the chunks: neighbours together, in the order in which they are first needed. */
export function spansOf({ chunks }: DiskIndex, missing: Iterable<number>): readonly Span[] {
  const byPack = new Map<number, MissingFrame[]>()
  for (const number of missing) {
    const chunk = chunks[number]
    if (chunk === undefined) continue
    const frames = byPack.get(chunk.pack) ?? []
    frames.push({ chunk: number, offset: chunk.offset, length: chunk.length })
    byPack.set(chunk.pack, frames)
  }
  return [...byPack].flatMap(([pack, frames]) => {
    const sorted = frames.toSorted((a, b) => a.offset - b.offset)
    return grouped(sorted, (from, to, frame) => frame.offset <= to + mostGapBytes && end(frame) - from <= mostSpanBytes).map((span) => {
      const batches = grouped(span.frames, (from, to, frame) => frame.offset <= to + mostGapBytes && end(frame) - from <= mostBatchBytes)
      return { pack, from: span.from, to: span.to, batches }
    })
  })
}

function end({ offset, length }: MissingFrame): number {
  return offset + length
}

/** Puts frames together while `fits` says that the next may join those from `from` to `to`. */
function grouped(frames: readonly MissingFrame[], fits: (from: number, to: number, frame: MissingFrame) => boolean): readonly Batch[] {
  const groups: { from: number; to: number; frames: MissingFrame[] }[] = []
  for (const frame of frames) {
    const last = groups.at(-1)
    if (last !== undefined && fits(last.from, last.to, frame)) {
      last.frames.push(frame)
      // Two frames may share bytes when an index says so; what counts is where the last one ends.
      last.to = Math.max(last.to, end(frame))
    } else groups.push({ from: frame.offset, to: end(frame), frames: [frame] })
  }
  return groups
}
