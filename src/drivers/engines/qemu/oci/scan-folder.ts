import type { Threads } from '../../threads.ts'
import type * as chunkWork from './chunk-work.ts'
import type { IndexedFile, Run } from './disk-index.ts'
import type { hashFile } from './hash-file.ts'
import { imageFiles, type ImageFile } from './image-folder.ts'

type ChunkTasks = Pick<typeof chunkWork, 'check' | 'compress' | 'copy' | 'place' | 'scan'> & { readonly hashFile: typeof hashFile }

export type ChunkThreads = Threads<{ [K in keyof ChunkTasks]: ChunkTasks[K] }>

/** Bytes that one task of a thread reads, so that all threads have work. */
const segmentBytes = 32 * 1024 ** 2

/** A chunk that was met, and where it was met first. */
export interface ScannedChunk {
  readonly digest: string
  readonly path: string
  readonly at: number
  readonly length: number
}

export interface ScannedFolder {
  readonly files: readonly IndexedFile[]
  /** In the order in which they are met; each once. */
  readonly chunks: readonly ScannedChunk[]
  /** Of all files, zeros included. */
  readonly sizeBytes: number
  /** Of pieces that are not zeros. */
  readonly dataBytes: number
}

/** Reads all files of a folder and names their chunks. */
export async function scanFolder(folder: string, threads: ChunkThreads, chunkBytes: number): Promise<ScannedFolder> {
  const numbers = new Map<string, number>()
  const chunks: ScannedChunk[] = []
  const files: IndexedFile[] = []
  let dataBytes = 0
  for (const file of imageFiles(folder)) {
    const [{ digest: sha256 }, digests] = await Promise.all([
      threads.run('hashFile', { path: file.path }),
      digestsOf(file, threads, chunkBytes),
    ])
    const runs: Run[] = []
    digests.forEach((digest, position) => {
      if (digest === null) return
      const at = position * chunkBytes
      const length = Math.min(chunkBytes, file.sizeBytes - at)
      dataBytes += length
      const chunk = numbers.get(digest) ?? chunks.push({ digest, path: file.path, at, length }) - 1
      numbers.set(digest, chunk)
      extend(runs, position, chunk)
    })
    files.push({ name: file.name, sizeBytes: file.sizeBytes, sha256, runs })
  }
  return { files, chunks, sizeBytes: files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0), dataBytes }
}

async function digestsOf({ path, sizeBytes }: ImageFile, threads: ChunkThreads, chunkBytes: number): Promise<readonly (string | null)[]> {
  // Whole chunks, whatever their size.
  const step = Math.ceil(segmentBytes / chunkBytes) * chunkBytes
  const starts = Array.from({ length: Math.ceil(sizeBytes / step) }, (_, number) => number * step)
  const segments = await Promise.all(
    starts.map((from) => threads.run('scan', { path, from, to: Math.min(from + step, sizeBytes), chunkBytes })),
  )
  return segments.flatMap(({ digests }) => digests)
}

function extend(runs: Run[], position: number, chunk: number): void {
  const last = runs.at(-1)
  if (last !== undefined && last.position + last.count === position && last.chunk + last.count === chunk) {
    runs[runs.length - 1] = { ...last, count: last.count + 1 }
  } else runs.push({ position, chunk, count: 1 })
}
