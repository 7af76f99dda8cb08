import { hash } from 'node:crypto'
import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'

/** Bytes of a file. */
export interface Place {
  readonly path: string
  readonly at: number
}

/** A piece of a file, and what it must hold: the sha256 of its bytes as hex, or null for nothing but zeros. */
export interface Expected {
  readonly at: number
  readonly length: number
  readonly digest: string | null
}

export interface Frame {
  /** Where the frame lies in the bytes that came. */
  readonly from: number
  readonly length: number
  readonly rawLength: number
  readonly digest: string
  readonly to: readonly Place[]
}

export interface LocalPiece {
  readonly from: Place
  readonly length: number
  readonly digest: string
  readonly to: readonly Place[]
}

/** Pieces of a file are read together up to so many bytes. */
const readBytes = 1024 ** 2

/** One file is open at a time: the pieces of a task nearly always belong to the same one. */
function withFiles<T>(work: (open: (path: string, flags: 'r' | 'r+') => number) => T): T {
  const files = new Map<string, number>()
  try {
    return work((path, flags) => {
      const key = `${flags}${path}`
      const file = files.get(key) ?? openSync(path, flags)
      files.set(key, file)
      return file
    })
  } finally {
    for (const file of files.values()) closeSync(file)
  }
}

/** Reads until `target` is full or the file ends; gives how many bytes there were. */
function readFull(file: number, target: Uint8Array, at: number): number {
  let done = 0
  while (done < target.length) {
    const count = readSync(file, target, done, target.length - done, at + done)
    if (count === 0) break
    done += count
  }
  return done
}

function writeFull(file: number, bytes: Uint8Array, at: number): void {
  for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done, bytes.length - done, at + done)
}

const zeros = Buffer.alloc(readBytes)

function isZero(bytes: Buffer): boolean {
  for (let at = 0; at < bytes.length; at += zeros.length) {
    const part = bytes.subarray(at, at + zeros.length)
    if (!part.equals(zeros.subarray(0, part.length))) return false
  }
  return true
}

/** Digests of the pieces from `from` to `to`, in order; null is a piece of zeros. `to` may lie behind the end of the file. */
export function scan(input: { readonly path: string; readonly from: number; readonly to: number; readonly chunkBytes: number }): {
  readonly digests: readonly (string | null)[]
} {
  const { path, from, to, chunkBytes } = input
  const block = Buffer.allocUnsafe(Math.ceil(readBytes / chunkBytes) * chunkBytes)
  const digests: (string | null)[] = []
  return withFiles((open) => {
    for (let at = from; at < to; at += block.length) {
      const count = readFull(open(path, 'r'), block.subarray(0, Math.min(block.length, to - at)), at)
      for (let start = 0; start < count; start += chunkBytes) {
        const piece = block.subarray(start, Math.min(start + chunkBytes, count))
        digests.push(isZero(piece) ? null : hash('sha256', piece, 'hex'))
      }
    }
    return { digests }
  })
}

/** One zstd frame per piece, one behind the other. Throws when a piece is not what it was when it was scanned. */
export function compress(input: { readonly path: string; readonly pieces: readonly Expected[]; readonly level: number }): {
  readonly bytes: Uint8Array
  readonly lengths: readonly number[]
} {
  const params = { [constants.ZSTD_c_compressionLevel]: input.level }
  return withFiles((open) => {
    const frames = input.pieces.map(({ at, length, digest }) => {
      const piece = Buffer.allocUnsafe(length)
      if (readFull(open(input.path, 'r'), piece, at) < length || hash('sha256', piece, 'hex') !== digest) {
        throw new Error(`${input.path} changed while it was read, at byte ${at}`)
      }
      return zstdCompressSync(piece, { params, chunkSize: length + 1024 })
    })
    const lengths = frames.map((frame) => frame.length)
    // Memory of its own, to be handed over.
    const bytes = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0))
    let at = 0
    for (const frame of frames) {
      bytes.set(frame, at)
      at += frame.length
    }
    return { bytes, lengths }
  })
}

function unpacked(bytes: Uint8Array, { from, length, rawLength, digest }: Frame): Buffer | null {
  try {
    const raw = zstdDecompressSync(bytes.subarray(from, from + length), { maxOutputLength: rawLength, chunkSize: Math.max(64, rawLength) })
    return raw.length === rawLength && hash('sha256', raw, 'hex') === digest ? raw : null
  } catch {
    // Not a frame, or one that would give more than it may: as wrong as one with other bytes.
    return null
  }
}

let readBack = Buffer.allocUnsafe(0)

/** Writes bytes and reads them back: what was proved in memory is then proved on the disk, without being hashed again. */
function writeProved(file: number, bytes: Uint8Array, { path, at }: Place): void {
  writeFull(file, bytes, at)
  if (readBack.length < bytes.length) readBack = Buffer.allocUnsafe(bytes.length)
  const back = readBack.subarray(0, bytes.length)
  if (readFull(file, back, at) === bytes.length && back.equals(bytes)) return
  throw Object.assign(new Error(`${path} does not give back what was written to it, at byte ${at}`), { code: 'EIO' })
}

/** Unpacks frames into their places; gives the numbers of those that are not what their digest says, which are not written. */
export function place(input: { readonly bytes: Uint8Array; readonly frames: readonly Frame[] }): { readonly wrong: readonly number[] } {
  const wrong: number[] = []
  return withFiles((open) => {
    input.frames.forEach((frame, number) => {
      const raw = unpacked(input.bytes, frame)
      if (raw === null) wrong.push(number)
      else for (const to of frame.to) writeProved(open(to.path, 'r+'), raw, to)
    })
    return { wrong }
  })
}

/** Copies pieces of other images into their places; gives the numbers of those that are not what their digest says, which are not written. */
export function copy(input: { readonly pieces: readonly LocalPiece[] }): { readonly wrong: readonly number[] } {
  const wrong: number[] = []
  const block = Buffer.allocUnsafe(Math.max(0, ...input.pieces.map(({ length }) => length)))
  return withFiles((open) => {
    input.pieces.forEach(({ from, length, digest, to: places }, number) => {
      const piece = block.subarray(0, length)
      if (readFull(open(from.path, 'r'), piece, from.at) < length || hash('sha256', piece, 'hex') !== digest) wrong.push(number)
      else for (const to of places) writeProved(open(to.path, 'r+'), piece, to)
    })
    return { wrong }
  })
}

/** Gives the numbers of the pieces that do not hold what they must. The pieces are in the order of the file. */
export function check(input: { readonly path: string; readonly pieces: readonly Expected[] }): { readonly wrong: readonly number[] } {
  const wrong: number[] = []
  let block = Buffer.allocUnsafe(0)
  return withFiles((open) => {
    input.pieces.forEach(({ at, length, digest }, number) => {
      if (block.length < length) block = Buffer.allocUnsafe(length)
      const piece = block.subarray(0, length)
      const whole = readFull(open(input.path, 'r'), piece, at) === length
      if (!whole || !(digest === null ? isZero(piece) : hash('sha256', piece, 'hex') === digest)) wrong.push(number)
    })
    return { wrong }
  })
}
