import type { Stats } from 'node:fs'
import { lstat, readdir, readlink, realpath } from 'node:fs/promises'
import { dirname, join, posix, sep } from 'node:path'
import { makeIgnoreRules } from './ignore-rules.ts'
import type { IgnoreRules, Verdict } from './ignore-rules.ts'

/** One thing to pack. `path` is relative to the directory, with `/`. */
export type SourceEntry =
  | { readonly kind: 'directory'; readonly path: string; readonly mode: number; readonly mtimeMs: number }
  | { readonly kind: 'file'; readonly path: string; readonly mode: number; readonly mtimeMs: number }
  | { readonly kind: 'symlink'; readonly path: string; readonly target: string; readonly mtimeMs: number }

export interface WalkOptions {
  readonly directory: string
  readonly ignoreCase: boolean
  /** Told of what is left out though no rule says so: `link.txt`, `points outside the directory`. */
  readonly leftOut: (path: string, reason: string) => void
}

/** Everything in a directory that its .gitignore files do not name, in the order of names; never what lies outside it, never `.git`. */
export async function* walkDirectory(options: WalkOptions): AsyncIterable<SourceEntry> {
  const root = await realpath(options.directory)
  const rules = await makeIgnoreRules({ root, ignoreCase: options.ignoreCase })
  yield* walk({ root, rules, leftOut: options.leftOut }, '', false)
}

interface Walk {
  readonly root: string
  readonly rules: IgnoreRules
  readonly leftOut: WalkOptions['leftOut']
}

async function* walk(parts: Walk, directory: string, trackedOnly: boolean): AsyncIterable<SourceEntry> {
  const { root, rules } = parts
  if (!trackedOnly) await rules.enter(directory)
  for (const name of (await readdir(join(root, directory))).toSorted()) {
    if (name === '.git') continue
    const path = directory === '' ? name : `${directory}/${name}`
    const facts = await lstat(join(root, path))
    const isDirectory = facts.isDirectory()
    const verdict = trackedOnly ? trackedVerdict(rules, path, isDirectory) : rules.judge(path, isDirectory)
    if (verdict === 'ignored') continue
    const entry = await entryOf(parts, path, facts)
    if (entry !== undefined) yield entry
    if (isDirectory) yield* walk(parts, path, verdict === 'trackedOnly')
  }
}

function trackedVerdict(rules: IgnoreRules, path: string, isDirectory: boolean): Verdict {
  if (!rules.isTracked(path, isDirectory)) return 'ignored'
  return isDirectory ? 'trackedOnly' : 'taken'
}

async function entryOf({ root, leftOut }: Walk, path: string, facts: Stats): Promise<SourceEntry | undefined> {
  const common = { path, mode: facts.mode & 0o777, mtimeMs: facts.mtimeMs }
  if (facts.isDirectory()) return { kind: 'directory', ...common }
  if (facts.isFile()) return { kind: 'file', ...common }
  if (!facts.isSymbolicLink()) {
    leftOut(path, 'neither a file nor a directory')
    return undefined
  }
  const target = await readlink(join(root, path))
  if (await staysInside(root, path, target)) return { kind: 'symlink', path, target, mtimeMs: facts.mtimeMs }
  leftOut(path, 'a link that points outside the directory')
  return undefined
}

/** By its text, and where it exists also by where it really leads. */
async function staysInside(root: string, path: string, target: string): Promise<boolean> {
  if (target.startsWith('/')) return false
  const lexical = posix.normalize(posix.join(posix.dirname(path), target))
  if (lexical === '..' || lexical.startsWith('../')) return false
  try {
    // Not by `join`, which would take `link/..` for nothing instead of going where the link leads.
    const real = await realpath(`${join(root, dirname(path))}/${target}`)
    return real === root || real.startsWith(`${root}${sep}`)
  } catch {
    // It leads nowhere here; by its text it stays inside.
    return true
  }
}
