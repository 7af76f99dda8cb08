import { CideryError } from '../../model/errors.ts'
import { compareDebianVersions } from '../../model/image/debian-version.ts'
import type { RecipeLock } from '../../model/image/lock.ts'
import type { recipePackages } from '../../model/image/recipe.ts'
import type { PackageManager } from '../../model/image/step.ts'
import { readBounded } from './read-bounded.ts'
import type { ReadBounds } from './read-bounded.ts'
import { unpackIndex } from './unpack-index.ts'

/** Addresses at which the managers tell of their packages. */
export type Indexes = Readonly<Record<Exclude<PackageManager, 'apt'>, string>>

const publicIndexes: Indexes = {
  brew: 'https://formulae.brew.sh/api/formula',
  cask: 'https://formulae.brew.sh/api/cask',
  npm: 'https://registry.npmjs.org',
  pip: 'https://pypi.org/pypi',
  cargo: 'https://index.crates.io',
}

export interface VersionOptions extends Omit<ReadBounds, 'what'> {
  readonly indexes?: Partial<Indexes>
  /** Where apt's packages come from; null: the guest has none. */
  readonly debian: DebianPlace | null
}

/** Where packages of Debian are; `security` is null where the guest has none but the mirror. */
export interface DebianPlace {
  readonly mirror: string
  readonly suite: string
  readonly security: string | null
}

type Wanted = ReturnType<typeof recipePackages>[number]

/** Largest text that an index may send: that of Debian's main is 12 MB. */
const maxIndexBytes = 64 * 1_048_576

/** A version for every package: what the recipe names, else the newest of its manager. NOT_FOUND for a package that there is none of. */
export async function packageVersions(wanted: readonly Wanted[], options: VersionOptions): Promise<RecipeLock['packages']> {
  const open = wanted.filter(({ version }) => version === null)
  const apt = open.some(({ manager }) => manager === 'apt') ? await aptVersions(options) : new Map<string, string>()
  const found = []
  for (const [index, { manager, name, version }] of wanted.entries()) {
    options.say(`package ${index + 1} of ${wanted.length}: ${name}`)
    const newest = version ?? (manager === 'apt' ? apt.get(name) : await indexVersion(manager, name, options))
    if (newest === undefined) throw absent(manager, name, options.debian?.suite)
    found.push({ manager, name, version: newest })
  }
  return found
}

function absent(manager: PackageManager, name: string, suite?: string): CideryError {
  const where = manager === 'apt' ? `Debian's ${suite ?? 'suite'}` : manager
  return new CideryError('NOT_FOUND', `there is no package ${name} in ${where}`, {
    hint: 'look at the spelling under packages of the recipe',
  })
}

async function textOf(url: string, options: VersionOptions): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  const maxBytes = Math.min(options.maxBytes, maxIndexBytes)
  await readBounded(url, { ...options, maxBytes, what: `index at ${new URL(url).host}` }, (piece) => void pieces.push(piece))
  return Buffer.concat(pieces)
}

/**
 * The newest versions of all packages of a suite, from its indexes for 64-bit PCs; versions of other machines are the same where a package is built for them. Where a guest
 * has Debian's own mirror, it has updates and security as well: a version without them would not go together with what is installed.
 */
async function aptVersions(options: VersionOptions): Promise<Map<string, string>> {
  if (options.debian === null) throw new CideryError('INVALID_INPUT', 'apt needs a guest of Debian', { hint: 'set guest.os of the recipe' })
  const { mirror, suite, security } = options.debian
  const own = [`${mirror}/dists/${suite}`]
  const all = security === null ? own : [...own, `${mirror}/dists/${suite}-updates`, `${security}/dists/${suite}-security`]
  const versions = new Map<string, string>()
  for (const place of all) {
    for (const [name, version] of await versionsIn(place, options)) {
      const known = versions.get(name)
      if (known === undefined || compareDebianVersions(version, known) > 0) versions.set(name, version)
    }
  }
  return versions
}

async function versionsIn(place: string, options: VersionOptions): Promise<ReadonlyMap<string, string>> {
  const versions = new Map<string, string>()
  for (const paragraph of (await packagesIn(`${place}/main/binary-amd64/Packages`, options)).split('\n\n')) {
    const name = /^Package: (.+)$/m.exec(paragraph)?.[1]
    const version = /^Version: (.+)$/m.exec(paragraph)?.[1]
    if (name !== undefined && version !== undefined) versions.set(name, version)
  }
  return versions
}

async function packagesIn(index: string, options: VersionOptions): Promise<string> {
  try {
    return await unpackIndex(await textOf(`${index}.gz`, options), 'gz', 8 * maxIndexBytes)
  } catch (error) {
    if (!(error instanceof CideryError) || error.code !== 'NOT_FOUND') throw error
    return unpackIndex(await textOf(`${index}.xz`, options), 'xz', 8 * maxIndexBytes)
  }
}

interface Source {
  url(index: string, name: string): string
  version(text: string): unknown
}

/** `at(value, 'a.b')` is value.a.b, whatever value is. */
function at(text: string, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>(
      (value, key) => (typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined),
      JSON.parse(text),
    )
}

const sources: Readonly<Record<keyof Indexes, Source>> = {
  brew: { url: (index, name) => `${index}/${encodeURIComponent(name)}.json`, version: (text) => at(text, 'versions.stable') },
  cask: { url: (index, name) => `${index}/${encodeURIComponent(name)}.json`, version: (text) => at(text, 'version') },
  npm: { url: (index, name) => `${index}/${name.replace('/', '%2f')}/latest`, version: (text) => at(text, 'version') },
  pip: { url: (index, name) => `${index}/${encodeURIComponent(name)}/json`, version: (text) => at(text, 'info.version') },
  // The sparse index: a line of JSON for each version, the newest last.
  cargo: {
    url: (index, name) => `${index}/${cratePath(name.toLowerCase())}`,
    version: (text) =>
      at(
        text
          .trimEnd()
          .split('\n')
          .findLast((line) => at(line, 'yanked') === false) ?? '{}',
        'vers',
      ),
  },
}

/** https://doc.rust-lang.org/cargo/reference/registry-index.html#index-files */
function cratePath(name: string): string {
  if (name.length <= 2) return `${name.length}/${name}`
  return name.length === 3 ? `3/${name.charAt(0)}/${name}` : `${name.slice(0, 2)}/${name.slice(2, 4)}/${name}`
}

async function indexVersion(manager: keyof Indexes, name: string, options: VersionOptions): Promise<string | undefined> {
  const { url, version } = sources[manager]
  try {
    const found = version((await textOf(url(options.indexes?.[manager] ?? publicIndexes[manager], name), options)).toString('utf8'))
    return typeof found === 'string' && found !== '' ? found : undefined
  } catch (error) {
    if (error instanceof CideryError && error.code === 'NOT_FOUND') return undefined
    if (error instanceof SyntaxError)
      throw new CideryError('UNREACHABLE', `the index of ${manager} sent no JSON for ${name}`, { cause: error })
    throw error
  }
}
