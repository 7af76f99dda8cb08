import { readFile } from 'node:fs/promises'
import { dirname, join, relative, sep } from 'node:path'
import ignore from 'ignore'
import type { Ignore } from 'ignore'
import { readTrackedFiles } from './git-index.ts'

/** The rules of one .gitignore, which hold for everything below its directory. */
interface RuleSet {
  /** Directory of the file, relative to the root of the rules, with `/`; empty for the root. */
  readonly base: string
  readonly rules: Ignore
}

/** `trackedOnly`: an ignored directory in which only what git tracks is taken. */
export type Verdict = 'taken' | 'ignored' | 'trackedOnly'

/** What `.gitignore` files say of paths, as git reads them: the file nearest to a path has the last word, and what is tracked is never ignored. */
export interface IgnoreRules {
  /** Reads the .gitignore of a directory that is about to be entered (path relative to the walk's root, empty for the root). */
  enter(directory: string): Promise<void>
  judge(path: string, isDirectory: boolean): Verdict
  isTracked(path: string, isDirectory: boolean): boolean
}

export interface IgnoreOptions {
  /** Directory that is walked. */
  readonly root: string
  /** As git's core.ignoreCase: on by default on macOS. */
  readonly ignoreCase: boolean
}

/** Starts with the rules that hold above the root: those of its repository's upper directories and of `.git/info/exclude`. */
export async function makeIgnoreRules({ root, ignoreCase }: IgnoreOptions): Promise<IgnoreRules> {
  const top = await findRepository(root)
  const prefix = top === undefined ? '' : toSlashes(relative(top, root))
  const sets: RuleSet[] = []
  const base = (directory: string) => [prefix, directory].filter((part) => part !== '').join('/')

  async function add(file: string, at: string): Promise<void> {
    const text = await readText(file)
    if (text !== undefined) sets.push({ base: at, rules: ignore({ ignorecase: ignoreCase }).add(text) })
  }

  if (top !== undefined) {
    await add(join(top, '.git', 'info', 'exclude'), '')
    const parts = prefix === '' ? [] : prefix.split('/')
    for (let depth = 0; depth < parts.length; depth += 1) {
      const above = parts.slice(0, depth).join('/')
      await add(join(top, above, '.gitignore'), above)
    }
  }
  const tracked = top === undefined ? undefined : await readTrackedFiles(top)
  const isTracked = (path: string, isDirectory: boolean) =>
    (isDirectory ? tracked?.hasBelow(base(path)) : tracked?.has(base(path))) === true
  return {
    isTracked,
    enter: (directory) => add(join(root, directory, '.gitignore'), base(directory)),
    judge(path, isDirectory) {
      if (!isIgnored(sets, base(path), isDirectory)) return 'taken'
      if (!isTracked(path, isDirectory)) return 'ignored'
      return isDirectory ? 'trackedOnly' : 'taken'
    },
  }
}

/** A directory that is ignored is not entered for what is not tracked: nothing below it can be taken back. */
function isIgnored(sets: readonly RuleSet[], path: string, isDirectory: boolean): boolean {
  for (const { base, rules } of sets.toReversed()) {
    if (base !== '' && !path.startsWith(`${base}/`)) continue
    const inside = base === '' ? path : path.slice(base.length + 1)
    const verdict = rules.test(isDirectory ? `${inside}/` : inside)
    if (verdict.ignored) return true
    if (verdict.unignored) return false
  }
  return false
}

/** The nearest directory, from `from` upwards, that holds a `.git`. */
async function findRepository(from: string): Promise<string | undefined> {
  for (let at = from; ; at = dirname(at)) {
    if ((await readText(join(at, '.git', 'HEAD'))) !== undefined || (await readText(join(at, '.git'))) !== undefined) return at
    if (dirname(at) === at) return undefined
  }
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch {
    // Not there, a directory, or not ours to read: then it has no rules for us.
    return undefined
  }
}

function toSlashes(path: string): string {
  return sep === '/' ? path : path.split(sep).join('/')
}
