import { join } from 'node:path'
import type { LocalPiece, Place } from './chunk-work.ts'
import { placesOf, type DiskIndex } from './disk-index.ts'
import { readProof } from './image-folder.ts'
import type { ChunkThreads } from './scan-folder.ts'

/** Bytes that one task of a thread copies. */
const batchBytes = 8 * 1024 ** 2

export interface Copying {
  readonly index: DiskIndex
  /** Where each chunk belongs, by its number. */
  readonly places: readonly (readonly Place[])[]
  readonly rawLengths: readonly number[]
  readonly threads: ChunkThreads
  readonly signal: AbortSignal
  /** A chunk is proved, written and read back. */
  readonly done: (chunk: number) => void
}

/**
 * Takes chunks from other images of this host. Where they should be is what the indexes beside those say; what they are is what their bytes say. Folders without an index, or with a broken one, give nothing.
 */
export async function copyLocalChunks(copying: Copying, missing: readonly number[], folders: readonly string[]): Promise<void> {
  let left = missing
  for (const folder of folders) {
    if (left.length === 0) return
    const wanted = new Map(left.map((chunk) => [copying.index.chunks[chunk]?.digest ?? '', chunk]))
    const found = piecesIn(folder, copying, wanted)
    const copied = new Set<number>()
    await Promise.all(
      batchesOf(found).map(async (batch) => {
        if (copying.signal.aborted) return
        const { wrong } = await copying.threads.run('copy', { pieces: batch.map(({ piece }) => piece) })
        batch.forEach(({ chunk }, number) => {
          if (wrong.includes(number)) return
          copied.add(chunk)
          copying.done(chunk)
        })
      }),
    )
    copying.signal.throwIfAborted()
    left = left.filter((chunk) => !copied.has(chunk))
  }
}

interface Found {
  readonly chunk: number
  readonly piece: LocalPiece
}

function piecesIn(folder: string, { index, places, rawLengths }: Copying, wanted: Map<string, number>): readonly Found[] {
  const found: Found[] = []
  const theirs = indexIn(folder)
  if (theirs === null) return found
  for (const { file, at, length, chunk: number } of placesOf(theirs)) {
    const digest = theirs.chunks[number]?.digest ?? ''
    const chunk = wanted.get(digest)
    if (chunk === undefined || rawLengths[chunk] !== length || index.chunks[chunk] === undefined) continue
    wanted.delete(digest)
    found.push({ chunk, piece: { from: { path: join(folder, file), at }, length, digest, to: places[chunk] ?? [] } })
  }
  return found
}

function indexIn(folder: string): DiskIndex | null {
  try {
    return readProof(folder).index
  } catch {
    // No image of ours, or a broken one: everything comes from the registry.
    return null
  }
}

function batchesOf(found: readonly Found[]): readonly (readonly Found[])[] {
  const batches: Found[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const one of found) {
    if (bytes + one.piece.length > batchBytes) {
      batches.push([])
      bytes = 0
    }
    batches.at(-1)?.push(one)
    bytes += one.piece.length
  }
  return batches
}
