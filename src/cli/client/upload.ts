import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { CideryError } from '../../model/errors.ts'
import type { Cli } from '../cli.ts'
import type { Api } from './api.ts'
import type { UploadView } from './views.ts'

export interface UploadOptions {
  readonly path: string
  readonly sizeBytes: number
  /** SHA-256 of the bytes, hex. */
  readonly digest: string
  readonly signal?: AbortSignal
  /** Called with the bytes that the controller has. */
  readonly sent?: (bytes: number) => void
}

const chunkBytes = 4 * 1024 * 1024
/** A controller that forgets the upload again and again cannot take it. */
const mostBeginnings = 5
/** A controller that restarts in the middle is waited for. */
const patienceMs = 120_000

/** Sends a file in pieces; a piece that got lost is sent again from where the controller says it stopped. Nothing is sent that is there. */
export async function uploadFile(_cli: Cli, api: Api, options: UploadOptions): Promise<void> {
  const file = await open(options.path, 'r')
  try {
    for (let beginning = 1; ; beginning += 1) {
      try {
        await sendOnce(api, file, options)
        return
      } catch (error) {
        const forgotten = error instanceof CideryError && error.code === 'NOT_FOUND'
        if (!forgotten || beginning === mostBeginnings) throw error
      }
    }
  } finally {
    await file.close()
  }
}

async function sendOnce(api: Api, file: FileHandle, { sizeBytes, digest, signal, sent }: UploadOptions): Promise<void> {
  const begun = await api.call<UploadView>('POST', '/uploads', { body: { sizeBytes, digest }, repeatable: true, signal })
  if (begun.complete) return
  let offset = begun.offset
  let corrections = 0
  while (offset < sizeBytes) {
    const chunk = await readChunk(file, offset, Math.min(chunkBytes, sizeBytes - offset))
    try {
      const now = await api.call<UploadView>('PATCH', `/uploads/${begun.id}`, {
        query: { offset },
        bytes: chunk,
        repeatable: true,
        patienceMs,
        idleMs: 120_000,
        signal,
      })
      offset = now.offset
      corrections = 0
    } catch (error) {
      const right = rightOffset(error)
      corrections += 1
      if (right === undefined || corrections > 10) throw error
      offset = right
    }
    sent?.(offset)
  }
  await api.call('POST', `/uploads/${begun.id}/finish`, { body: {}, repeatable: true, patienceMs, idleMs: 120_000, signal })
}

/** Where the controller says that the upload goes on; undefined when the error says something else. */
function rightOffset(error: unknown): number | undefined {
  if (!(error instanceof CideryError) || error.code !== 'OFFSET_MISMATCH') return undefined
  const offset = error.details?.['offset']
  return typeof offset === 'number' ? offset : undefined
}

async function readChunk(file: FileHandle, offset: number, size: number): Promise<Uint8Array> {
  const chunk = Buffer.alloc(size)
  let filled = 0
  while (filled < size) {
    const { bytesRead } = await file.read(chunk, filled, size - filled, offset + filled)
    if (bytesRead === 0) throw new CideryError('CONFLICT', 'the file became shorter while it was sent')
    filled += bytesRead
  }
  return chunk
}
