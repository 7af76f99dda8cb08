import { createHash } from 'node:crypto'
import { readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CideryError } from '../../../model/errors.ts'
import { ReleaseManifest } from '../../../model/release.ts'
import type { InstalledRelease } from '../../../ports/releases.ts'
import { syncPath } from './durable.ts'

export const manifestName = 'manifest.json'

export interface ReadManifest {
  readonly manifest: ReleaseManifest
  readonly sha256: string
}

export function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** Reads a manifest's bytes. Throws INVALID_INPUT when they are none. */
export function parseManifest(bytes: Uint8Array): ReadManifest {
  const sha256 = sha256Of(bytes)
  try {
    return { manifest: ReleaseManifest.parse(JSON.parse(Buffer.from(bytes).toString('utf8'))), sha256 }
  } catch (cause) {
    throw new CideryError('INVALID_INPUT', `${manifestName} is not that of a release`, { cause })
  }
}

/** The manifest of the release in a folder; null when the folder is none (a checkout, an npm package). */
export async function readManifest(folder: string): Promise<ReadManifest | null> {
  try {
    return parseManifest(await readFile(join(folder, manifestName)))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}

export function installedAt(path: string, { manifest, sha256 }: ReadManifest): InstalledRelease {
  return { version: manifest.version, commit: manifest.commit, sha256, path }
}

/** Name of a release's folder: for people, and no two have the same. */
export function folderName({ manifest, sha256 }: ReadManifest): string {
  return `${manifest.version}-${sha256.slice(0, 16)}`
}

/** Whether every file of a release is as its manifest says. */
async function isWhole(path: string, { manifest, sha256 }: ReadManifest): Promise<boolean> {
  try {
    if (sha256Of(await readFile(join(path, manifestName))) !== sha256) return false
    for (const [name, file] of Object.entries(manifest.files)) if (sha256Of(await readFile(join(path, name))) !== file.sha256) return false
    return true
  } catch {
    // A file is missing, or the whole folder.
    return false
  }
}

/**
 * Gives an unpacked release its place among the others. One that lies there whole stays: programs that run may be of it. Of one that somebody changed
 * nothing is kept.
 */
export async function settle(releases: string, from: string, read: ReadManifest): Promise<InstalledRelease> {
  const path = join(releases, folderName(read))
  if (await isWhole(path, read)) await rm(from, { recursive: true, force: true })
  else {
    await rm(path, { recursive: true, force: true })
    await rename(from, path)
    await syncPath(releases)
  }
  return installedAt(path, read)
}
