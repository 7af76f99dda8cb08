import { closeSync, fsyncSync, linkSync, lstatSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { CideryError } from '../../model/errors.ts'
import type { Random } from '../../ports/random.ts'

export interface KeyFileOptions {
  readonly path: string
  readonly random: Random
  /** Makes the content for a file that is not there yet. */
  readonly make: () => string
}

/**
 * Reads a key file, or makes it (mode 0600, on the disk before it is used). Of two processes that make it at once both get the same key.
 * Throws FORBIDDEN when others may read it, UNSUPPORTED when it is no plain file.
 */
export function readOrMakeKeyFile(options: KeyFileOptions): string {
  return readKeyFile(options.path) ?? makeKeyFile(options)
}

function readKeyFile(path: string): string | undefined {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (stat === undefined) return undefined
  if (!stat.isFile()) throw new CideryError('UNSUPPORTED', `the key file ${path} is not a plain file`)
  if ((stat.mode & 0o077) !== 0) {
    throw new CideryError('FORBIDDEN', `the key file ${path} can be read by others`, {
      hint: `chmod 600 ${path}; and change the secrets if somebody may have read it`,
    })
  }
  return readFileSync(path, 'utf8').trim()
}

function makeKeyFile(options: KeyFileOptions): string {
  const { path, random } = options
  const partial = `${path}.${Buffer.from(random.bytes(8)).toString('hex')}`
  const file = openSync(partial, 'wx', 0o600)
  try {
    writeSync(file, `${options.make()}\n`)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  try {
    // Unlike a rename, a link never replaces the key that another process made meanwhile.
    linkSync(partial, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    rmSync(partial)
  }
  syncDirectory(dirname(path))
  const content = readKeyFile(path)
  if (content === undefined) throw new CideryError('INTERNAL', `the key file ${path} vanished while it was made`)
  return content
}

function syncDirectory(path: string): void {
  const directory = openSync(path, 'r')
  try {
    fsyncSync(directory)
  } finally {
    closeSync(directory)
  }
}
