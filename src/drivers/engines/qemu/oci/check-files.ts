import { join } from 'node:path'
import type { Expected } from './chunk-work.ts'
import type { DiskIndex, IndexedFile } from './disk-index.ts'
import type { ChunkThreads } from './scan-folder.ts'

/** Bytes that one task of a thread reads. */
const batchBytes = 16 * 1024 ** 2
/** Zeros are read in pieces of this size. */
const zeroBytes = 1024 ** 2

export interface WrongPiece {
  readonly file: string
  readonly at: number
  readonly length: number
  /** Number of the chunk that belongs there; null where there must be zeros. */
  readonly chunk: number | null
}

export interface CheckOptions {
  readonly threads: ChunkThreads
  readonly signal: AbortSignal
}

/** Reads files of an image and gives the pieces that do not hold what the index says. */
export async function checkFiles(folder: string, index: DiskIndex, options: CheckOptions): Promise<readonly WrongPiece[]> {
  const wrong: WrongPiece[] = []
  for (const file of index.files) {
    const batches = batchesOf(piecesOf(file, index))
    await Promise.all(
      batches.map(async (batch) => {
        if (options.signal.aborted) return
        const pieces: readonly Expected[] = batch.map(({ at, length, chunk }) => ({
          at,
          length,
          digest: chunk === null ? null : (index.chunks[chunk]?.digest ?? ''),
        }))
        const { wrong: numbers } = await options.threads.run('check', { path: join(folder, file.name), pieces })
        for (const number of numbers) {
          const piece = batch[number]
          if (piece !== undefined) wrong.push(piece)
        }
      }),
    )
    options.signal.throwIfAborted()
  }
  return wrong
}

function piecesOf(file: IndexedFile, { chunkBytes }: DiskIndex): readonly WrongPiece[] {
  const pieces: WrongPiece[] = []
  let end = 0
  const zerosTo = (to: number): void => {
    for (let at = end; at < to; at += zeroBytes) pieces.push({ file: file.name, at, length: Math.min(zeroBytes, to - at), chunk: null })
  }
  for (const { position, chunk, count } of file.runs) {
    zerosTo(position * chunkBytes)
    for (let step = 0; step < count; step += 1) {
      const at = (position + step) * chunkBytes
      pieces.push({ file: file.name, at, length: Math.min(chunkBytes, file.sizeBytes - at), chunk: chunk + step })
    }
    end = (position + count) * chunkBytes
  }
  zerosTo(file.sizeBytes)
  return pieces
}

function batchesOf(pieces: readonly WrongPiece[]): readonly (readonly WrongPiece[])[] {
  const batches: WrongPiece[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const piece of pieces) {
    if (bytes + piece.length > batchBytes) {
      batches.push([])
      bytes = 0
    }
    batches.at(-1)?.push(piece)
    bytes += piece.length
  }
  return batches
}
