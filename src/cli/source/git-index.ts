import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'

/** What a repository tracks: such files belong to it even when a .gitignore names them. Paths are relative to its top, with `/`. */
export interface TrackedFiles {
  has(path: string): boolean
  /** Whether anything below a directory is tracked. */
  hasBelow(directory: string): boolean
}

const nothing: TrackedFiles = { has: () => false, hasBelow: () => false }

/** Reads the index of the repository whose top is given. An index in a form that we do not know tracks nothing, as far as we are concerned. */
export async function readTrackedFiles(top: string): Promise<TrackedFiles> {
  const directory = await gitDirectory(top)
  const index = await readFile(join(directory, 'index')).catch(() => undefined)
  if (index === undefined) return nothing
  const config = await readFile(join(directory, 'config'), 'utf8').catch(() => '')
  const paths = parseIndex(index, /^\s*objectformat\s*=\s*sha256\s*$/im.test(config) ? 32 : 20)
  const files = new Set(paths)
  const directories = new Set<string>()
  for (const path of paths)
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) directories.add(path.slice(0, at))
  return { has: (path) => files.has(path), hasBelow: (path) => directories.has(path) }
}

/** `.git`, or where the file of this name points to (worktrees, submodules). */
async function gitDirectory(top: string): Promise<string> {
  const pointer = await readFile(join(top, '.git'), 'utf8').catch(() => '')
  const target = /^gitdir: (.+)$/m.exec(pointer)?.[1]
  return target === undefined ? join(top, '.git') : resolve(top, target)
}

/** Paths of an index of version 2, 3 or 4 (gitformat-index): fixed fields, an object id, flags, a name that ends with NUL. */
function parseIndex(index: Buffer, hashBytes: number): readonly string[] {
  if (index.length < 12 || index.toString('latin1', 0, 4) !== 'DIRC') return []
  const version = index.readUInt32BE(4)
  if (version < 2 || version > 4) return []
  const paths: string[] = []
  let previous: Buffer = Buffer.alloc(0)
  let at = 12
  for (let left = index.readUInt32BE(8); left > 0 && at + 42 + hashBytes < index.length; left -= 1) {
    const start = at
    const flags = index.readUInt16BE(at + 40 + hashBytes)
    at += 42 + hashBytes + ((flags & 0x4000) === 0 ? 0 : 2)
    if (version === 4) {
      const { value: dropped, next } = readOffset(index, at)
      const end = index.indexOf(0, next)
      previous = Buffer.concat([previous.subarray(0, previous.length - dropped), index.subarray(next, end)])
      at = end + 1
    } else {
      const end = index.indexOf(0, at)
      previous = index.subarray(at, end)
      // One to eight NULs fill an entry up to a multiple of eight.
      at = start + Math.floor((end - start + 8) / 8) * 8
    }
    paths.push(previous.toString('utf8'))
  }
  return paths
}

/** A number of seven bits a byte, as the offsets of pack files are written. */
function readOffset(index: Buffer, from: number): { readonly value: number; readonly next: number } {
  let at = from
  let byte = index.readUInt8(at)
  let value = byte & 0x7f
  while ((byte & 0x80) !== 0) {
    at += 1
    byte = index.readUInt8(at)
    value = ((value + 1) << 7) | (byte & 0x7f)
  }
  return { value, next: at + 1 }
}
