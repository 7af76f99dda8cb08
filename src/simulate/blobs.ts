import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { CideryError } from '../model/errors.ts'
import type { Blobs } from '../ports/blobs.ts'

interface Held {
  readonly parts: Uint8Array[]
  length: number
  changedAt: number
}

/** Blobs in memory. `free` is what the disk is said to have. */
export function memoryBlobs(options: { readonly now: () => number; readonly free?: () => number }): Blobs {
  const held = new Map<string, Held>()
  const bytesOf = (name: string): Buffer => Buffer.concat(held.get(name)?.parts ?? [])
  const stream = (bytes: Uint8Array): Readable => Readable.from(bytes.length === 0 ? [] : [bytes], { objectMode: false })
  return {
    async append(name, offset, bytes) {
      const entry = held.get(name) ?? { parts: [], length: 0, changedAt: 0 }
      if (offset > entry.length) throw new CideryError('OFFSET_MISMATCH', 'a hole', { details: { offset: entry.length } })
      const fresh = bytes.subarray(Math.min(bytes.length, entry.length - offset))
      if (fresh.length > 0) entry.parts.push(Uint8Array.from(fresh))
      entry.length += fresh.length
      entry.changedAt = options.now()
      held.set(name, entry)
      return entry.length
    },
    length: async (name) => held.get(name)?.length ?? 0,
    read: (name, start, end) => stream(bytesOf(name).subarray(start, end)),
    async seal(name, digest) {
      const bytes = bytesOf(name)
      if (createHash('sha256').update(bytes).digest('hex') !== digest) throw new CideryError('INVALID_INPUT', 'the digest differs')
      held.delete(name)
      held.set(`sha256/${digest}`, { parts: [bytes], length: bytes.length, changedAt: options.now() })
      return { sizeBytes: bytes.length }
    },
    has: async (digest) => held.has(`sha256/${digest}`),
    async open(digest, start = 0) {
      const name = `sha256/${digest}`
      const entry = held.get(name)
      if (entry === undefined) throw new CideryError('NOT_FOUND', 'no such bytes')
      return { sizeBytes: entry.length, stream: stream(bytesOf(name).subarray(start)) }
    },
    remove: async (name) => void held.delete(name),
    async *list(prefix) {
      for (const name of [...held.keys()].toSorted()) {
        const entry = held.get(name)
        if (name.startsWith(prefix) && entry !== undefined) yield { name, sizeBytes: entry.length, changedAt: entry.changedAt }
      }
    },
    freeBytes: async () => options.free?.() ?? 1024 ** 4,
  }
}
