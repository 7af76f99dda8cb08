import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { CideryError } from '../../model/errors.ts'

export interface PrivateFile {
  readonly text: string
  /** Permission bits: 0o600. */
  readonly mode: number
  readonly uid: number
}

const longestFile = 1024 * 1024

/** A file that may hold a secret, without following a link; null when there is none. INVALID_INPUT for what is no file. */
export async function readPrivateFile(path: string, options: { readonly followLink?: boolean } = {}): Promise<PrivateFile | null> {
  const file = await opened(path, options.followLink === true)
  if (file === null) return null
  try {
    const stat = await file.stat()
    if (!stat.isFile() || stat.size > longestFile)
      throw new CideryError('INVALID_INPUT', `${path} is no file of at most ${longestFile} bytes`)
    return { text: await file.readFile('utf8'), mode: stat.mode & 0o777, uid: stat.uid }
  } finally {
    await file.close()
  }
}

async function opened(path: string, followLink: boolean): Promise<FileHandle | null> {
  try {
    // Without waiting: a pipe of that name would else hold us.
    return await open(path, constants.O_RDONLY | constants.O_NONBLOCK | (followLink ? 0 : constants.O_NOFOLLOW))
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return null
    const why = code === 'ELOOP' ? 'it is a symbolic link' : (code ?? 'an error')
    throw new CideryError('INVALID_INPUT', `${path} cannot be read: ${why}`, { cause })
  }
}

/** Throws INVALID_INPUT for a file with secrets that others can read or change. */
export function checkMode(path: string, mode: number): void {
  if ((mode & 0o077) === 0) return
  throw new CideryError('INVALID_INPUT', `${path} has a secret in it and can be read by others: its mode is ${octal(mode)}`, {
    hint: `chmod 600 ${path}`,
  })
}

export function octal(mode: number): string {
  return `0${mode.toString(8).padStart(3, '0')}`
}
