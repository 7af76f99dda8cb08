import { CideryError } from '../../../../model/errors.ts'
import { digestOf } from '../../oci-blobs.ts'
import type { Packing } from './format.ts'
import type { ChunkThreads, ScannedChunk } from './scan-folder.ts'

/** Raw bytes that one thread packs at a time. */
const batchBytes = 4 * 1024 ** 2

export interface PackedFrame {
  readonly digest: string
  readonly offset: number
  readonly length: number
}

export interface MadePack {
  readonly digest: string
  readonly bytes: Uint8Array
  readonly frames: readonly PackedFrame[]
}

/**
 * Packs chunks in their order. The same chunks and packing give the same packs, byte for byte, so that a push that was killed finds the packs that it had sent.
 * Keeps one pack and what the threads work on in memory.
 */
export async function* makePacks(chunks: readonly ScannedChunk[], threads: ChunkThreads, packing: Packing): AsyncGenerator<MadePack> {
  let parts: Uint8Array[] = []
  let frames: PackedFrame[] = []
  let size = 0
  function closed(): MadePack {
    const bytes = Buffer.concat(parts)
    const made = { digest: digestOf(bytes), bytes, frames }
    parts = []
    frames = []
    size = 0
    return made
  }
  for await (const { digest, bytes } of packedFrames(chunks, threads, packing.level)) {
    if (size > 0 && size + bytes.length > packing.packBytes) yield closed()
    parts.push(bytes)
    frames.push({ digest, offset: size, length: bytes.length })
    size += bytes.length
  }
  if (size > 0) yield closed()
}

async function* packedFrames(
  chunks: readonly ScannedChunk[],
  threads: ChunkThreads,
  level: number,
): AsyncGenerator<{ readonly digest: string; readonly bytes: Uint8Array }> {
  const ahead: { readonly batch: readonly ScannedChunk[]; readonly packed: Promise<{ bytes: Uint8Array; lengths: readonly number[] }> }[] =
    []
  const batches = batchesOf(chunks)
  try {
    for (;;) {
      while (ahead.length <= threads.count) {
        const batch = batches.next().value
        if (batch === undefined) break
        const packed = threads.run('compress', { path: batch[0]?.path ?? '', pieces: batch, level })
        // It is waited for in its turn; until then a failure is nobody's.
        packed.catch(() => undefined)
        ahead.push({ batch, packed })
      }
      const next = ahead.shift()
      if (next === undefined) return
      const { bytes, lengths } = await next.packed.catch((error: unknown) => {
        throw asChanged(error)
      })
      let at = 0
      for (const [number, { digest }] of next.batch.entries()) {
        const length = lengths[number] ?? 0
        yield { digest, bytes: bytes.subarray(at, at + length) }
        at += length
      }
    }
  } finally {
    await Promise.allSettled(ahead.map(({ packed }) => packed))
  }
}

function asChanged(error: unknown): unknown {
  if (!(error instanceof Error) || !error.message.includes('changed while it was read')) return error
  return new CideryError('CONFLICT', error.message, { hint: 'push an image that nothing writes to', cause: error })
}

/** Chunks of one file each, in order. */
function* batchesOf(chunks: readonly ScannedChunk[]): Generator<readonly ScannedChunk[], undefined> {
  let batch: ScannedChunk[] = []
  let bytes = 0
  for (const chunk of chunks) {
    if (batch.length > 0 && (bytes + chunk.length > batchBytes || chunk.path !== batch[0]?.path)) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(chunk)
    bytes += chunk.length
  }
  if (batch.length > 0) yield batch
  return undefined
}
