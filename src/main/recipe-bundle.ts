import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { packPaths } from '../drivers/ingredients/archive.ts'
import type { RecipeLock } from '../model/image/lock.ts'
import { recipeFiles, type Recipe } from '../model/image/recipe.ts'
import { digestFiles } from '../observe/recipe-files.ts'
import { readRecipe, requireFullLock } from './read-recipe.ts'

/** A recipe with all that goes with it to a controller. */
export interface RecipeBundle {
  readonly recipe: Recipe
  /** What the controller is told, without the version of the product. */
  readonly body: {
    readonly recipe: unknown
    readonly digests: Readonly<Record<string, string>>
    /** SHA-256 of the archive, hex; null: the recipe names no files. */
    readonly files: string | null
    readonly lock: LockOfBuild
  }
  /** To be uploaded before; null: there is nothing to upload. */
  readonly archive: { readonly path: string; readonly sizeBytes: number; readonly digest: string } | null
  /** Removes the archive from this machine. */
  remove(): Promise<void>
}

export interface LockOfBuild {
  readonly base: string | null
  readonly downloads: Readonly<Record<string, string>>
  readonly packages: Readonly<Record<string, string>>
}

/** What a build has to know of a lock. */
export function lockOfBuild({ base, downloads, packages }: RecipeLock): LockOfBuild {
  return {
    base: base?.digest ?? null,
    downloads: Object.fromEntries(downloads.map(({ url, sha256 }) => [url, sha256])),
    packages: Object.fromEntries(packages.map(({ manager, name, version }) => [`${manager}/${name}`, version])),
  }
}

/** Reads a recipe and packs its files into a folder below `temporary`. CONFLICT when its lock is not full. */
export async function packRecipe(file: string, temporary: string): Promise<RecipeBundle> {
  const read = await readRecipe(file)
  const lock = lockOfBuild(requireFullLock(read))
  const { recipe, source, folder } = read
  const paths = recipeFiles(recipe)
  const digests = Object.fromEntries(await digestFiles(folder, paths))
  if (paths.length === 0)
    return { recipe, body: { recipe: source, digests, files: null, lock }, archive: null, remove: () => Promise.resolve() }
  const place = await mkdtemp(join(temporary, 'cidery-recipe-'))
  const remove = (): Promise<void> => rm(place, { recursive: true, force: true })
  try {
    const path = join(place, 'files.tar')
    const hash = createHash('sha256')
    let sizeBytes = 0
    async function* counted(): AsyncGenerator<Uint8Array> {
      for await (const bytes of packPaths(folder, paths)) {
        hash.update(bytes)
        sizeBytes += bytes.length
        yield bytes
      }
    }
    await pipeline(counted(), createWriteStream(path, { mode: 0o600 }))
    const digest = hash.digest('hex')
    return { recipe, body: { recipe: source, digests, files: digest, lock }, archive: { path, sizeBytes, digest }, remove }
  } catch (error) {
    await remove()
    throw error
  }
}
