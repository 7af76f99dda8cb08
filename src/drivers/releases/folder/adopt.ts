import { lstat, mkdir, readFile, realpath, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CideryError } from '../../../model/errors.ts'
import type { InstalledRelease } from '../../../ports/releases.ts'
import { FileWriter } from './durable.ts'
import { folderName, installedAt, manifestName, readManifest, settle, sha256Of, type ReadManifest } from './manifest.ts'
import { pointCurrentAt, releasePlaces } from './places.ts'

/**
 * Copies the release that lies in `root` to an agent's own releases and makes it the current one; resolves with its folder. Each file is checked against
 * the manifest. Everything belongs to who owns the state directory, so that this agent can replace it; who that is must be able to read `root`.
 */
export async function adoptRelease(root: string, stateDir: string): Promise<InstalledRelease> {
  const read = await readManifest(root)
  if (read === null) throw new CideryError('INVALID_INPUT', `${root} is not a release: it has no ${manifestName}`)
  await mkdir(stateDir, { recursive: true, mode: 0o700 })
  return asOwnerOf(stateDir, () => adopt(root, stateDir, read))
}

async function adopt(root: string, stateDir: string, read: ReadManifest): Promise<InstalledRelease> {
  const places = releasePlaces(stateDir)
  await mkdir(places.releases, { recursive: true, mode: 0o755 })
  const home = await realpath(places.releases)
  const known = join(home, folderName(read))
  if (root !== known) await copyRelease({ root, into: join(home, `.incoming-${read.sha256.slice(0, 16)}`), home, read })
  // What a person installs is no trial, and ends one that is under way.
  await rm(places.upgrade, { force: true })
  await pointCurrentAt(stateDir, known)
  return installedAt(known, read)
}

interface Copy {
  readonly root: string
  readonly into: string
  readonly home: string
  readonly read: ReadManifest
}

async function copyRelease({ root, into, home, read }: Copy): Promise<void> {
  await rm(into, { recursive: true, force: true })
  const writer = new FileWriter(into)
  for (const [path, wanted] of Object.entries(read.manifest.files)) {
    const bytes = await readFile(join(root, path))
    if (sha256Of(bytes) !== wanted.sha256)
      throw new CideryError('INVALID_INPUT', `${join(root, path)} is not the file that ${manifestName} names`, {
        hint: 'unpack the archive again',
      })
    await writer.write(path, bytes, wanted.executable ? 0o755 : 0o644)
  }
  await writer.write(manifestName, await readFile(join(root, manifestName)), 0o644)
  await writer.sync()
  await settle(home, into, read)
}

/**
 * Does `work` with the rights of who owns a folder. As root in a folder of somebody else each write could be led elsewhere by a link that they put there in
 * between; with their own rights it leads nowhere that they could not go themselves.
 */
async function asOwnerOf<T>(folder: string, work: () => Promise<T>): Promise<T> {
  const { uid, gid } = await lstat(folder)
  const { seteuid, setegid } = process
  if (process.geteuid?.() !== 0 || uid === 0 || seteuid === undefined || setegid === undefined) return work()
  setegid(gid)
  seteuid(uid)
  try {
    return await work()
  } finally {
    seteuid(0)
    setegid(process.getgid?.() ?? 0)
  }
}
