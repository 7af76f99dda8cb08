import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { chmod, lstat, mkdir, open, realpath, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CideryError } from '../../model/errors.ts'
import type { Artifact } from '../client/views.ts'

/** A directory that files from elsewhere can be put into without leaving it. */
export interface SafeDirectory {
  /**
   * Writes a file whole or not at all. Refuses a path that is not relative and plain, one that leads through a link, and content that
   * has not the size and digest it should have. Throws INVALID_INPUT or CONFLICT.
   */
  write(file: Pick<Artifact, 'path' | 'sizeBytes' | 'mode' | 'blob'>, content: AsyncIterable<Uint8Array>): Promise<void>
}

export async function makeSafeDirectory(path: string): Promise<SafeDirectory> {
  await mkdir(path, { recursive: true })
  const root = await realpath(path)
  let count = 0
  return {
    async write(file, content) {
      const parts = checkPath(file.path)
      await makeParents(root, parts.slice(0, -1))
      const final = join(root, ...parts)
      await refuseUnlessFile(final, file.path)
      count += 1
      const temporary = join(dirname(final), `.cidery-${process.pid}-${count}`)
      try {
        await writeChecked(temporary, file, content)
        await chmod(temporary, file.mode & 0o777)
        // Renaming replaces a name and never writes through a link that was put there meanwhile.
        await rename(temporary, final)
      } catch (error) {
        await rm(temporary, { force: true })
        throw error
      }
    },
  }
}

function checkPath(path: string): readonly string[] {
  const parts = path.split('/')
  const bad = path.startsWith('/') || path.includes('\0') || parts.some((part) => part === '' || part === '.' || part === '..')
  if (bad) throw new CideryError('INVALID_INPUT', `the artifact path ${JSON.stringify(path)} does not stay inside the directory`)
  return parts
}

async function makeParents(root: string, parts: readonly string[]): Promise<void> {
  let at = root
  for (const part of parts) {
    at = join(at, part)
    await mkdir(at).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
    const facts = await lstat(at)
    if (!facts.isDirectory())
      throw new CideryError('CONFLICT', `${at} is in the way: a link or a file where a directory is needed`, {
        hint: 'choose an empty directory',
      })
  }
}

async function refuseUnlessFile(final: string, path: string): Promise<void> {
  const facts = await lstat(final).catch(() => undefined)
  if (facts?.isDirectory() === true)
    throw new CideryError('CONFLICT', `${path}: a directory of this name is in the way`, { hint: 'choose an empty directory' })
}

async function writeChecked(
  temporary: string,
  file: Pick<Artifact, 'path' | 'sizeBytes' | 'blob'>,
  content: AsyncIterable<Uint8Array>,
): Promise<void> {
  const handle = await open(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600)
  try {
    const hash = createHash('sha256')
    let size = 0
    for await (const chunk of content) {
      size += chunk.byteLength
      if (size > file.sizeBytes) throw new CideryError('CONFLICT', `${file.path} is longer than the ${file.sizeBytes} bytes it should have`)
      hash.update(chunk)
      await handle.writeFile(chunk)
    }
    if (size !== file.sizeBytes || hash.digest('hex') !== file.blob)
      throw new CideryError('CONFLICT', `${file.path} arrived damaged: its digest is not the recorded one`)
  } finally {
    await handle.close()
  }
}
