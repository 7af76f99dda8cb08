import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { mkdir, open, readdir, rename, rm, stat, statfs, type FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { CideryError } from '../../../model/errors.ts'
import type { Blobs } from '../../../ports/blobs.ts'
import { blobName, blobPath, digestPath, isSealedName } from './blob-names.ts'

export interface FolderBlobsOptions {
  /** Made with mode 0700 when it is not there. */
  readonly directory: string
}

/**
 * Blobs as files. An append is one write at the end of the file: when it resolved it survives the death of the process (the bytes are the
 * kernel's); `seal` syncs before it gives the file its final name, so sealed bytes survive a power cut as well. After a death in the
 * middle of an append the file holds a beginning of those bytes, and the sender goes on from its length.
 */
export async function createFolderBlobs(options: FolderBlobsOptions): Promise<Blobs> {
  const root = options.directory
  await mkdir(root, { recursive: true, mode: 0o700 })
  const inOrder = createQueues()

  return {
    append: async (name, offset, bytes) => {
      refuseSealed(name)
      const path = blobPath(root, name)
      return inOrder(name, () => appendAt(path, offset, bytes))
    },
    length: async (name) => (await sizeOf(blobPath(root, name))) ?? 0,
    read: (name, start, end) => readRange(blobPath(root, name), name, { start, end }),
    seal: async (name, digest) => {
      refuseSealed(name)
      const paths = { from: blobPath(root, name), to: digestPath(root, digest) }
      return inOrder(name, () => sealFile(paths, name, digest))
    },
    has: async (digest) => (await sizeOf(digestPath(root, digest))) !== undefined,
    open: async (digest, start = 0) => {
      const path = digestPath(root, digest)
      const sizeBytes = await sizeOf(path)
      if (sizeBytes === undefined) throw notFound(digest)
      return { sizeBytes, stream: readRange(path, digest, { start, end: sizeBytes }) }
    },
    remove: async (name) => {
      const path = blobPath(root, name)
      await inOrder(name, () => rm(path, { force: true }))
    },
    list: (prefix) => listFolder(root, prefix),
    freeBytes: async () => {
      const { bavail, bsize } = await statfs(root)
      return bavail * bsize
    },
  }
}

function refuseSealed(name: string): void {
  if (isSealedName(name)) throw new CideryError('INVALID_INPUT', `${name} is sealed and cannot be written`)
}

function notFound(name: string): CideryError {
  return new CideryError('NOT_FOUND', `there are no bytes named ${name}`)
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    const found = await stat(path)
    return found.isFile() ? found.size : undefined
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

function isMissing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOENT' || code === 'ENOTDIR'
}

/** Calls of one name run in order; two requests of one upload would otherwise write over each other. */
function createQueues(): <T>(name: string, work: () => Promise<T>) => Promise<T> {
  const last = new Map<string, Promise<unknown>>()

  return async (name, work) => {
    const before = last.get(name)
    const mine = before === undefined ? work() : before.then(work, work)
    last.set(name, mine)
    try {
      return await mine
    } finally {
      if (last.get(name) === mine) last.delete(name)
    }
  }
}

async function appendAt(path: string, offset: number, bytes: Uint8Array): Promise<number> {
  if (!Number.isSafeInteger(offset) || offset < 0) throw new CideryError('INVALID_INPUT', 'an offset is a whole number from 0')
  const file = await openForAppend(path)
  try {
    const length = (await file.stat()).size
    if (offset > length) {
      throw new CideryError('OFFSET_MISMATCH', `the bytes continue at ${length}, not at ${offset}`, { details: { offset: length } })
    }
    const fresh = bytes.subarray(Math.min(length - offset, bytes.length))
    await writeAll(file, fresh, length)
    return length + fresh.length
  } finally {
    await file.close()
  }
}

async function openForAppend(path: string): Promise<FileHandle> {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW
  try {
    return await open(path, flags, 0o600)
  } catch (error) {
    if (!isMissing(error)) throw storageError(error)
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    return open(path, flags, 0o600)
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, start: number): Promise<void> {
  let done = 0
  try {
    while (done < bytes.length) {
      const { bytesWritten } = await file.write(bytes, done, bytes.length - done, start + done)
      done += bytesWritten
    }
  } catch (error) {
    throw storageError(error)
  }
}

function storageError(error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error
  return new CideryError('STORAGE_FULL', 'the disk of the blob store is full', {
    cause: error,
    hint: 'free space on the disk of the state directory',
  })
}

interface SealPaths {
  readonly from: string
  readonly to: string
}

async function sealFile(paths: SealPaths, name: string, digest: string): Promise<{ readonly sizeBytes: number }> {
  const present = await sizeOf(paths.to)
  if (present !== undefined) {
    // The same bytes came before, or this very seal did and its answer was lost.
    await rm(paths.from, { force: true })
    return { sizeBytes: present }
  }
  const { sizeBytes, found } = await digestOf(paths.from, name)
  if (found !== digest) {
    throw new CideryError('INVALID_INPUT', `the bytes of ${name} have the digest ${found}, not ${digest}`, {
      hint: 'upload them again',
      details: { digest: found, sizeBytes },
    })
  }
  const folder = dirname(paths.to)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await rename(paths.from, paths.to)
  for (const directory of [folder, dirname(folder)]) await sync(directory)
  return { sizeBytes }
}

/** Digest and size of a file that is on the disk when this resolves. */
async function digestOf(path: string, name: string): Promise<{ readonly sizeBytes: number; readonly found: string }> {
  const file = await openForRead(path, name)
  try {
    const hash = createHash('sha256')
    let sizeBytes = 0
    for await (const chunk of file.createReadStream({ autoClose: false, highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>) {
      hash.update(chunk)
      sizeBytes += chunk.length
    }
    await file.sync()
    return { sizeBytes, found: hash.digest('hex') }
  } finally {
    await file.close()
  }
}

async function sync(directory: string): Promise<void> {
  const handle = await open(directory, constants.O_RDONLY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function readRange(path: string, name: string, range: { readonly start: number; readonly end: number | undefined }): Readable {
  return Readable.from(chunksOf(path, name, range), { objectMode: false })
}

async function* chunksOf(
  path: string,
  name: string,
  range: { readonly start: number; readonly end: number | undefined },
): AsyncGenerator<Buffer> {
  const { start, end } = range
  const file = await openForRead(path, name)
  try {
    if (end !== undefined && end <= start) return
    // The stream's own end is inclusive.
    yield* file.createReadStream({ start, ...(end !== undefined && { end: end - 1 }), autoClose: false, highWaterMark: 1 << 18 })
  } finally {
    await file.close()
  }
}

async function openForRead(path: string, name: string): Promise<FileHandle> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  } catch (error) {
    throw isMissing(error) ? notFound(name) : error
  }
}

interface Listed {
  readonly name: string
  readonly sizeBytes: number
  readonly changedAt: number
}

async function* listFolder(root: string, prefix: string): AsyncGenerator<Listed> {
  if (prefix.split('/').includes('..')) throw new CideryError('INVALID_INPUT', 'a prefix cannot leave the store')
  yield* walk(root, '', prefix)
}

/** Folders sort as their name with a slash, so that whole names come in order. */
async function* walk(root: string, below: string, prefix: string): AsyncGenerator<Listed> {
  const entries = await readdir(join(root, below), { withFileTypes: true }).catch((error: unknown) => {
    if (isMissing(error)) return []
    throw error
  })
  const named = entries.map((entry) => ({ entry, path: `${below}${entry.name}${entry.isDirectory() ? '/' : ''}` }))
  for (const { entry, path } of named.sort((a, b) => (a.path < b.path ? -1 : 1))) {
    const name = blobName(path)
    if (entry.isDirectory()) {
      if (mayHold(name, prefix)) yield* walk(root, path, prefix)
    } else if (entry.isFile() && name.startsWith(prefix)) {
      const found = await stat(join(root, path)).catch((error: unknown) => {
        if (isMissing(error)) return undefined
        throw error
      })
      if (found !== undefined) yield { name, sizeBytes: found.size, changedAt: Math.floor(found.mtimeMs) }
    }
  }
}

function mayHold(folder: string, prefix: string): boolean {
  return folder.startsWith(prefix) || prefix.startsWith(folder)
}
