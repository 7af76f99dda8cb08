import { createReadStream, createWriteStream } from 'node:fs'
import { lstat, mkdir, readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { extract, pack, type Pack } from 'tar-stream'
import { CideryError } from '../../model/errors.ts'

/** A recipe brings scripts and settings, and no disks. */
const mostBytes = 4 * 1024 ** 3
const mostEntries = 100_000

/** Unpacks an archive of a recipe's files: plain files and folders only, nothing that leads out of it. INVALID_INPUT for anything else. */
export async function unpackInto(archive: AsyncIterable<Uint8Array>, folder: string): Promise<void> {
  const unpacker = extract()
  const fed = pipeline(Readable.from(archive, { objectMode: false }), unpacker)
  // The same error comes out of the entries.
  fed.catch(() => undefined)
  const limits = { bytes: mostBytes, entries: mostEntries }
  for await (const entry of unpacker) {
    const { name, type, mode, size } = entry.header
    limits.bytes -= size
    limits.entries -= 1
    if (limits.bytes < 0 || limits.entries < 0)
      throw new CideryError('PAYLOAD_TOO_LARGE', 'the files of the recipe are too many, or too large')
    refuseEntry(name, type ?? 'unknown')
    const path = join(folder, name)
    await mkdir(type === 'directory' ? path : dirname(path), { recursive: true, mode: 0o700 })
    if (type === 'directory') entry.resume()
    else await pipeline(entry, createWriteStream(path, { mode: (mode & 0o100) === 0 ? 0o600 : 0o700 }))
  }
  await fed
}

function refuseEntry(name: string, type: string): void {
  const said = `the archive of the recipe has ${JSON.stringify(name)}`
  if (name.startsWith('/') || name.split('/').includes('..') || name.includes('\0')) {
    throw new CideryError('INVALID_INPUT', `${said}, a path which leads out of it`)
  }
  if (type !== 'file' && type !== 'directory') throw new CideryError('INVALID_INPUT', `${said} of type ${type}; files and folders only`)
}

/** An archive of what is in a folder, in order of name: what is in it says nothing of who packed it, and when. */
export function packFolder(folder: string): AsyncIterable<Uint8Array> {
  return filled((archive) => addAll(archive, folder, ''))
}

/** An archive of files and folders below a folder, by their paths. */
export function packPaths(folder: string, paths: readonly string[]): AsyncIterable<Uint8Array> {
  return filled(async (archive) => {
    for (const path of paths) await addTo(archive, folder, path)
  })
}

function filled(fill: (archive: Pack) => Promise<void>): AsyncIterable<Uint8Array> {
  const archive = pack()
  void fill(archive).then(
    () => archive.finalize(),
    (error: unknown) => archive.destroy(error as Error),
  )
  return archive as AsyncIterable<Uint8Array>
}

async function addAll(archive: Pack, folder: string, below: string): Promise<void> {
  for (const name of (await readdir(join(folder, below))).toSorted()) await addTo(archive, folder, below === '' ? name : `${below}/${name}`)
}

/** A file, or a folder with all that is in it, by its path below the folder. */
async function addTo(archive: Pack, folder: string, inside: string): Promise<void> {
  const path = join(folder, inside)
  const found = await lstat(path)
  const header = { mtime: new Date(0), uid: 0, gid: 0 }
  if (found.isDirectory()) {
    archive.entry({ ...header, name: inside, type: 'directory', mode: 0o755 })
    await addAll(archive, folder, inside)
  } else if (found.isFile()) {
    const mode = (found.mode & 0o100) === 0 ? 0o644 : 0o755
    await pipeline(createReadStream(path), archive.entry({ ...header, name: inside, type: 'file', mode, size: found.size }))
  }
}
