import { lstat, readdir, readlink, realpath } from 'node:fs/promises'
import { dirname, join, posix, sep } from 'node:path'
import { makeIgnoreRules } from './ignore-rules.ts'
import type { IgnoreRules } from './ignore-rules.ts'

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
  yield* walk(root, '', { ...options, rules })
}

async function* walk(root: string, directory: string, options: WalkOptions & { readonly rules: IgnoreRules }): AsyncIterable<SourceEntry> {
  await options.rules.enter(directory)
  const names = (await readdir(join(root, directory))).toSorted()
  for (const name of names) {
    if (name === '.git') continue
    const path = directory === '' ? name : `${directory}/${name}`
    const facts = await lstat(join(root, path))
    if (options.rules.isIgnored(path, facts.isDirectory())) continue
    const common = { path, mode: facts.mode & 0o777, mtimeMs: facts.mtimeMs }
    if (facts.isDirectory()) {
      yield { kind: 'directory', ...common }
      yield* walk(root, path, options)
    } else if (facts.isFile()) {
      yield { kind: 'file', ...common }
    } else if (facts.isSymbolicLink()) {
      const target = await readlink(join(root, path))
      if (await staysInside(root, path, target)) yield { kind: 'symlink', path, target, mtimeMs: facts.mtimeMs }
      else options.leftOut(path, 'a link that points outside the directory')
    } else {
      options.leftOut(path, 'neither a file nor a directory')
    }
  }
}

/** By its text, and where it exists also by where it really leads. */
async function staysInside(root: string, path: string, target: string): Promise<boolean> {
  if (target.startsWith('/')) return false
  const lexical = posix.normalize(posix.join(posix.dirname(path), target))
  if (lexical === '..' || lexical.startsWith('../')) return false
  try {
    const real = await realpath(join(root, dirname(path), target))
    return real === root || real.startsWith(`${root}${sep}`)
  } catch {
    // It leads nowhere here; by its text it stays inside.
    return true
  }
}
