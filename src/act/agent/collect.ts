import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import picomatch from 'picomatch'
import { extract, type Header } from 'tar-stream'
import { CideryError } from '../../model/errors.ts'
import { hour, minute } from '../../model/instant.ts'
import type { Artifact, ArtifactFailure } from '../../model/job.ts'
import type { AgentPorts } from '../../ports/agent.ts'
import type { EngineSandbox } from '../../ports/engine.ts'
import { patiently } from './deadline.ts'
import { transferPatience } from './download.ts'
import { runInside, startInside, type Inside } from './inside.ts'
import { messageOf } from './outcome.ts'
import { plainEnvironment } from './source.ts'

export interface Collection {
  readonly ports: AgentPorts
  readonly inside: Inside
  readonly paths: EngineSandbox['paths']
  readonly patterns: readonly string[]
  /** Bytes of all artifacts together. */
  readonly limitBytes: number
}

export interface Collected {
  readonly artifacts: readonly Artifact[]
  readonly failures: readonly ArtifactFailure[]
}

/** Names in a work directory that are looked at, and their bytes: a job that makes more loses its artifacts, not the agent its memory. */
const mostNames = 200_000
const mostNameBytes = 64 * 1024 ** 2
const mostArtifacts = 10_000
const mostFailures = 200

/** A file as its job's user sees it; `link` is where a symbolic link points. */
interface Found {
  readonly path: string
  readonly pattern: string
  readonly mode: number
  readonly sizeBytes: number
  readonly digest: string
}

/**
 * Keeps the files that the job's globs name. Listed and read inside, as the job's user: nothing comes out that the job could not read
 * itself, and symbolic links are never followed out of the work directory. What could not be kept is a failure with its reason.
 */
export async function collectArtifacts(collection: Collection): Promise<Collected> {
  const failures: ArtifactFailure[] = []
  if (collection.patterns.length === 0) return { artifacts: [], failures }
  const files = await listNames(collection, 'f')
  const links = await listNames(collection, 'l')
  const chosen = choose(collection.patterns, [...files, ...links])
  for (const pattern of unmatched(collection.patterns, chosen)) failures.push({ pattern, reason: 'no file matches' })
  if (chosen.size > mostArtifacts) {
    const [first] = collection.patterns
    failures.push({ pattern: first ?? '', reason: `${chosen.size} files match; at most ${mostArtifacts} are kept` })
    return { artifacts: [], failures }
  }
  const found = await readAll(collection, { chosen, files: new Set(files), failures })
  const artifacts = await uploadAll(collection, found, failures)
  return { artifacts, failures: failures.slice(0, mostFailures) }
}

/** Names below the work directory, without `./`, of files (`f`) or symbolic links (`l`). Mount points and devices are left out. */
async function listNames(collection: Collection, type: 'f' | 'l'): Promise<readonly string[]> {
  const names: string[] = []
  let size = 0
  let rest = Buffer.alloc(0)
  await runInside(collection.inside, {
    command: {
      argv: ['find', '.', '-xdev', '-type', type, '-print0'],
      env: plainEnvironment(collection.paths.home),
      cwd: collection.paths.work,
    },
    onOutput: (bytes) => {
      size += bytes.length
      if (size > mostNameBytes || names.length > mostNames) {
        throw new CideryError('PAYLOAD_TOO_LARGE', `the work directory holds more than ${mostNames} files`)
      }
      rest = Buffer.concat([rest, bytes])
      for (let end = rest.indexOf(0); end !== -1; end = rest.indexOf(0)) {
        names.push(rest.toString('utf8', 2, end))
        rest = rest.subarray(end + 1)
      }
    },
    limitMs: 10 * minute,
    what: 'list the files of the work directory',
  })
  return names.toSorted()
}

/** Which glob chose which name; the first one wins. A glob that names a folder (`dist/`) means all below it. */
function choose(patterns: readonly string[], names: readonly string[]): Map<string, string> {
  const matchers = patterns.map((pattern) => ({ pattern, matches: matcher(pattern) }))
  const chosen = new Map<string, string>()
  for (const name of names) {
    const first = matchers.find(({ matches }) => matches(name))
    if (first !== undefined) chosen.set(name, first.pattern)
  }
  return chosen
}

function matcher(pattern: string): (name: string) => boolean {
  const glob = pattern.replace(/^\.\//, '')
  return picomatch(glob.endsWith('/') ? `${glob}**` : glob, { dot: true })
}

/** Globs that name no file at all; one whose files all went to an earlier glob is not among them. */
function unmatched(patterns: readonly string[], chosen: ReadonlyMap<string, string>): readonly string[] {
  const used = new Set(chosen.values())
  return patterns.filter((pattern) => {
    if (used.has(pattern)) return false
    const matches = matcher(pattern)
    for (const name of chosen.keys()) if (matches(name)) return false
    return true
  })
}

interface Reading {
  readonly chosen: ReadonlyMap<string, string>
  readonly files: ReadonlySet<string>
  readonly failures: ArtifactFailure[]
}

/** Where a symbolic link leads, seen from the work directory; null when it leads out. */
function targetOf(path: string, linkname: string): string | null {
  if (linkname.startsWith('/') || linkname === '') return null
  const parts = path.split('/').slice(0, -1)
  for (const part of linkname.split('/')) {
    if (part === '' || part === '.') continue
    if (part !== '..') parts.push(part)
    else if (parts.pop() === undefined) return null
  }
  return parts.join('/')
}

/** Reads every chosen file once, as one tar made inside, and notes size, mode and digest. */
async function readAll(collection: Collection, reading: Reading): Promise<readonly Found[]> {
  const { chosen, files, failures } = reading
  const found = new Map<string, Found>()
  const links: { readonly path: string; readonly target: string }[] = []
  const wanted = [...chosen.keys()]
  await tarOf(collection, wanted, async (header, content) => {
    const path = header.name.replace(/^\.\//, '')
    const pattern = chosen.get(path)
    if (pattern === undefined) return
    if (header.type === 'symlink') {
      const target = targetOf(path, header.linkname)
      if (target !== null && files.has(target)) links.push({ path, target })
      else
        failures.push({
          pattern,
          path,
          reason: target === null ? 'a symbolic link that leads out of the work directory' : 'a symbolic link that leads to no file',
        })
      return
    }
    const same = header.type === 'link' ? found.get(header.linkname.replace(/^\.\//, '')) : undefined
    if (same !== undefined) {
      found.set(path, { ...same, path, pattern })
      return
    }
    const hash = createHash('sha256')
    let sizeBytes = 0
    for await (const piece of content) {
      hash.update(piece)
      sizeBytes += piece.length
    }
    found.set(path, { path, pattern, sizeBytes, mode: header.mode & 0o777, digest: hash.digest('hex') })
  })
  for (const path of wanted) {
    const pattern = chosen.get(path) ?? ''
    if (found.has(path) || links.some((link) => link.path === path) || failures.some((failure) => failure.path === path)) continue
    failures.push({ pattern, path, reason: 'it could not be read' })
  }
  for (const { path, target } of links) {
    const pattern = chosen.get(path) ?? ''
    const there = found.get(target)
    if (there !== undefined) found.set(path, { ...there, path, pattern })
    else failures.push({ pattern, path, reason: `a symbolic link to ${target}, which no glob names` })
  }
  return [...found.values()].toSorted((a, b) => (a.path < b.path ? -1 : 1))
}

type OnEntry = (header: Header, content: AsyncIterable<Uint8Array>) => Promise<void>

async function tarOf(collection: Collection, names: readonly string[], onEntry: OnEntry): Promise<void> {
  if (names.length === 0) return
  const { inside, paths, ports } = collection
  const input = Buffer.from(names.map((name) => `./${name}\0`).join(''))
  const command = {
    argv: ['tar', '-c', '-f', '-', '--no-recursion', '--null', '-T', '-'] as const,
    env: plainEnvironment(paths.home),
    cwd: paths.work,
  }
  const started = await startInside(inside, command, { input })
  const control = new AbortController()
  const late = AbortSignal.any([inside.signal, control.signal])
  ports.timers.sleep(hour, late).then(
    () => void started.stop(0),
    () => {
      if (inside.signal.aborted) void started.stop(0)
    },
  )
  const entries = extract()
  const feed = Readable.from(started.output, { objectMode: false })
  feed.on('error', (error) => entries.destroy(error))
  entries.on('error', () => {
    // Thrown by the loop below.
  })
  started.ended.catch(() => {
    // A tar that stops reading its list shows as files that could not be read.
  })
  feed.pipe(entries)
  try {
    for await (const entry of entries) {
      await onEntry(entry.header, entry as AsyncIterable<Uint8Array>)
      entry.resume()
    }
    // Its exit code says only that some file could not be read or changed: each file is looked at by itself.
  } finally {
    control.abort()
    feed.destroy()
    entries.destroy(new Error('dropped'))
    await started.stop(0)
  }
  inside.signal.throwIfAborted()
}

async function uploadAll(collection: Collection, found: readonly Found[], failures: ArtifactFailure[]): Promise<readonly Artifact[]> {
  const artifacts: Artifact[] = []
  let total = 0
  for (const file of found) {
    const { path, pattern, sizeBytes, mode, digest } = file
    if (total + sizeBytes > collection.limitBytes) {
      failures.push({ pattern, path, reason: `the artifacts are larger than ${collection.limitBytes} bytes together` })
      continue
    }
    total += sizeBytes
    try {
      await uploadOne(collection, file)
      artifacts.push({ path, sizeBytes, mode, blob: digest })
    } catch (error) {
      collection.inside.signal.throwIfAborted()
      failures.push({ pattern, path, reason: messageOf(error).slice(0, 500) })
    }
  }
  return artifacts
}

async function uploadOne(collection: Collection, file: Found): Promise<void> {
  const { ports, inside, paths } = collection
  async function* read(offset: number): AsyncGenerator<Uint8Array> {
    const argv = ['tail', '-c', `+${offset + 1}`, '--', `./${file.path}`] as const
    const started = await startInside(inside, { argv, env: plainEnvironment(paths.home), cwd: paths.work })
    started.ended.catch(() => {
      // It had no input that could break.
    })
    let left = file.sizeBytes - offset
    try {
      for await (const bytes of started.output) {
        // A file that grew since it was looked at is cut; one that changed is refused by its digest.
        if (left <= 0) break
        const piece = bytes.subarray(0, left)
        left -= piece.length
        yield piece
      }
    } finally {
      await started.stop(0)
    }
  }
  await patiently({ ...ports, signal: inside.signal, limitMs: transferPatience }, () =>
    ports.link.uploadBlob(file.digest, file.sizeBytes, read),
  )
}
