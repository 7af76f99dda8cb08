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

/** A chunk that an image of this host is said to have. */
export interface Found {
  readonly chunk: number
  readonly piece: LocalPiece
}

/**
 * Chunks that other images of this host have, as the indexes beside those say; each from the first folder that has it. Folders without an index, or with a broken
 * one, give nothing.
 */
export function findLocalChunks(copying: Copying, missing: readonly number[], folders: readonly string[]): readonly Found[] {
  const wanted = new Map(missing.map((chunk) => [copying.index.chunks[chunk]?.digest ?? '', chunk]))
  return folders.flatMap((folder) => [...piecesIn(folder, copying, wanted)])
}

function* piecesIn(folder: string, { places, rawLengths }: Copying, wanted: Map<string, number>): Generator<Found> {
  const theirs = wanted.size === 0 ? null : indexIn(folder)
  if (theirs === null) return
  for (const { file, at, length, chunk: number } of placesOf(theirs)) {
    const digest = theirs.chunks[number]?.digest ?? ''
    const chunk = wanted.get(digest)
    if (chunk === undefined || rawLengths[chunk] !== length) continue
    wanted.delete(digest)
    yield { chunk, piece: { from: { path: join(folder, file), at }, length, digest, to: places[chunk] ?? [] } }
  }
}

function indexIn(folder: string): DiskIndex | null {
  try {
    return readProof(folder).index
  } catch {
    // No image of ours, or a broken one: everything comes from the registry.
    return null
  }
}

/** Copies chunks that were found, and proves each by its bytes; what is not what it was said to be is left out. */
export async function copyChunks({ threads, signal, done }: Copying, found: readonly Found[]): Promise<void> {
  await Promise.all(
    batchesOf(found).map(async (batch) => {
      if (signal.aborted) return
      const { wrong } = await threads.run('copy', { pieces: batch.map(({ piece }) => piece) })
      batch.forEach(({ chunk }, number) => {
        if (!wrong.includes(number)) done(chunk)
      })
    }),
  )
  signal.throwIfAborted()
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
