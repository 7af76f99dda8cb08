import { chmod, mkdir, open, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** Writes files below a folder, and makes the folders that they need. They are on disk once `sync` resolved. */
export class FileWriter {
  readonly #root: string
  readonly #written = new Set<string>()

  constructor(root: string) {
    this.#root = root
  }

  async write(path: string, bytes: Uint8Array, mode: number): Promise<void> {
    const target = join(this.#root, path)
    await mkdir(dirname(target), { recursive: true, mode: 0o755 })
    await writeFile(target, bytes)
    // The process's own umask must not decide who may start a program.
    await chmod(target, mode)
    for (let at = path; at !== '.'; at = dirname(at)) this.#written.add(join(this.#root, at))
  }

  /** One after the other at the end: the first brings nearly all of them to the disk, so that 2,700 files take as long as a few. */
  async sync(): Promise<void> {
    for (const path of [...this.#written, this.#root]) await syncPath(path)
  }
}

/** Brings a file, or the names in a folder, to the disk. */
export async function syncPath(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Replaces a file by JSON; after a crash it is the old one or the new one. */
export async function replaceJson(path: string, value: unknown): Promise<void> {
  const part = `${path}.part`
  await writeFile(part, JSON.stringify(value), { mode: 0o600, flush: true })
  await rename(part, path)
  await syncPath(dirname(path))
}

/** Points a symbolic link elsewhere; after a crash it is the old one or the new one, and never is there none. */
export async function replaceLink(path: string, target: string): Promise<void> {
  const part = `${path}.part`
  await rm(part, { force: true })
  await symlink(target, part)
  await rename(part, path)
  await syncPath(dirname(path))
}

/** The file's JSON, or null when there is no such file. */
export async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8'))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}
