import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A real program whose upstream tarball builds and tests itself with one `make`, in seconds. */
const sourcePackage = 'bzip2'

/**
 * Puts the source of a real C program into `directory/source`: bzip2's upstream tarball, fetched and verified by apt
 * through a private apt directory whose `deb-src` entries are derived from the machine's own lists (nothing of the
 * machine's apt is changed). Without apt, or when nothing answers, it is the program in `examples/`.
 *
 * @param {string} directory a private directory; made anew
 * @param {string} examples the folder `examples/` of the checkout
 * @returns {{ path: string, name: string, artifact: string, origin: string }}
 */
export function fetchExampleSource(directory, examples) {
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory, { recursive: true, mode: 0o755 })
  const failure = fetchUpstream(directory)
  const path = join(directory, 'source')
  if (failure === null)
    return { path, name: 'bzip2 from source', artifact: 'bzip2', origin: "bzip2's upstream source, fetched and verified by apt" }
  cpSync(join(examples, 'wordcount'), path, { recursive: true })
  return { path, name: 'wordcount from source', artifact: 'wordcount', origin: `examples/wordcount (${failure})` }
}

/** Null when it worked, else why not. */
function fetchUpstream(directory) {
  const sources = sourceLists()
  if (sources.length === 0) return 'this machine has no apt lists'
  const apt = join(directory, 'apt')
  for (const part of ['etc', 'lists/partial', 'cache/archives/partial']) mkdirSync(join(apt, part), { recursive: true })
  for (const [index, { name, text }] of sources.entries()) writeFileSync(join(apt, 'etc', `${index}-${name}`), text)
  const settings = {
    'Dir::Etc::SourceList': '/dev/null',
    'Dir::Etc::SourceParts': join(apt, 'etc'),
    'Dir::State::Lists': join(apt, 'lists'),
    'Dir::Cache': join(apt, 'cache'),
    // The private directory is not readable by apt's own account, and need not be.
    'APT::Sandbox::User': 'root',
    'Acquire::Retries': '2',
    'Acquire::http::Timeout': '20',
  }
  const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  const update = run('apt-get', [...options, '-qq', 'update'], directory)
  if (update !== null) return `apt-get update failed: ${update}`
  const download = run('apt-get', [...options, '-qq', 'source', '--download-only', sourcePackage], directory)
  if (download !== null) return `apt-get source failed: ${download}`
  const tarball = readdirSync(directory).find((file) => /\.orig\.tar\.\w+$/.test(file))
  if (tarball === undefined) return 'the package has no upstream tarball'
  mkdirSync(join(directory, 'source'))
  return run('tar', ['-xf', tarball, '--strip-components=1', '-C', 'source'], directory)
}

function run(program, words, cwd) {
  const result = spawnSync(program, words, { cwd, encoding: 'utf8', timeout: 180_000, stdio: ['ignore', 'ignore', 'pipe'] })
  if (result.error !== undefined) return result.error.message
  if (result.status === 0) return null
  return result.stderr.trim().split('\n').at(-1) ?? `exit code ${result.status}`
}

/** The machine's apt entries, turned into entries for sources; both file formats. */
function sourceLists() {
  const found = []
  const add = (file, name) => {
    if (!existsSync(file)) return
    const text = name.endsWith('.sources') ? asSourceStanzas(readFileSync(file, 'utf8')) : asSourceLines(readFileSync(file, 'utf8'))
    if (text !== '') found.push({ name, text })
  }
  add('/etc/apt/sources.list', 'main.list')
  const parts = '/etc/apt/sources.list.d'
  if (existsSync(parts)) for (const name of readdirSync(parts).sort()) if (/\.(?:list|sources)$/.test(name)) add(join(parts, name), name)
  return found
}

function asSourceStanzas(text) {
  return text
    .split(/\n\s*\n/)
    .filter((stanza) => /^Types:.*\bdeb\b/m.test(stanza))
    .map((stanza) => stanza.replace(/^Types:.*$/m, 'Types: deb-src'))
    .join('\n\n')
}

function asSourceLines(text) {
  return text
    .split('\n')
    .filter((line) => /^deb\s/.test(line))
    .map((line) => line.replace(/^deb\s/, 'deb-src '))
    .join('\n')
}
