import { join } from 'node:path'
import { CideryError } from '../../../model/errors.ts'

const part = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/
const digestPattern = /^[0-9a-f]{64}$/
const maxParts = 4

/** Sealed blobs are spread over 256 folders: one folder with millions of files is slow to list on every file system. */
const sealedFolder = 'sha256'

/** The file of a name below the root. Throws INVALID_INPUT for what could lead anywhere else (`..`, absolute, empty parts, control characters). */
export function blobPath(root: string, name: string): string {
  const parts = name.split('/')
  if (parts.length < 2 || parts.length > maxParts || !parts.every((text) => part.test(text))) {
    throw new CideryError('INVALID_INPUT', `${JSON.stringify(name.slice(0, 200))} is not a name of a blob`)
  }
  if (parts[0] !== sealedFolder) return join(root, ...parts)
  if (parts.length !== 2) throw new CideryError('INVALID_INPUT', `${JSON.stringify(name.slice(0, 200))} is not a name of a blob`)
  return digestPath(root, parts[1] ?? '')
}

export function digestPath(root: string, digest: string): string {
  if (!digestPattern.test(digest)) throw new CideryError('INVALID_INPUT', 'a digest is 64 lower-case hex digits')
  return join(root, sealedFolder, digest.slice(0, 2), digest)
}

/** Sealed bytes are named by what they are and never written to. */
export function isSealedName(name: string): boolean {
  return name.startsWith(`${sealedFolder}/`)
}

/** The name that a file below the root has outside: the spreading folder of sealed blobs does not show. */
export function blobName(relativePath: string): string {
  return relativePath.replace(/^sha256\/[0-9a-f]{2}\//, 'sha256/')
}
