import { z } from 'zod'
import type { InputProblem } from '../errors.ts'
import type { Ingredients } from './recipe-identity.ts'
import { recipePackages, stepsOf } from './recipe.ts'
import type { Recipe } from './recipe.ts'
import { packageManagers } from './step.ts'

const Hex = z.string().regex(/^[0-9a-f]{64}$/, '64 hexadecimal digits in lower case')

/** What a base was when the recipe was locked. A base that is another recipe's image has no entry: its newest build is taken. */
const LockedBase = z.strictObject({
  /** As the recipe names it: reference, source of the restore image, or suite and mirror. */
  name: z.string().min(1),
  /** `sha256:<64 hex>`: of the manifest, of the restore image, or of the file that Debian signs over all packages of the suite. */
  digest: z.string().regex(/^sha256:[0-9a-f]{64}$/, 'sha256: and 64 hexadecimal digits'),
})
export type LockedBase = z.infer<typeof LockedBase>

/** What a recipe does not say and its image holds: `<name>.lock.json` beside it. Every checksum was computed from bytes that were read. */
export const RecipeLock = z.strictObject({
  format: z.literal(1),
  recipe: z.string(),
  base: LockedBase.nullable(),
  downloads: z.array(z.strictObject({ url: z.string(), sha256: Hex, sizeBytes: z.int().nonnegative() })),
  packages: z.array(z.strictObject({ manager: z.enum(packageManagers), name: z.string(), version: z.string().min(1) })),
})
export type RecipeLock = z.infer<typeof RecipeLock>

/** A lock that holds nothing yet. */
export function emptyLock(recipe: Pick<Recipe, 'name'>): RecipeLock {
  return { format: 1, recipe: recipe.name, base: null, downloads: [], packages: [] }
}

/** The name of a base in the lock; null: it needs no entry. */
export function baseName({ base }: Pick<Recipe, 'base'>): string | null {
  switch (base.kind) {
    case 'oci':
      return base.reference
    case 'ipsw':
      return base.source
    case 'debian':
      return base.mirror === null ? base.suite : `${base.suite} of ${base.mirror}`
    case 'image':
      return null
  }
}

/** URLs that a recipe downloads, each once. */
export function recipeDownloads(recipe: Pick<Recipe, 'layers'>): readonly string[] {
  return [...new Set(stepsOf(recipe, 'download').map(({ url }) => url))]
}

/** What is missing in a lock, or is of an older recipe. Empty: the recipe can be built. A build without a full lock is refused. */
export function lockProblems(recipe: Recipe, lock: RecipeLock | null): readonly InputProblem[] {
  const given = lock ?? emptyLock(recipe)
  const problem = (path: string, message: string | null) => (message === null ? [] : [{ path, message }])
  return [
    ...problem('base', baseProblem(recipe, given)),
    ...recipeDownloads(recipe)
      .filter((url) => !given.downloads.some((download) => download.url === url))
      .flatMap((url) => problem('downloads', `the SHA-256 of ${url} is not there`)),
    ...recipePackages(recipe).flatMap((wanted) => problem('packages', packageProblem(wanted, given))),
  ]
}

function baseProblem(recipe: Recipe, { base }: RecipeLock): string | null {
  const name = baseName(recipe)
  if (name === null) return null
  if (base === null) return `the digest of ${name} is not there`
  if (base.name !== name) return `it is of ${base.name}, and the recipe has ${name}`
  const known = recipe.base.kind === 'ipsw' ? `sha256:${recipe.base.sha256}` : base.digest
  return base.digest === known ? null : `it is ${base.digest}, and the recipe has ${known}`
}

function packageProblem({ manager, name, version }: ReturnType<typeof recipePackages>[number], { packages }: RecipeLock): string | null {
  const locked = packages.find((entry) => entry.manager === manager && entry.name === name)?.version
  if (locked === undefined) return `the version of ${name} of ${manager} is not there`
  return version === null || version === locked ? null : `${name} of ${manager} is ${locked}, and the recipe has ${version}`
}

/** What identities are made from. `files` are the digests of `recipeFiles`; `belowDigest` is that of the image below, where the base is one. */
export function ingredientsOf(lock: RecipeLock, files: ReadonlyMap<string, string>, belowDigest?: string): Ingredients {
  return {
    base: belowDigest ?? lock.base?.digest ?? '',
    files,
    downloads: new Map(lock.downloads.map(({ url, sha256 }) => [url, sha256])),
    packages: new Map(lock.packages.map(({ manager, name, version }) => [`${manager}/${name}`, version])),
  }
}
