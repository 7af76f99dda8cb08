import { createHash } from 'node:crypto'
import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { encodeAppleLz4, endOfStream } from './lz4.ts'

/** Bytes that are in memory at once. */
const stepBytes = 4 * 1024 ** 2

function* stepsOf(path: string, from: number, length: number): Generator<Buffer> {
  const file = openSync(path, 'r')
  try {
    const block = Buffer.allocUnsafe(Math.min(stepBytes, length))
    for (let done = 0; done < length;) {
      const count = readSync(file, block, 0, Math.min(block.length, length - done), from + done)
      if (count === 0) return
      yield block.subarray(0, count)
      done += count
    }
  } finally {
    closeSync(file)
  }
}

/** sha256 of a piece of a file, as `sha256:…`; a file that ends earlier gives that of what is there. */
export function hashRange({ path, from, length }: { readonly path: string; readonly from: number; readonly length: number }): {
  readonly digest: string
} {
  const hash = createHash('sha256')
  for (const step of stepsOf(path, from, length)) hash.update(step)
  return { digest: `sha256:${hash.digest('hex')}` }
}

/** Packs a piece of a file into another file. `rawDigest` is what was packed, `digest` what came out. */
export function packRange(input: { readonly path: string; readonly from: number; readonly length: number; readonly target: string }): {
  readonly digest: string
  readonly sizeBytes: number
  readonly rawDigest: string
} {
  const [hash, rawHash] = [createHash('sha256'), createHash('sha256')]
  let sizeBytes = 0
  const target = openSync(input.target, 'w', 0o600)
  try {
    const write = (bytes: Uint8Array): void => {
      hash.update(bytes)
      for (let done = 0; done < bytes.length;) done += writeSync(target, bytes, done, bytes.length - done)
      sizeBytes += bytes.length
    }
    for (const step of stepsOf(input.path, input.from, input.length)) {
      rawHash.update(step)
      // Blocks do not know of each other: the stream is the same as if it had been packed at once.
      write(encodeAppleLz4(step).subarray(0, -endOfStream.length))
    }
    write(endOfStream)
  } finally {
    closeSync(target)
  }
  return { digest: `sha256:${hash.digest('hex')}`, sizeBytes, rawDigest: `sha256:${rawHash.digest('hex')}` }
}
