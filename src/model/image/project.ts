import { CideryError } from '../errors.ts'

/** Where the version of a project can be read. */
export const versionSources = ['cmake', 'package', 'git'] as const
export type VersionSource = (typeof versionSources)[number]

/** What the places hold: `CMakeLists.txt`, `package.json`, and what `git describe --tags` prints; null: it is not there. */
export type VersionTexts = Readonly<Record<VersionSource, string | null>>

export const placesOfVersions: Readonly<Record<VersionSource, string>> = {
  cmake: 'CMakeLists.txt',
  package: 'package.json',
  git: 'git describe --tags',
}

const versionForm = /^\d+(?:\.\d+){1,3}(?:-[0-9A-Za-z.-]+)?$/

/** What each place says; null: nothing that is a version. */
const readers: Readonly<Record<VersionSource, (text: string) => string | null>> = {
  cmake(text) {
    const code = text.replaceAll(/#.*$/gm, '')
    const [, name, more = ''] = /\bproject\s*\(\s*([\w.-]+)([^)]*)\)/i.exec(code) ?? []
    if (name === undefined) return null
    // Only the variable that is named after the project: others are versions of other things.
    const variable = new RegExp(String.raw`\bset\s*\(\s*${name.replaceAll('.', String.raw`\.`)}_VERSION\s+"?([\w.-]+)`, 'i')
    return /\bVERSION\s+"?([\w.-]+)/i.exec(more)?.[1] ?? variable.exec(code)?.[1] ?? null
  },
  package(text) {
    try {
      const { version } = JSON.parse(text) as { version?: unknown }
      return typeof version === 'string' ? version : null
    } catch {
      return null
    }
  },
  git(text) {
    // `bun-v1.2.17-3-gabc1234`: tags have words before the version.
    return /^(?:[A-Za-z][\w.]*-)?v?(\d.*)$/.exec(text.trim())?.[1] ?? null
  },
}

/**
 * The version of a project, from the first place in the order that has one. INVALID_INPUT when none has: no version is ever made up.
 *
 * @example projectVersion(['cmake', 'package'], { cmake: null, package: '{"version":"1.2.17"}', git: null }).version // '1.2.17'
 */
export function projectVersion(
  order: readonly VersionSource[],
  texts: VersionTexts,
): { readonly version: string; readonly from: VersionSource } {
  const said: string[] = []
  for (const from of order) {
    const text = texts[from]
    const version = text === null ? null : readers[from](text)
    if (version !== null && versionForm.test(version)) return { version, from }
    said.push(
      `${placesOfVersions[from]} ${text === null ? 'is not there' : version === null ? 'has none' : `says ${JSON.stringify(version.slice(0, 60))}`}`,
    )
  }
  throw new CideryError(
    'INVALID_INPUT',
    `the project has no version: ${said.length === 0 ? 'no place is to be looked at' : said.join(', ')}`,
    {
      hint: 'write it into one of them, or give it with --project-version 1.2.17',
    },
  )
}

/** A repository at a forge. */
export interface Repository {
  /** `github.com`. */
  readonly host: string
  /** Organisation, user, or a path of groups. */
  readonly owner: string
  readonly name: string
}

const pathForm = /^\/?((?:[\w.-]+\/)+)([\w.-]+?)(?:\.git)?\/?$/

function repositoryOf(host: string, path: string): Repository | undefined {
  const [, owners = '', name = ''] = pathForm.exec(path) ?? []
  const owner = owners.slice(0, -1)
  const parts = [...owner.split('/'), name]
  if (host === '' || parts.some((part) => part === '' || part === '.' || part === '..')) return undefined
  return { host: host.toLowerCase(), owner, name }
}

/**
 * Reads a git remote: `git@host:owner/name.git`, `ssh://git@host:22/owner/name`, `https://host/owner/name.git`. Undefined for what is none. A password in it is dropped.
 *
 * @example parseRemote('git@github.com:oven-sh/bun.git') // { host: 'github.com', owner: 'oven-sh', name: 'bun' }
 */
export function parseRemote(remote: string): Repository | undefined {
  const text = remote.trim()
  const [, host, path] = /^(?:ssh|https?|git):\/\/(?:[^@/\s]*@)?([\w.-]+)(?::\d{1,5})?(\/[^\s?#]*)$/i.exec(text) ?? []
  if (host !== undefined && path !== undefined) return repositoryOf(host, path)
  const [, sshHost, sshPath] = /^(?:[\w.-]+@)([\w.-]+):(?!\/)([^\s?#]+)$/.exec(text) ?? []
  return sshHost === undefined || sshPath === undefined ? undefined : repositoryOf(sshHost, sshPath)
}

/** What tells which repository this is: variables of GitHub Actions, and the address of the git remote. */
export interface RepositoryHints {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly remote: string | null
}

/** The repository that a command is in: `GITHUB_REPOSITORY` when it is set, else the remote. INVALID_INPUT when neither says. */
export function currentRepository({ env, remote }: RepositoryHints): Repository {
  const named = env['GITHUB_REPOSITORY']
  if (named !== undefined && named !== '') {
    const host = /^https?:\/\/([\w.-]+)/.exec(env['GITHUB_SERVER_URL'] ?? '')?.[1] ?? 'github.com'
    const repository = /^[\w.-]+\/[\w.-]+$/.test(named) ? repositoryOf(host, named) : undefined
    if (repository !== undefined) return repository
    throw new CideryError('INVALID_INPUT', `GITHUB_REPOSITORY is ${JSON.stringify(named.slice(0, 100))}, which is no repository`, {
      hint: 'owner/name, such as oven-sh/bun',
    })
  }
  const repository = remote === null ? undefined : parseRemote(remote)
  if (repository !== undefined) return repository
  // The address may hold a password, so it is not repeated.
  throw new CideryError(
    'INVALID_INPUT',
    remote === null
      ? 'this folder has no git remote, so the repository is not known'
      : 'the git remote is not the address of a repository at a forge',
    {
      hint: 'set GITHUB_REPOSITORY=owner/name, or git remote add origin git@github.com:owner/name.git',
    },
  )
}

/**
 * Where images of a repository go when nothing else is said: beside its packages.
 *
 * @example defaultRegistry({ host: 'github.com', owner: 'Acme', name: 'App' }, 'macos-15') // 'ghcr.io/acme/app/macos-15'
 */
export function defaultRegistry({ host, owner, name }: Repository, image: string): string {
  const registry = host === 'github.com' ? 'ghcr.io' : host
  return `${registry}/${owner}/${name}/${image}`.toLowerCase()
}
