import { createHash } from 'node:crypto'
import { constants, createWriteStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createZstdCompress } from 'node:zlib'
import { pack as makePack } from 'tar-stream'
import type { Header, Pack } from 'tar-stream'
import { CideryError } from '../../model/errors.ts'
import { walkDirectory } from './walk-directory.ts'
import type { SourceEntry, WalkOptions } from './walk-directory.ts'

export interface PackOptions extends WalkOptions {
  /** File to write the archive to. */
  readonly into: string
  readonly signal: AbortSignal
  /** Called after each entry with how many there are so far. */
  readonly packed: (count: number) => void
}

export interface PackedDirectory {
  readonly entries: number
  readonly sizeBytes: number
  /** SHA-256 of the archive, hex. */
  readonly digest: string
}

type Sink = ReturnType<Pack['entry']>

/** Packs a directory into a tar compressed by zstd. The same files give the same bytes: owners are left out, names are in order. */
export async function packDirectory(options: PackOptions): Promise<PackedDirectory> {
  const pack = makePack()
  const hash = createHash('sha256')
  const counted = { entries: 0, sizeBytes: 0 }
  const meter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk)
      counted.sizeBytes += chunk.byteLength
      done(null, chunk)
    },
  })
  const filling = fill(pack, options, counted)
  // A failure of either side ends the other: a destroyed pack ends the pipeline, an ended pipeline destroys the pack.
  const draining = pipeline(Readable.from(pack), createZstdCompress(), meter, createWriteStream(options.into, { mode: 0o600 }), {
    signal: options.signal,
  })
  filling.catch((error: unknown) => pack.destroy(error instanceof Error ? error : new Error(String(error))))
  draining.catch(() => pack.destroy())
  const [filled, drained] = await Promise.allSettled([filling, draining])
  if (options.signal.aborted) throw options.signal.reason
  if (filled.status === 'rejected') throw filled.reason
  if (drained.status === 'rejected') throw drained.reason
  return { entries: counted.entries, sizeBytes: counted.sizeBytes, digest: hash.digest('hex') }
}

async function fill(pack: Pack, options: PackOptions, counted: { entries: number }): Promise<void> {
  for await (const entry of walkDirectory(options)) {
    options.signal.throwIfAborted()
    await addEntry(pack, options.directory, entry)
    counted.entries += 1
    options.packed(counted.entries)
  }
  pack.finalize()
}

async function addEntry(pack: Pack, directory: string, entry: SourceEntry): Promise<void> {
  const common: Partial<Header> & { name: string } = {
    name: entry.path,
    uid: 0,
    gid: 0,
    uname: '',
    gname: '',
    mtime: new Date(Math.floor(entry.mtimeMs / 1000) * 1000),
  }
  if (entry.kind === 'directory') return addHeader(pack, { ...common, type: 'directory', mode: entry.mode })
  if (entry.kind === 'symlink') return addHeader(pack, { ...common, type: 'symlink', linkname: entry.target, mode: 0o777 })
  // The last look before reading: whatever was put in its place since then is not followed.
  const file = await open(join(directory, entry.path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const { size } = await file.stat()
    const sink = pack.entry({ ...common, type: 'file', mode: entry.mode, size })
    let left = size
    const chunk = Buffer.alloc(Math.min(262_144, Math.max(1, size)))
    while (left > 0) {
      const { bytesRead } = await file.read(chunk, 0, Math.min(chunk.byteLength, left))
      if (bytesRead === 0)
        throw new CideryError('CONFLICT', `${entry.path} became shorter while it was read`, {
          hint: 'run it again when nothing writes there',
        })
      left -= bytesRead
      if (!sink.write(Buffer.from(chunk.subarray(0, bytesRead)))) await drained(sink)
    }
    await new Promise<void>((resolve, reject) => {
      sink.once('finish', resolve).once('error', reject)
      sink.end(undefined)
    })
  } finally {
    await file.close()
  }
}

function addHeader(pack: Pack, headers: Partial<Header> & { name: string }): Promise<void> {
  return new Promise((resolve, reject) => {
    pack.entry(headers, (error) => (error === undefined || error === null ? resolve() : reject(error)))
  })
}

/** Resolves when a stream takes more, or will never again: the next write then throws. */
function drained(sink: Sink): Promise<void> {
  return new Promise((resolve) => {
    const events = ['drain', 'error', 'close'] as const
    const done = () => {
      for (const event of events) sink.off(event, done)
      resolve()
    }
    for (const event of events) sink.on(event, done)
  })
}
