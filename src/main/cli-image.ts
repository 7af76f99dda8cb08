import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { lockRecipe } from '../act/image/lock-recipe.ts'
import type { LockOptions } from '../act/image/lock-recipe.ts'
import { createSystemTimers } from '../drivers/clocks/system-timers.ts'
import { httpDownloads } from '../drivers/downloads/http/http-downloads.ts'
import { CideryError } from '../model/errors.ts'
import { ingredientsOf, lockProblems } from '../model/image/lock.ts'
import type { RecipeLock } from '../model/image/lock.ts'
import { formatImageName, readNameTemplate } from '../model/image/name.ts'
import { currentRepository, defaultRegistry, projectVersion, versionSources } from '../model/image/project.ts'
import type { VersionSource, VersionTexts } from '../model/image/project.ts'
import { recipeIdentity } from '../model/image/recipe-identity.ts'
import type { RecipeIdentity } from '../model/image/recipe-identity.ts'
import { recipeFiles } from '../model/image/recipe.ts'
import { digestFiles } from '../observe/recipe-files.ts'
import { makeRegistry } from './agent-registry.ts'
import { imagePorts, pinned, quietLog } from './host-images.ts'
import { readRecipe } from './read-recipe.ts'
import type { ReadRecipe } from './read-recipe.ts'

export interface RecipeReport extends ReadRecipe {
  /** What the lock lacks; empty: it is full. */
  readonly lacks: readonly string[]
  /** Null: the lock is not full, or the base is another recipe's image. */
  readonly identity: RecipeIdentity | null
}

/** Reads a recipe and says what it would make; nothing is fetched and nothing is built. */
export async function reportRecipe(file: string): Promise<RecipeReport> {
  const read = await readRecipe(file)
  const files = await digestFiles(read.folder, recipeFiles(read.recipe))
  const lacks = lockProblems(read.recipe, read.lock).map(({ message }) => message)
  const known = read.lock !== null && lacks.length === 0 && read.recipe.base.kind !== 'image'
  const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
  const identity = known ? recipeIdentity(read.recipe, ingredientsOf(read.lock, files), sha256) : null
  return { ...read, lacks, identity }
}

export interface NameQuestion {
  readonly template: string
  /** Folder of the project. */
  readonly project: string
  /** Given by hand; undefined: the project is looked at. */
  readonly version: string | undefined
  readonly versionFrom: readonly VersionSource[] | undefined
  readonly env: Readonly<Record<string, string | undefined>>
}

export interface NamedImage {
  readonly name: string
  readonly version: string | null
  readonly versionFrom: VersionSource | 'option' | null
  readonly registry: string
}

/** The name that a build of the recipe has for a project, and where it is pushed when the spec says nothing. */
export async function nameOfImage({ recipe }: ReadRecipe, question: NameQuestion): Promise<NamedImage> {
  const template = readNameTemplate(question.template)
  const version = template.fields.includes('version') ? await versionOf(question) : null
  const values = { release: recipe.guest.release, recipe: recipe.version, ...(version === null ? {} : { version: version.version }) }
  const repository = currentRepository({ env: question.env, remote: await git(question.project, ['config', '--get', 'remote.origin.url']) })
  return {
    name: formatImageName(template, values),
    version: version?.version ?? null,
    versionFrom: version?.from ?? null,
    registry: defaultRegistry(repository, recipe.name),
  }
}

async function versionOf({
  version,
  versionFrom = versionSources,
  project,
}: NameQuestion): Promise<{ version: string; from: VersionSource | 'option' }> {
  if (version !== undefined) return { version, from: 'option' }
  const texts: VersionTexts = {
    cmake: await textOf(join(project, 'CMakeLists.txt')),
    package: await textOf(join(project, 'package.json')),
    git: await git(project, ['describe', '--tags']),
  }
  return projectVersion(versionFrom, texts)
}

async function textOf(file: string): Promise<string | null> {
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
}

/** What git prints; null when it fails, which is how it says that there is no tag or no remote. */
function git(folder: string, words: readonly string[]): Promise<string | null> {
  return new Promise((resolve) => {
    execFile('git', ['-C', folder, ...words], { timeout: 5000, maxBuffer: 65_536 }, (error, stdout) =>
      resolve(error === null ? stdout : null),
    )
  })
}

export type LockQuestion = Pick<LockOptions, 'indexes' | 'resolve' | 'maxBytes' | 'timeout' | 'signal' | 'say'>

export interface WrittenLock {
  readonly file: string
  readonly lock: RecipeLock
  readonly changed: boolean
}

/** Looks up and downloads what a recipe leaves open, and writes the lock beside it: whole or not at all. */
export async function writeRecipeLock(file: string, question: LockQuestion): Promise<WrittenLock> {
  const { recipe, lockFile } = await readRecipe(file)
  const registry = makeRegistry({}, { ...imagePorts, log: quietLog })
  const resolve = async (reference: string, signal: AbortSignal): Promise<string> => (await pinned({ registry }, reference, signal)).digest
  const lock = await lockRecipe(recipe, { ...question, downloads: httpDownloads(), timers: createSystemTimers(), resolve }).finally(() =>
    registry.close(),
  )
  const text = `${JSON.stringify(lock, null, 2)}\n`
  const changed = (await textOf(lockFile)) !== text
  if (changed) await writeWhole(lockFile, text)
  return { file: lockFile, lock, changed }
}

/** Parts that a killed process of ours left beside a file. */
async function removeLeftParts(file: string): Promise<void> {
  for (const name of await readdir(dirname(file))) {
    const pid = name.startsWith(`${basename(file)}.part-`) ? Number(name.split('-').at(-1)) : Number.NaN
    if (Number.isInteger(pid) && !isRunning(pid)) await rm(join(dirname(file), name), { force: true })
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

async function writeWhole(file: string, text: string): Promise<void> {
  const part = `${file}.part-${process.pid}`
  try {
    await removeLeftParts(file)
    const handle = await open(part, 'w', 0o644)
    try {
      await handle.writeFile(text)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(part, file)
  } catch (cause) {
    await rm(part, { force: true })
    throw new CideryError('INVALID_INPUT', `${file} cannot be written: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    })
  }
}
