import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { z } from 'zod'
import { CideryError } from '../../../model/errors.ts'
import { ImageMetadata, type StoredImage } from '../../../model/image/stored.ts'
import { allocatedBytes } from '../image-files.ts'
import { isRunning, syncPath, writeAtomically } from '../records.ts'
import { imagesDirectory } from './images.ts'
import type { QemuEngineConfig } from './settings.ts'

/** The name of a folder that is being filled by this process; what a process that is gone left is removed by `removeParts`. */
export function partFolder(parent: string, id: string): string {
  mkdirSync(parent, { recursive: true, mode: 0o700 })
  const folder = `${parent}/.${id}.${process.pid}.part`
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { mode: 0o700 })
  return folder
}

/** Gives a filled folder its name once all of it is on the disk. */
export function finishFolder(part: string, folder: string): void {
  for (const name of readdirSync(part)) syncPath(`${part}/${name}`)
  syncPath(part)
  renameSync(part, folder)
  syncPath(folder.slice(0, folder.lastIndexOf('/')))
}

/** Fills a folder and gives it its name once all of it is on the disk; nothing is left of one that could not be filled. */
export async function fillFolder(folder: string, fill: (part: string) => Promise<void>): Promise<void> {
  const part = partFolder(dirname(folder), basename(folder))
  try {
    await fill(part)
    finishFolder(part, folder)
  } catch (error) {
    rmSync(part, { recursive: true, force: true })
    throw error
  }
}

/** Removes parts of processes that are gone, and folders that were being removed. Gives their names. */
export function removeParts(parent: string): readonly string[] {
  const removed: string[] = []
  for (const name of existsSync(parent) ? readdirSync(parent) : []) {
    const pid = /^\..*\.(\d+)\.part$/.exec(name)?.[1]
    if (pid === undefined ? !name.endsWith('.removing') : isRunning(Number(pid))) continue
    rmSync(`${parent}/${name}`, { recursive: true, force: true })
    removed.push(name)
  }
  return removed
}

/** Takes a folder away at once for everybody, and then its bytes. */
export function removeFolder(folder: string): void {
  const going = `${folder}.removing`
  rmSync(going, { recursive: true, force: true })
  renameSync(folder, going)
  rmSync(going, { recursive: true, force: true })
}

/** Notes that something was made of it now. */
export function touch(folder: string): void {
  const now = new Date()
  utimesSync(folder, now, now)
}

/** What a folder says of itself; null when it says nothing, a CideryError when that cannot be read. */
export function metadataOf(folder: string): ImageMetadata | null {
  let text: string
  try {
    text = readFileSync(`${folder}/image.json`, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
  const read = ImageMetadata.safeParse(jsonOf(text))
  if (read.success) return read.data
  throw new CideryError('ENGINE_FAILED', `${folder}/image.json is not what an image says of itself: ${read.error.issues[0]?.message ?? ''}`)
}

/** Null for what is no JSON. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

/** The stored images of an engine, in order of name. `users` are the machines and layers that stand on each. */
export function storedImages(config: QemuEngineConfig, users: ReadonlyMap<string, readonly string[]>): readonly StoredImage[] {
  const parent = imagesDirectory(config)
  const names = existsSync(parent) ? readdirSync(parent).filter((name) => !/^\.|\.(?:part|removing)$/.test(name)) : []
  return names.toSorted().map((id) => storedImage(config, id, users.get(id) ?? []))
}

function storedImage(config: QemuEngineConfig, id: string, users: readonly string[]): StoredImage {
  const folder = `${imagesDirectory(config)}/${id}`
  const problems: string[] = []
  const noteProblem = <T>(read: () => T, otherwise: T): T => {
    try {
      return read()
    } catch (error) {
      problems.push((error as Error).message)
      return otherwise
    }
  }
  const metadata = noteProblem(() => metadataOf(folder), null)
  const { reference } = noteProblem(() => aboutOf(config, id), nothingKnown)
  const { birthtimeMs, mtimeMs } = statSync(folder)
  const missing = ['vmlinuz', 'initramfs', 'disk.raw'].filter((name) => !existsSync(`${folder}/${name}`))
  problems.push(...missing.map((name) => `${name} is missing`))
  return {
    id,
    engine: 'qemu',
    metadata,
    reference,
    sizeBytes: allocatedBytes(folder),
    storedAt: Math.round(Math.min(birthtimeMs, mtimeMs)),
    lastUsedAt: Math.round(mtimeMs),
    users: [...users],
    problems,
  }
}

/** What a host knows of a build besides what the build says of itself; it is none of the image's files. */
const About = z.object({
  /** Where it came from or was sent to last. */
  reference: z.string().nullable(),
  /** SHA-256 of its files when it was sealed, by name; null: what it was pulled with proves it. */
  sums: z.record(z.string(), z.string()).nullable(),
})
type About = z.infer<typeof About>

function aboutPath({ stateDir }: QemuEngineConfig, id: string): string {
  return `${stateDir}/about/${id}.json`
}

const nothingKnown: About = { reference: null, sums: null }

/** Of one that the operator copied here nothing is known. What cannot be read is an error: it is not to be written over. */
export function aboutOf(config: QemuEngineConfig, id: string): About {
  const path = aboutPath(config, id)
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return nothingKnown
    throw error
  }
  const read = About.safeParse(jsonOf(text))
  if (read.success) return read.data
  throw new CideryError('ENGINE_FAILED', `${path} is not what a host knows of an image: ${read.error.issues[0]?.message ?? ''}`)
}

export function noteAbout(config: QemuEngineConfig, id: string, about: Partial<About>): void {
  mkdirSync(`${config.stateDir}/about`, { recursive: true, mode: 0o700 })
  writeAtomically(aboutPath(config, id), JSON.stringify({ ...aboutOf(config, id), ...about }))
}

export function forgetAbout(config: QemuEngineConfig, id: string): void {
  rmSync(aboutPath(config, id), { force: true })
}
