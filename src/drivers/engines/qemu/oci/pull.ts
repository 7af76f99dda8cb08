import { existsSync } from 'node:fs'
import { CideryError } from '../../../../model/errors.ts'
import { paced, type Pace } from './bandwidth.ts'
import { checkFiles } from './check-files.ts'
import type { Place } from './chunk-work.ts'
import { placesOf, rawLengths, type DiskIndex } from './disk-index.ts'
import { fetchChunks } from './fetch-chunks.ts'
import { readProof, type StoredProof } from './image-folder.ts'
import { loadImage, type LoadedImage, type RemoteImage } from './load-image.ts'
import { copyChunks, findLocalChunks, type Copying } from './local-chunks.ts'
import { freeBytes, mustFit, noRoom, PartFolder } from './part-folder.ts'
import { chunkThreads } from './push.ts'
import type { ChunkThreads } from './scan-folder.ts'

export interface PullProgress {
  /** Bytes of data (what is not zeros) that are in their places and proved. */
  readonly doneBytes: number
  readonly totalBytes: number
  /** Bytes that came over the network. */
  readonly networkBytes: number
}

export interface PullOptions {
  readonly signal: AbortSignal
  /** Folders of other images of this host, the most alike first. */
  readonly localSources?: readonly string[]
  readonly onProgress?: (progress: PullProgress) => void
  /** null: as fast as it goes. */
  readonly bytesPerSecond?: number | null
  /** Bytes that can be written beside the folder; asked of the file system when it is left out. */
  readonly freeBytes?: (folder: string) => number
}

export interface PulledImage {
  readonly digest: string
  readonly dataBytes: number
  /** Bytes of data that were taken from other images of this host. */
  readonly localBytes: number
  /** Bytes of data that an earlier pull, which was cut, had brought. */
  readonly resumedBytes: number
  readonly networkBytes: number
}

/**
 * Brings an image, whole and proved, to a folder that is not there before. While it lasts, and after a kill, what is there so far is in `<folder>.part`; the
 * same pull goes on with what is missing. One pull at a time for a folder: its caller sees to it.
 *
 * Errors of the registry; DIGEST_MISMATCH after some tries; STORAGE_FULL with the numbers, before the first byte where that is known; CONFLICT when another image
 * is in the folder.
 */
export async function pullImage(source: RemoteImage, folder: string, options: PullOptions): Promise<PulledImage> {
  if (existsSync(folder)) return alreadyThere(folder, source.digest)
  const image = await loadImage(source, options.signal)
  const part = await PartFolder.open(folder, image)
  const threads = chunkThreads()
  try {
    return await new Pull({ source, image, folder, options, threads }).run(part)
  } catch (error) {
    throw asFault(error, folder)
  } finally {
    await threads.close()
  }
}

function asFault(error: unknown, folder: string): unknown {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'ENOSPC') return noRoom(folder, { neededBytes: 1, freeBytes: freeBytes(folder) }, error)
  if (code !== 'EIO') return error
  return new CideryError('ENGINE_FAILED', `the image cannot be written: ${message}`, {
    hint: 'look at the disk of this host',
    cause: error,
  })
}

function alreadyThere(folder: string, digest: string): PulledImage {
  const proof = proofIn(folder)
  if (proof?.digest === digest) return { digest, dataBytes: dataBytesOf(proof.index), localBytes: 0, resumedBytes: 0, networkBytes: 0 }
  throw new CideryError('CONFLICT', `${folder} holds ${proof === null ? 'something else' : `the image ${proof.digest}`}, not ${digest}`, {
    hint: 'pull it to another folder',
  })
}

function proofIn(folder: string): StoredProof | null {
  try {
    return readProof(folder)
  } catch {
    // No image, or a broken one: not what was asked for.
    return null
  }
}

function dataBytesOf(index: DiskIndex): number {
  let bytes = 0
  for (const { length } of placesOf(index)) bytes += length
  return bytes
}

/** Where each chunk belongs, by its number. */
type Places = readonly (readonly Place[])[]

interface PullWork {
  readonly source: RemoteImage
  readonly image: LoadedImage
  readonly folder: string
  readonly options: PullOptions
  readonly threads: ChunkThreads
}

class Pull {
  readonly #work: PullWork
  readonly #index: DiskIndex
  readonly #rawLengths: readonly number[]
  /** Bytes that a chunk has in all its places, by its number. */
  readonly #placedBytes: readonly number[]
  readonly #totalBytes: number
  readonly #there = new Set<number>()
  #doneBytes = 0
  #localBytes = 0
  #networkBytes = 0

  constructor(work: PullWork) {
    this.#work = work
    this.#index = work.image.index
    this.#rawLengths = rawLengths(this.#index)
    const placed = this.#index.chunks.map(() => 0)
    for (const { chunk, length } of placesOf(this.#index)) placed[chunk] = (placed[chunk] ?? 0) + length
    this.#placedBytes = placed
    this.#totalBytes = placed.reduce((sum, bytes) => sum + bytes, 0)
    this.#networkBytes = work.image.manifestBytes.length + work.image.indexBytes.length
  }

  async run(opened: PartFolder): Promise<PulledImage> {
    const { source, folder, options } = this.#work
    const part = await this.#resume(opened)
    const resumedBytes = this.#doneBytes
    mustFit(folder, this.#totalBytes - resumedBytes, (options.freeBytes ?? freeBytes)(folder))
    part.makeFiles(this.#index)
    const places = this.#placesIn(part)
    await this.#bring(places)
    options.signal.throwIfAborted()
    await part.finish(this.#index)
    return {
      digest: source.digest,
      dataBytes: this.#totalBytes,
      localBytes: this.#localBytes,
      resumedBytes,
      networkBytes: this.#networkBytes,
    }
  }

  /** Finds out by reading what an earlier pull has brought. One that left anything where zeros belong is not gone on with. */
  async #resume(part: PartFolder): Promise<PartFolder> {
    if (part.isFresh) return part
    part.makeFiles(this.#index)
    const { threads, options } = this.#work
    const wrong = await checkFiles(part.path, this.#index, { threads, signal: options.signal })
    if (wrong.some(({ chunk }) => chunk === null)) return PartFolder.begin(this.#work.folder, this.#work.image)
    const missing = new Set(wrong.map(({ chunk }) => chunk))
    for (const chunk of this.#index.chunks.keys()) if (!missing.has(chunk)) this.#isThere(chunk)
    return part
  }

  /** What the host has is copied while the rest is fetched; what turns out not to be what it was said to be is fetched then. */
  async #bring(places: Places): Promise<void> {
    const fromHost: Copying = {
      ...this.#shared(places),
      done: (chunk) => {
        this.#localBytes += this.#placedBytes[chunk] ?? 0
        this.#isThere(chunk)
      },
    }
    const found = findLocalChunks(fromHost, this.#missing(), this.#work.options.localSources ?? [])
    const onHost = new Set(found.map(({ chunk }) => chunk))
    const pace = paced(this.#work.options.bytesPerSecond ?? null)
    const rest = this.#missing().filter((chunk) => !onHost.has(chunk))
    const ended = await Promise.allSettled([copyChunks(fromHost, found), this.#fetch(places, { pace, chunks: rest })])
    for (const one of ended) if (one.status === 'rejected') throw one.reason
    await this.#fetch(places, { pace, chunks: this.#missing() })
  }

  async #fetch(places: Places, { pace, chunks }: { readonly pace: Pace; readonly chunks: readonly number[] }): Promise<void> {
    const received = (bytes: number): void => {
      this.#networkBytes += bytes
      this.#tell()
    }
    await fetchChunks({ ...this.#shared(places), source: this.#work.source, pace, received }, chunks)
  }

  #shared(places: Places): Copying {
    const { threads, options } = this.#work
    return {
      index: this.#index,
      rawLengths: this.#rawLengths,
      places,
      threads,
      signal: options.signal,
      done: (chunk) => this.#isThere(chunk),
    }
  }

  #placesIn(part: PartFolder): Places {
    const places: Place[][] = this.#index.chunks.map(() => [])
    for (const { file, at, chunk } of placesOf(this.#index)) places[chunk]?.push({ path: part.file(file), at })
    return places
  }

  #missing(): readonly number[] {
    return [...this.#index.chunks.keys()].filter((chunk) => !this.#there.has(chunk))
  }

  #isThere(chunk: number): void {
    this.#there.add(chunk)
    this.#doneBytes += this.#placedBytes[chunk] ?? 0
    this.#tell()
  }

  #tell(): void {
    this.#work.options.onProgress?.({ doneBytes: this.#doneBytes, totalBytes: this.#totalBytes, networkBytes: this.#networkBytes })
  }
}
