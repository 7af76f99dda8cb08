import { createHash } from 'node:crypto'
import { CideryError } from '../../model/errors.ts'
import { debianReleases } from '../../model/image/guest.ts'
import { baseName, recipeDownloads } from '../../model/image/lock.ts'
import type { LockedBase, RecipeLock } from '../../model/image/lock.ts'
import { recipePackages } from '../../model/image/recipe.ts'
import type { Recipe } from '../../model/image/recipe.ts'
import { parseImageReference } from '../../model/image/reference.ts'
import type { Milliseconds } from '../../model/instant.ts'
import type { Downloads } from '../../ports/downloads.ts'
import type { Timers } from '../../ports/time.ts'
import { packageVersions, type DebianPlace } from './package-versions.ts'
import type { Indexes } from './package-versions.ts'
import { readBounded } from './read-bounded.ts'

export interface LockOptions {
  readonly downloads: Downloads
  readonly timers: Timers
  /** Where versions of packages are looked up; default: the public ones. */
  readonly indexes?: Partial<Indexes>
  /** The digest that a tag leads to now. Without it, a base of a registry must name its digest. */
  readonly resolve?: (reference: string, signal: AbortSignal) => Promise<string>
  /** Of each download. */
  readonly maxBytes: number
  /** Of each download. */
  readonly timeout: Milliseconds
  readonly signal: AbortSignal
  say(message: string): void
}

/** Debian's own, over TLS. */
export const debianMirror = 'https://deb.debian.org/debian'
const debianSecurity = 'https://deb.debian.org/debian-security'

/**
 * Looks up what the recipe leaves open, and reads every byte of what it downloads. Nothing of an older lock is taken over: what cannot be read now is an error, and no lock is made.
 */
export async function lockRecipe(recipe: Recipe, options: LockOptions): Promise<RecipeLock> {
  const base = await lockBase(recipe, options)
  const packages = await packageVersions(recipePackages(recipe), { ...options, debian: debianOf(recipe) })
  const downloads = []
  const urls = recipeDownloads(recipe)
  for (const [index, url] of urls.entries()) {
    const { sha256, sizeBytes } = await hashOf(url, options, `download ${index + 1} of ${urls.length}`)
    downloads.push({ url, sha256, sizeBytes })
  }
  return { format: 1, recipe: recipe.name, base, downloads, packages: [...packages] }
}

/** Suite and mirrors that apt's packages come from. */
function debianOf({ base, guest }: Recipe): DebianPlace | null {
  const standard = { mirror: debianMirror, security: debianSecurity }
  if (base.kind === 'debian') return { ...(base.mirror === null ? standard : { mirror: base.mirror, security: null }), suite: base.suite }
  return guest.os === 'debian' ? { ...standard, suite: debianReleases[guest.release] } : null
}

async function lockBase(recipe: Recipe, options: LockOptions): Promise<LockedBase | null> {
  const { base } = recipe
  const name = baseName(recipe)
  if (name === null) return null
  switch (base.kind) {
    case 'oci':
      return { name, digest: await referenceDigest(base.reference, options) }
    case 'ipsw':
      return { name, digest: `sha256:${await checkedRestoreImage(base, options)}` }
    case 'debian': {
      const { sha256 } = await hashOf(`${base.mirror ?? debianMirror}/dists/${base.suite}/InRelease`, options, `state of ${base.suite}`)
      return { name, digest: `sha256:${sha256}` }
    }
    case 'image':
      return null
  }
}

async function referenceDigest(reference: string, { resolve, signal, say }: LockOptions): Promise<string> {
  const { digest } = parseImageReference(reference)
  if (digest !== null) return digest
  if (resolve === undefined) {
    throw new CideryError('UNSUPPORTED', `the digest of ${reference} is not known, and this command cannot ask its registry`, {
      hint: 'write the digest behind the reference: …@sha256:…',
    })
  }
  say(`asking for the digest of ${reference}`)
  return resolve(reference, signal)
}

/** The digest that the recipe names, once the bytes have it. A file of the host that builds is not there to be read: the build compares it. */
async function checkedRestoreImage(base: { readonly source: string; readonly sha256: string }, options: LockOptions): Promise<string> {
  if (base.source.startsWith('/')) return base.sha256
  const { sha256 } = await hashOf(base.source, options, 'restore image')
  if (sha256 === base.sha256) return sha256
  throw new CideryError('INVALID_INPUT', `${base.source} has the SHA-256 ${sha256}, and the recipe names ${base.sha256}`, {
    hint: 'find out which of them is right before you change the recipe',
  })
}

async function hashOf(url: string, options: LockOptions, what: string): Promise<{ readonly sha256: string; readonly sizeBytes: number }> {
  const hash = createHash('sha256')
  const sizeBytes = await readBounded(url, { ...options, what }, (piece) => void hash.update(piece))
  return { sha256: hash.digest('hex'), sizeBytes }
}
