import type { DiskIndex, Pack } from './disk-index.ts'
import type { Packing } from './format.ts'

/** Where a chunk lies already. */
export interface KnownFrame {
  readonly pack: Pack
  readonly offset: number
  readonly length: number
}

export interface Reusable {
  /** Digests of chunks, 64 hexadecimal digits. */
  readonly wanted: readonly string[]
  readonly bases: readonly DiskIndex[]
  /** Digests of packs that the registry does not have any more. */
  readonly gone: ReadonlySet<string>
}

/**
 * Which chunks are not packed again: those that lie in packs of earlier images which are worth being kept.
 *
 * A pack of which less than `liveShare` counts for the new image is left behind: what lives in it is packed anew. So an image never names more than
 * 1 / liveShare times the bytes it needs, however often it was rebuilt. Small packs, one more with each rebuild, are packed together anew when there are too many.
 */
export function reusable({ wanted, bases, gone }: Reusable, packing: Packing): ReadonlyMap<string, KnownFrame> {
  const left = new Set(gone)
  for (;;) {
    const known = firstKnown(wanted, bases, left)
    const wasted = unworthy(known, packing)
    if (wasted.length === 0) return known
    // What is left behind here may be in a pack of another base.
    for (const digest of wasted) left.add(digest)
  }
}

function firstKnown(wanted: readonly string[], bases: readonly DiskIndex[], left: ReadonlySet<string>): Map<string, KnownFrame> {
  const asked = new Set(wanted)
  const known = new Map<string, KnownFrame>()
  for (const { chunks, packs } of bases) {
    for (const { digest, pack: number, offset, length } of chunks) {
      const pack = packs[number]
      if (pack === undefined || left.has(pack.digest) || !asked.has(digest) || known.has(digest)) continue
      known.set(digest, { pack, offset, length })
    }
  }
  return known
}

function unworthy(known: ReadonlyMap<string, KnownFrame>, { liveShare, packBytes, smallPacks }: Packing): readonly string[] {
  const packs = new Map<string, { readonly sizeBytes: number; live: number }>()
  for (const { pack, length } of known.values()) {
    const counted = packs.get(pack.digest) ?? { sizeBytes: pack.sizeBytes, live: 0 }
    counted.live += length
    packs.set(pack.digest, counted)
  }
  const wasted = [...packs].filter(([, { sizeBytes, live }]) => live < sizeBytes * liveShare)
  if (wasted.length > 0) return wasted.map(([digest]) => digest)
  const small = [...packs].filter(([, { sizeBytes }]) => sizeBytes < packBytes / 4)
  return small.length > smallPacks ? small.map(([digest]) => digest) : []
}
