import { Readable, type Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createZstdDecompress } from 'node:zlib'
import { extract, pack, type Extract, type Header, type Pack } from 'tar-stream'
import { CideryError } from '../../model/errors.ts'

export interface TarLimits {
  /** Bytes of all files together. */
  readonly bytes: number
  readonly entries: number
}

function climbs(path: string): boolean {
  return path.startsWith('/') || path.includes('\0') || path.split('/').includes('..')
}

/** Why an entry of a source archive is refused; null when it is not. Symbolic links may say anything: they are followed by the job's user only. */
function entryProblem(header: Header): string | null {
  if (climbs(header.name)) return `the source archive has the path ${JSON.stringify(header.name)}, which leads out of the work directory`
  switch (header.type) {
    case 'file':
    case 'contiguous-file':
    case 'directory':
    case 'symlink':
      return null
    case 'link':
      return climbs(header.linkname)
        ? `the hard link ${JSON.stringify(header.name)} of the source archive leads out of the work directory`
        : null
    default:
      return `the source archive has ${JSON.stringify(header.name)} of type ${header.type}; only files, directories and links are taken`
  }
}

function isZstd(first: Uint8Array): boolean {
  return first[0] === 0x28 && first[1] === 0xb5 && first[2] === 0x2f && first[3] === 0xfd
}

/** Unpacks zstd when the bytes begin as it does; a plain tar passes as it is. */
export async function* unzstd(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const iterator = bytes[Symbol.asyncIterator]()
  let head = Buffer.alloc(0)
  while (head.length < 4) {
    const next = await iterator.next()
    if (next.done === true) break
    head = Buffer.concat([head, next.value])
  }
  async function* whole(): AsyncGenerator<Uint8Array> {
    if (head.length > 0) yield head
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) yield next.value
  }
  if (!isZstd(head)) {
    yield* whole()
    return
  }
  const unpacked: Duplex = createZstdDecompress()
  const fed = pipeline(Readable.from(whole(), { objectMode: false }), unpacked)
  fed.catch(() => {
    // The same error comes out of `unpacked`.
  })
  yield* unpacked as AsyncIterable<Uint8Array>
  await fed
}

/**
 * Packs a tar anew with only what a source may hold: no path that climbs out, no device, no set-user-id bit, no owner. Throws
 * INVALID_INPUT at the first entry that is refused, or when it is larger than the limits.
 */
export async function* cleanTar(bytes: AsyncIterable<Uint8Array>, limits: TarLimits): AsyncGenerator<Uint8Array> {
  const entries = extract()
  const packed = pack()
  const feed = Readable.from(bytes, { objectMode: false })
  feed.on('error', (error) => entries.destroy(error))
  entries.on('error', () => {
    // Thrown by the loop of `repack`.
  })
  feed.pipe(entries)
  repack(entries, packed, limits).catch((error: unknown) => packed.destroy(asError(error)))
  try {
    yield* packed as AsyncIterable<Uint8Array>
  } finally {
    feed.destroy()
    entries.destroy(new Error('dropped'))
    packed.destroy(new Error('dropped'))
  }
}

async function repack(entries: Extract, packed: Pack, limits: TarLimits): Promise<void> {
  let size = 0
  let count = 0
  for await (const entry of entries) {
    const { header } = entry
    const problem = entryProblem(header)
    if (problem !== null) throw new CideryError('INVALID_INPUT', problem)
    size += header.size
    count += 1
    if (size > limits.bytes)
      throw new CideryError('INVALID_INPUT', `the source is larger than the ${limits.bytes} bytes of disk that the job asked for`)
    if (count > limits.entries) throw new CideryError('INVALID_INPUT', `the source has more than ${limits.entries} files`)
    const out = packed.entry(cleanHeader(header))
    for await (const piece of entry as AsyncIterable<Uint8Array>) if (!out.write(piece)) await drained(out)
    out.end(null)
  }
  packed.finalize()
}

function cleanHeader(header: Header): Partial<Header> & Pick<Header, 'name'> {
  const { name, linkname, mtime } = header
  const type = header.type === 'contiguous-file' ? 'file' : header.type
  const clean = { name, type, mode: header.mode & 0o777, size: type === 'file' ? header.size : 0, mtime }
  return type === 'link' || type === 'symlink' ? { ...clean, linkname } : clean
}

function asError(error: unknown): Error {
  if (error instanceof CideryError) return error
  return new CideryError('INVALID_INPUT', 'the source archive cannot be read', { cause: error })
}

/** Resolves when a stream takes more, or will never again: the next write then throws. */
function drained(out: ReturnType<Pack['entry']>): Promise<void> {
  return new Promise((resolve) => {
    const events = ['drain', 'close'] as const
    const done = (): void => {
      for (const event of events) out.off(event, done)
      resolve()
    }
    for (const event of events) out.on(event, done)
  })
}
