import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { extract, type Header } from 'tar-stream'
import { CideryError } from '../../../model/errors.ts'
import type { ReleaseManifest } from '../../../model/release.ts'
import { FileWriter } from './durable.ts'
import { manifestName, parseManifest, sha256Of, type ReadManifest } from './manifest.ts'

/** A manifest is read into memory before anybody vouched for it. */
const manifestLimit = 16 * 1024 ** 2

function wrong(message: string, cause?: unknown): CideryError {
  return new CideryError('INVALID_INPUT', `the archive is not sound: ${message}`, cause === undefined ? {} : { cause })
}

export interface UnpackOptions {
  /** An empty folder. */
  readonly into: string
  /** Compressed bytes that it has. */
  readonly sizeBytes: number
  /** Throws when this is not the release that is wanted: before anything else is written. */
  readonly approve: (read: ReadManifest) => void
}

/**
 * Unpacks the archive of a release. Its first file is the manifest; each of the others has to be in there with this size and SHA-256, and each of the
 * manifest has to come. Anything but plain files is refused. What is written is on disk when it resolves.
 */
export async function unpackRelease(archive: AsyncIterable<Uint8Array>, options: UnpackOptions): Promise<ReadManifest> {
  const entries = extract()
  const feeding = pipeline(Readable.from(limited(archive, options.sizeBytes), { objectMode: false }), createGunzip(), entries)
  feeding.catch(() => {
    // The same error ends the loop below.
  })
  const unpacking = new Unpacking(options)
  try {
    for await (const entry of entries) {
      const file = unpacking.expect(entry.header)
      const pieces: Uint8Array[] = []
      for await (const piece of entry as AsyncIterable<Uint8Array>) pieces.push(piece)
      await unpacking.take(file, Buffer.concat(pieces))
    }
    await feeding
    return await unpacking.finish()
  } catch (error) {
    entries.destroy()
    await feeding.catch(() => {
      // It is ended by what ended the loop.
    })
    throw error instanceof CideryError ? error : wrong(error instanceof Error ? error.message : 'it cannot be read', error)
  }
}

/** A transfer that brings more than was announced is cut off. */
async function* limited(bytes: AsyncIterable<Uint8Array>, sizeBytes: number): AsyncGenerator<Uint8Array> {
  let length = 0
  for await (const piece of bytes) {
    length += piece.length
    if (length > sizeBytes) throw wrong(`it is longer than the ${sizeBytes} bytes that were announced`)
    yield piece
  }
  if (length < sizeBytes) throw wrong(`it has ${length} bytes, not the ${sizeBytes} that were announced`)
}

/** A file that comes next. */
interface ExpectedFile {
  readonly path: string
  /** What the manifest says of it; null: it is the manifest. */
  readonly wanted: ReleaseManifest['files'][string] | null
}

class Unpacking {
  readonly #options: UnpackOptions
  readonly #missing = new Set<string>()
  readonly #writer: FileWriter
  #read: ReadManifest | undefined
  #top = ''

  constructor(options: UnpackOptions) {
    this.#options = options
    this.#writer = new FileWriter(options.into)
  }

  /** Looks at the head of the next file. Throws when the manifest does not have it like that. */
  expect({ name, type, size }: Header): ExpectedFile {
    if (type !== 'file') throw wrong(`${JSON.stringify(name)} is a ${type ?? 'thing'}; only plain files are taken`)
    if (this.#read === undefined) return this.#expectManifest(name, size)
    const path = name.startsWith(this.#top) ? name.slice(this.#top.length) : ''
    const wanted = this.#read.manifest.files[path]
    if (wanted === undefined || !this.#missing.delete(path)) throw wrong(`${JSON.stringify(name)} is not in its manifest, or there twice`)
    if (size !== wanted.sizeBytes) throw wrong(`${path} is not the file that its manifest names`)
    return { path, wanted }
  }

  #expectManifest(name: string, size: number): ExpectedFile {
    const slash = name.indexOf('/')
    if (name.slice(slash + 1) !== manifestName || slash < 1) throw wrong(`its first file is ${JSON.stringify(name)}, not ${manifestName}`)
    if (size > manifestLimit) throw wrong(`its ${manifestName} is larger than ${manifestLimit} bytes`)
    this.#top = name.slice(0, slash + 1)
    return { path: manifestName, wanted: null }
  }

  async take({ path, wanted }: ExpectedFile, bytes: Buffer): Promise<void> {
    if (wanted === null) {
      const read = parseManifest(bytes)
      this.#options.approve(read)
      for (const each of Object.keys(read.manifest.files)) this.#missing.add(each)
      this.#read = read
    } else if (sha256Of(bytes) !== wanted.sha256) throw wrong(`${path} is not the file that its manifest names`)
    await this.#writer.write(path, bytes, wanted?.executable === true ? 0o755 : 0o644)
  }

  async finish(): Promise<ReadManifest> {
    if (this.#read === undefined) throw wrong('it is empty')
    const [first] = this.#missing
    if (first !== undefined) throw wrong(`${first} is missing, and ${this.#missing.size - 1} more`)
    await this.#writer.sync()
    return this.#read
  }
}
