import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { CideryError } from '../../src/model/errors.ts'
import type { Blobs } from '../../src/ports/blobs.ts'

/** Blobs in memory, for tests in virtual time. `free` is what the disk is said to have. */
export function memoryBlobs(options: { readonly now: () => number; readonly free?: () => number }): Blobs {
  const held = new Map<string, { bytes: Buffer; changedAt: number }>()
  const bytesOf = (name: string): Buffer => held.get(name)?.bytes ?? Buffer.alloc(0)
  const stream = (bytes: Uint8Array): Readable => Readable.from(bytes.length === 0 ? [] : [bytes], { objectMode: false })
  return {
    async append(name, offset, bytes) {
      const present = bytesOf(name)
      if (offset > present.length) throw new CideryError('OFFSET_MISMATCH', 'a hole', { details: { offset: present.length } })
      const fresh = bytes.subarray(Math.min(bytes.length, present.length - offset))
      held.set(name, { bytes: Buffer.concat([present, fresh]), changedAt: options.now() })
      return present.length + fresh.length
    },
    length: async (name) => bytesOf(name).length,
    read: (name, start, end) => stream(bytesOf(name).subarray(start, end)),
    async seal(name, digest) {
      const bytes = bytesOf(name)
      if (createHash('sha256').update(bytes).digest('hex') !== digest) throw new CideryError('INVALID_INPUT', 'the digest differs')
      held.delete(name)
      held.set(`sha256/${digest}`, { bytes, changedAt: options.now() })
      return { sizeBytes: bytes.length }
    },
    has: async (digest) => held.has(`sha256/${digest}`),
    async open(digest, start = 0) {
      const entry = held.get(`sha256/${digest}`)
      if (entry === undefined) throw new CideryError('NOT_FOUND', 'no such bytes')
      return { sizeBytes: entry.bytes.length, stream: stream(entry.bytes.subarray(start)) }
    },
    remove: async (name) => void held.delete(name),
    async *list(prefix) {
      for (const name of [...held.keys()].sort()) {
        const entry = held.get(name)
        if (name.startsWith(prefix) && entry !== undefined) yield { name, sizeBytes: entry.bytes.length, changedAt: entry.changedAt }
      }
    },
    freeBytes: async () => options.free?.() ?? 1024 ** 4,
  }
}
