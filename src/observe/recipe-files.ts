import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { lstat, readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { CideryError } from '../model/errors.ts'

/** Files and folders that one recipe may bring along, all together. */
const mostEntries = 20_000

/**
 * Digests of files and folders below the folder of a recipe, by path. A folder's covers the names, the bytes and whether they may be run; times and owners do not count. A path that is not
 * there has none: `recipeIdentity` tells of it.
 */
export async function digestFiles(folder: string, paths: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>()
  const budget = { left: mostEntries }
  for (const path of paths) {
    const digest = await digestOf(join(folder, path), budget)
    if (digest !== null) found.set(path, digest)
  }
  return found
}

async function digestOf(path: string, budget: { left: number }): Promise<string | null> {
  budget.left -= 1
  if (budget.left < 0)
    throw new CideryError('INVALID_INPUT', `the recipe brings more than ${mostEntries} files along`, {
      hint: 'pack them, and let a step unpack them',
    })
  const state = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null
    throw error
  })
  if (state === null) return null
  const hash = createHash('sha256')
  if (state.isDirectory()) {
    for (const name of (await readdir(path)).sort()) hash.update(`${name}\0${(await digestOf(join(path, name), budget)) ?? ''}\n`)
    return `folder:${hash.digest('hex')}`
  }
  if (state.isSymbolicLink()) return `link:${hash.update(await readlink(path)).digest('hex')}`
  if (!state.isFile()) throw new CideryError('INVALID_INPUT', `${path} is neither a file nor a folder`)
  await pipeline(createReadStream(path), hash)
  return `${(state.mode & 0o100) === 0 ? 'file' : 'program'}:${hash.digest('hex')}`
}
