// Is every platform that cidery runs on in the lock file? A registry often carries a new version before all of its platform binaries;
// `npm install` is then green here and `npm ci` fails on another machine ("Missing: … from lock file").
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './run.js'

export const platforms = ['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64']

/** Finds a package the way Node does: beside the one that wants it, then in every folder above. */
function resolveFrom(packages, from, name) {
  for (let path = from; ; path = path.slice(0, Math.max(0, path.lastIndexOf('node_modules/') - 1))) {
    const candidate = path === '' ? `node_modules/${name}` : `${path}/node_modules/${name}`
    if (packages[candidate] !== undefined) return packages[candidate]
    if (path === '') return undefined
  }
}

/** The platforms a package name speaks of: `@oxlint/binding-linux-x64-gnu` → `linux-x64`. Undefined when it names none. */
function platformOf(name) {
  const match = /(?:^|[-/_])(linux|darwin)-(x64|arm64)(?![a-z0-9])/.exec(name)
  return match === null ? undefined : `${match[1]}-${match[2]}`
}

/** What one package of the lock lacks. Every optional package must be there, or `npm ci` refuses the whole lock. */
function packageProblems(packages, path) {
  const owner = path === '' ? 'the project' : path.replace(/^.*node_modules\//, '')
  const wanted = Object.entries(packages[path].optionalDependencies ?? {})
  const problems = []
  for (const [name, range] of wanted) {
    const found = resolveFrom(packages, path, name)
    if (found === undefined) problems.push(`${owner} needs ${name}@${range}, which is not in package-lock.json`)
    else if (/^\d/.test(range) && found.version !== range) problems.push(`${owner} needs ${name}@${range}; the lock has ${found.version}`)
  }
  const covered = new Set(wanted.map(([name]) => platformOf(name)))
  const shipsBinaries = platforms.some((platform) => covered.has(platform))
  const bare = shipsBinaries ? platforms.filter((platform) => !covered.has(platform)) : []
  return [...problems, ...bare.map((platform) => `${owner} ships no binary for ${platform}`)]
}

/**
 * What a lock file lacks: one sentence per missing binary. `lock` is the parsed package-lock.json.
 *
 * @example lockProblems({ packages: {} }) // ['package-lock.json lists no package at all']
 */
export function lockProblems(lock) {
  const packages = lock.packages ?? {}
  const paths = Object.keys(packages)
  if (paths.length < 2) return ['package-lock.json lists no package at all']
  return paths.flatMap((path) => packageProblems(packages, path))
}

/** Where package.json and the lock disagree, `npm ci` stops. */
export function driftProblems(manifest, lock) {
  const locked = lock.packages?.[''] ?? {}
  const problems = []
  for (const kind of ['dependencies', 'devDependencies']) {
    const wanted = manifest[kind] ?? {}
    for (const name of new Set([...Object.keys(wanted), ...Object.keys(locked[kind] ?? {})])) {
      if (wanted[name] !== locked[kind]?.[name])
        problems.push(`${name}: package.json says ${wanted[name]}, the lock ${locked[kind]?.[name]}`)
      else if (!/^\d+\.\d+\.\d+/.test(wanted[name])) problems.push(`${name} is not pinned to one version: ${wanted[name]}`)
    }
  }
  return problems
}

if (import.meta.main) {
  const folder = process.argv[2] ?? root
  const read = (file) => JSON.parse(readFileSync(join(folder, file), 'utf8'))
  const lock = read('package-lock.json')
  const problems = [...driftProblems(read('package.json'), lock), ...lockProblems(lock)]
  for (const problem of problems) console.error(problem)
  if (problems.length > 0) console.error('Next: pin a version whose binaries are all published, then run `npm install`.')
  else console.log(`${Object.keys(lock.packages).length - 1} packages, complete for ${platforms.join(', ')}`)
  process.exitCode = problems.length > 0 ? 1 : 0
}
