import { spawn } from 'node:child_process'
import { readFile, realpath, stat } from 'node:fs/promises'
import { basename, dirname, extname, resolve } from 'node:path'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { CideryError } from '../model/errors.ts'
import { lockProblems, RecipeLock } from '../model/image/lock.ts'
import type { Recipe } from '../model/image/recipe.ts'
import type { Milliseconds } from '../model/instant.ts'
import { readRecipeFile, readRecipeValue } from '../observe/recipe-file.ts'

export interface ReadRecipe {
  readonly recipe: Recipe
  /** As it was written: what a controller reads for itself. */
  readonly source: unknown
  /** Absolute. */
  readonly file: string
  /** What its files are below. */
  readonly folder: string
  readonly lockFile: string
  /** Null: there is none. */
  readonly lock: RecipeLock | null
}

/** Largest recipe, as text or as what a module gives. */
const maxBytes = 4 * 1_048_576
const entry = fileURLToPath(new URL(`./recipe-entry${extname(import.meta.filename)}`, import.meta.url))
const model = fileURLToPath(new URL('../model/image', import.meta.url))

/**
 * Reads a recipe and the lock beside it: `*.yaml`, or a module `*.image.ts` or `*.image.js`. INVALID_INPUT names file, line where there is one, field and what is accepted; NOT_FOUND: there is
 * no such file.
 */
export async function readRecipe(path: string, { deadlineMs = 10_000 }: { readonly deadlineMs?: Milliseconds } = {}): Promise<ReadRecipe> {
  const file = resolve(path)
  const { recipe, source } = await recipeIn(file, path, deadlineMs)
  const lockFile = resolve(dirname(file), `${recipe.name}.lock.json`)
  return { recipe, source, file, folder: dirname(file), lockFile, lock: await readLock(lockFile) }
}

/** Refuses what cannot be built: CONFLICT with everything that the lock lacks. */
export function requireFullLock({ recipe, lock, lockFile }: ReadRecipe): RecipeLock {
  const problems = lockProblems(recipe, lock)
  if (lock !== null && problems.length === 0) return lock
  const list = problems.map(({ message }) => message).join('\n')
  throw new CideryError(
    'CONFLICT',
    `${recipe.name} is not built without a full lock; in ${basename(lockFile)}:\n${list || 'there is none'}`,
    {
      hint: `cidery image lock on the file of the recipe`,
      problems: problems.map((problem) => ({ ...problem, file: lockFile })),
    },
  )
}

async function recipeIn(
  file: string,
  shown: string,
  deadlineMs: Milliseconds,
): Promise<{ readonly recipe: Recipe; readonly source: unknown }> {
  const state = await stat(file).catch(() => null)
  if (state?.isFile() !== true)
    throw new CideryError('NOT_FOUND', `there is no recipe ${shown}`, { hint: 'name a file such as images/macos-15.image.js' })
  if (state.size > maxBytes) throw new CideryError('INVALID_INPUT', `${shown} is larger than ${maxBytes / 1_048_576} MiB`)
  if (/\.ya?ml$/.test(file)) {
    const text = await readFile(file, 'utf8')
    return { recipe: readRecipeFile(text, shown), source: parse(text) as unknown }
  }
  if (/\.image\.[jt]s$/.test(file)) {
    const source = await valueOfModule(file, shown, deadlineMs)
    return { recipe: readRecipeValue(source, shown), source }
  }
  throw new CideryError('INVALID_INPUT', `${shown} is no recipe by its name`, {
    hint: 'recipes are called *.yaml, *.image.ts or *.image.js',
  })
}

async function readLock(file: string): Promise<RecipeLock | null> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
  if (text === null) return null
  const result = RecipeLock.safeParse(jsonOf(text))
  if (result.success) return result.data
  const [issue] = result.error.issues
  throw new CideryError('INVALID_INPUT', `${file}: ${issue?.path.join('.') ?? ''} ${issue?.message ?? 'is no lock'}`, {
    hint: 'cidery image lock makes it anew',
  })
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The schema tells what is wrong.
    return undefined
  }
}

/**
 * The default export of a module. It runs in a process of its own that sees no variable of ours, reads nothing but the folder of the recipe, has no network and is killed at the deadline: a recipe is
 * data, whoever sent the change to it.
 */
async function valueOfModule(file: string, shown: string, deadlineMs: Milliseconds): Promise<unknown> {
  // The permission is of the real folder.
  const module = await realpath(file)
  const readable = [dirname(module), entry, model].map((path) => `--allow-fs-read=${path}`)
  const child = spawn(process.execPath, ['--permission', ...readable, '--no-warnings', entry, module], {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    env: {},
    timeout: deadlineMs,
    killSignal: 'SIGKILL',
  })
  const ended = new Promise<NodeJS.Signals | null>((done, fail) => child.on('error', fail).on('close', (_, signal) => done(signal)))
  const [signal, result, errors] = await Promise.all([ended, textOf(child.stdio[3] as Readable), textOf(child.stderr as Readable)])
  const value = jsonOf(result) as { readonly recipe?: unknown; readonly error?: string } | undefined
  if (value?.error === undefined && value !== undefined) return value.recipe
  const problem =
    signal === null
      ? (value?.error ?? (errors.trim().split('\n').at(-1) || 'it ended without giving a recipe'))
      : `it was not read within ${deadlineMs / 1000} s`
  throw new CideryError('INVALID_INPUT', `the recipe is not accepted:\n${shown}: ${problem}`, {
    problems: [{ path: '', message: problem, file: shown }],
    hint: 'it may import files of its own folder and cidery/image, and nothing else',
  })
}

/** What a pipe gives, its first `maxBytes`; what is too long is no JSON any more. */
async function textOf(pipe: Readable): Promise<string> {
  const pieces: Buffer[] = []
  let size = 0
  for await (const piece of pipe as AsyncIterable<Buffer>) {
    if (size < maxBytes) pieces.push(piece)
    size += piece.byteLength
  }
  return Buffer.concat(pieces).toString('utf8')
}
