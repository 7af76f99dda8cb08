import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { z } from 'zod'
import { CideryError } from '../../../../model/errors.ts'
import { isFileName } from './format.ts'

export interface Pack {
  /** `sha256:…` of the blob. */
  readonly digest: string
  readonly sizeBytes: number
}

/** A piece of a disk that is not zeros, and the zstd frame that it is packed in. */
export interface Chunk {
  /** sha256 of the raw bytes, 64 hexadecimal digits. */
  readonly digest: string
  /** Number of the pack. */
  readonly pack: number
  readonly offset: number
  readonly length: number
}

/** `count` chunks one after the other, from the place number `position` (in chunks) on, numbered from `chunk` on. */
export interface Run {
  readonly position: number
  readonly chunk: number
  readonly count: number
}

export interface IndexedFile {
  readonly name: string
  readonly sizeBytes: number
  /** sha256 of the whole file, 64 hexadecimal digits. */
  readonly sha256: string
  /** In order; what lies between them is zeros. */
  readonly runs: readonly Run[]
}

/** What an image is made of, file by file. Chunks are numbered in the order in which they are first met, so that runs are few. */
export interface DiskIndex {
  readonly chunkBytes: number
  readonly packs: readonly Pack[]
  readonly chunks: readonly Chunk[]
  readonly files: readonly IndexedFile[]
}

const whole = z.int().nonnegative()
const hex = z.string().regex(/^[0-9a-f]{64}$/)

const indexJson = z.strictObject({
  schemaVersion: z.literal(1),
  chunkBytes: z
    .int()
    .min(1024)
    .max(16 * 1024 ** 2),
  packs: z.array(z.tuple([z.string().regex(/^sha256:[0-9a-f]{64}$/), whole])),
  chunks: z.array(z.tuple([hex, whole, whole, whole])),
  files: z.array(
    z.strictObject({ name: z.string(), size: whole, sha256: hex, runs: z.array(z.tuple([whole, whole, z.int().positive()])) }),
  ),
})

/** An index of more bytes than this is not unpacked: 300 GB of data make 250 MB. */
const mostIndexBytes = 512 * 1024 ** 2

export function encodeIndex({ chunkBytes, packs, chunks, files }: DiskIndex): Uint8Array {
  const json = {
    schemaVersion: 1,
    chunkBytes,
    packs: packs.map(({ digest, sizeBytes }) => [digest, sizeBytes] as [string, number]),
    chunks: chunks.map(({ digest, pack, offset, length }) => [digest, pack, offset, length] as [string, number, number, number]),
    files: files.map(({ name, sizeBytes, sha256, runs }) => ({
      name,
      size: sizeBytes,
      sha256,
      runs: runs.map(({ position, chunk, count }) => [position, chunk, count] as [number, number, number]),
    })),
  } satisfies z.infer<typeof indexJson>
  return zstdCompressSync(JSON.stringify(json))
}

/** Reads an index that comes from outside. INVALID_INPUT says what in it cannot be; nothing is written by an index that was not read whole. */
export function decodeIndex(bytes: Uint8Array): DiskIndex {
  const parsed = indexJson.safeParse(jsonOf(bytes))
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw refused(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'it is of another shape'}`)
  }
  const index: DiskIndex = {
    chunkBytes: parsed.data.chunkBytes,
    packs: parsed.data.packs.map(([digest, sizeBytes]) => ({ digest, sizeBytes })),
    chunks: parsed.data.chunks.map(([digest, pack, offset, length]) => ({ digest, pack, offset, length })),
    files: parsed.data.files.map(({ name, size, sha256, runs }) => ({
      name,
      sizeBytes: size,
      sha256,
      runs: runs.map(([position, chunk, count]) => ({ position, chunk, count })),
    })),
  }
  for (const [number, chunk] of index.chunks.entries()) {
    const problem = problemOfChunk(index, chunk)
    if (problem !== null) throw refused(`chunks.${number}: ${problem}`)
  }
  for (const file of index.files) {
    const problem = problemOfFile(index, file)
    if (problem !== null) throw refused(`the file ${JSON.stringify(file.name.slice(0, 200))}: ${problem}`)
  }
  if (new Set(index.files.map(({ name }) => name.toLowerCase())).size < index.files.length) throw refused('two files have the same name')
  rawLengths(index)
  return index
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(zstdDecompressSync(bytes, { maxOutputLength: mostIndexBytes }).toString('utf8')) as unknown
  } catch (error) {
    throw new CideryError(
      'INVALID_INPUT',
      `the index of the image cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      {
        cause: error,
      },
    )
  }
}

function refused(problem: string): CideryError {
  return new CideryError('INVALID_INPUT', `the index of the image is not valid: ${problem}`, {
    hint: 'push the image again with this version of cidery',
  })
}

function problemOfChunk({ packs }: DiskIndex, { pack, offset, length }: Chunk): string | null {
  const held = packs[pack]
  if (held === undefined) return `there is no pack ${pack}`
  if (length === 0 || offset + length > held.sizeBytes)
    return `bytes ${offset} to ${offset + length} are not in its pack of ${held.sizeBytes}`
  return null
}

function problemOfFile({ chunkBytes, chunks }: DiskIndex, { name, sizeBytes, runs }: IndexedFile): string | null {
  if (!isFileName(name)) return 'a name has letters, digits, . _ and -, and is not one of the files that cidery keeps beside them'
  const places = Math.ceil(sizeBytes / chunkBytes)
  let next = 0
  for (const { position, chunk, count } of runs) {
    if (position < next) return `chunks overlap at place ${position}`
    next = position + count
    if (next > places) return `there is no place ${next - 1} in ${sizeBytes} bytes`
    if (chunk + count > chunks.length) return `there is no chunk ${chunk + count - 1}`
  }
  return null
}

/** A place where a chunk belongs, in bytes. */
export interface ChunkPlace {
  readonly file: string
  readonly at: number
  readonly length: number
  readonly chunk: number
}

/** Every place of every chunk, file by file, in order. */
export function* placesOf({ chunkBytes, files }: DiskIndex): Generator<ChunkPlace> {
  for (const { name, sizeBytes, runs } of files) {
    for (const { position, chunk, count } of runs) {
      for (let step = 0; step < count; step += 1) {
        const at = (position + step) * chunkBytes
        yield { file: name, at, length: Math.min(chunkBytes, sizeBytes - at), chunk: chunk + step }
      }
    }
  }
}

/** Bytes of each chunk when unpacked. INVALID_INPUT when one belongs nowhere, or into places of different lengths. */
export function rawLengths(index: DiskIndex): readonly number[] {
  const lengths = index.chunks.map(() => 0)
  for (const { chunk, length } of placesOf(index)) {
    if (![0, length].includes(lengths[chunk] ?? 0))
      throw refused(`chunks.${chunk}: it has places of ${lengths[chunk] ?? 0} and of ${length} bytes`)
    lengths[chunk] = length
  }
  const nowhere = lengths.indexOf(0)
  if (nowhere >= 0) throw refused(`chunks.${nowhere}: it belongs nowhere`)
  return lengths
}
