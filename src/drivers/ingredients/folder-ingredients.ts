import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { lstat, mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { CideryError } from '../../model/errors.ts'
import { day } from '../../model/instant.ts'
import type { IngredientStore, LockedIngredients, OpenIngredients, RecipeFile } from '../../ports/ingredients.ts'
import { packFolder, unpackInto } from './archive.ts'

/** Downloads that no build asked for in so long are removed. */
const keepDownloads = 14 * day

export interface FolderIngredientsParts {
  /** A folder of its own; made 0700. */
  readonly folder: string
  /** Bytes of a URL; whoever reads them checks what they are. */
  readonly fetch: (url: string, signal: AbortSignal) => Promise<AsyncIterable<Uint8Array>>
  /** A name that no other folder has. */
  readonly fresh: () => string
}

/** Ingredients in a folder: archives are unpacked below `open`, downloads are kept below `downloads` by their SHA-256. */
export function folderIngredients(parts: FolderIngredientsParts): IngredientStore {
  const { folder } = parts
  const downloads = join(folder, 'downloads')
  const open = join(folder, 'open')

  async function prepare(): Promise<void> {
    for (const path of [folder, downloads, open]) await mkdir(path, { recursive: true, mode: 0o700 })
  }

  async function download(url: string, sha256: string | undefined, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
    if (sha256 === undefined) {
      throw new CideryError('INVALID_INPUT', `the lock has no SHA-256 of ${url}`, { hint: 'cidery image lock' })
    }
    const path = join(downloads, sha256)
    if ((await hashOf(path)) !== sha256) await fetchTo(path, { url, sha256, signal })
    const now = new Date()
    await utimes(path, now, now)
    return createReadStream(path)
  }

  async function fetchTo(
    path: string,
    wanted: { readonly url: string; readonly sha256: string; readonly signal: AbortSignal },
  ): Promise<void> {
    const { url, sha256, signal } = wanted
    const part = `${path}.${parts.fresh()}.${process.pid}.part`
    const hash = createHash('sha256')
    async function* hashed(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
      for await (const bytes of source) {
        hash.update(bytes)
        yield bytes
      }
    }
    try {
      await pipeline(hashed(await parts.fetch(url, signal)), createWriteStream(part, { mode: 0o600, flush: true }), { signal })
      const found = hash.digest('hex')
      if (found !== sha256) {
        throw new CideryError('DIGEST_MISMATCH', `${url} is not what the lock says: sha256 ${found} instead of ${sha256}`, {
          hint: 'look at what changed there, then: cidery image lock',
        })
      }
      await rename(part, path)
    } finally {
      await rm(part, { force: true })
    }
  }

  return {
    async unpack(archive, lock: LockedIngredients): Promise<OpenIngredients> {
      await prepare()
      const own = join(open, `${parts.fresh()}.${process.pid}.part`)
      await mkdir(own, { mode: 0o700 })
      const close = (): Promise<void> => rm(own, { recursive: true, force: true })
      try {
        if (archive !== null) await unpackInto(archive, own)
      } catch (error) {
        await close()
        throw error
      }
      return {
        file: (path) => fileBelow(own, path),
        download: (url, signal) => download(url, lock.downloads[url], signal),
        packageVersion: (key) => lock.packages[key] ?? null,
        close,
      }
    },
    async sweep() {
      await prepare()
      for (const parent of [open, downloads]) {
        for (const name of await readdir(parent)) if (isLeft(name)) await rm(join(parent, name), { recursive: true, force: true })
      }
      for (const name of await readdir(downloads)) {
        const { mtimeMs } = await stat(join(downloads, name))
        if (Date.now() - mtimeMs > keepDownloads && !name.endsWith('.part')) await rm(join(downloads, name), { force: true })
      }
    },
  }
}

/** A folder or part that a process which is gone left. */
function isLeft(name: string): boolean {
  const pid = Number(/\.(\d+)\.part$/.exec(name)?.[1] ?? Number.NaN)
  if (Number.isNaN(pid)) return false
  try {
    process.kill(pid, 0)
    return false
  } catch {
    return true
  }
}

async function hashOf(path: string): Promise<string | null> {
  const hash = createHash('sha256')
  try {
    for await (const bytes of createReadStream(path) as AsyncIterable<Uint8Array>) hash.update(bytes)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
  return hash.digest('hex')
}

async function fileBelow(folder: string, path: string): Promise<RecipeFile> {
  const full = join(folder, path)
  if (!full.startsWith(`${folder}/`))
    throw new CideryError('INVALID_INPUT', `${JSON.stringify(path)} leads out of the folder of the recipe`)
  const found = await lstat(full).catch(() => null)
  if (found?.isFile() === true) return { kind: 'file', open: () => createReadStream(full) }
  if (found?.isDirectory() === true) return { kind: 'folder', pack: () => packFolder(full) }
  throw new CideryError('NOT_FOUND', `the recipe names ${path}, which is not in its folder`)
}
