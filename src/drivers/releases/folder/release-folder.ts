import { mkdir, readdir, realpath, rm, statfs } from 'node:fs/promises'
import { basename, dirname, join, sep } from 'node:path'
import { CideryError } from '../../../model/errors.ts'
import type { AgentRelease, UpgradeRequest } from '../../../model/release.ts'
import type { InstalledRelease, Releases } from '../../../ports/releases.ts'
import { installedAt, readManifest, settle, type ReadManifest } from './manifest.ts'
import { currentRelease, pointCurrentAt, readUpgrade, releasePlaces, saveUpgrade } from './places.ts'
import { checkRelease } from './self-check.ts'
import { unpackRelease } from './unpack.ts'

/** Unpacked and written beside each other: an archive of so many bytes needs at most so many times as much. */
const unpackedTimes = 4

export interface OpenReleasesOptions {
  /** The agent's own directory. */
  readonly stateDir: string
  /** Folder that this process runs from, without links. */
  readonly root: string
  readonly now: () => number
}

/** The releases of an agent that runs from one of them; null when it does not. */
export async function openReleases(options: OpenReleasesOptions): Promise<Releases | null> {
  const { root, now } = options
  const stateDir = await realpath(options.stateDir)
  const places = releasePlaces(stateDir)
  const read = await readManifest(root)
  if (read === null || dirname(root) !== (await realpath(places.releases).catch(() => null))) return null
  const own = installedAt(root, read)
  let described = await describe(stateDir, own)

  return {
    describe: () => described,
    refusal: null,
    upgrade: () => readUpgrade(stateDir),
    stage: (archive, wanted) => stage({ places, platform: read.manifest.platform }, archive, wanted),
    check: (release, signal) => checkRelease(release, stateDir, signal),
    begin: (operationId, to, deadlineMs) =>
      saveUpgrade(stateDir, { operationId, from: own, to, beganAt: now(), deadlineMs, failure: null }),
    async confirm() {
      await pointCurrentAt(stateDir, root)
      described = await describe(stateDir, own)
    },
    async prune(inUse) {
      const upgrade = await readUpgrade(stateDir)
      const before = upgrade?.failure === null ? upgrade.from.path : null
      const kept = [root, await currentRelease(stateDir), before].flatMap((path) => (path === null ? [] : [basename(path)]))
      return prune(places.releases, kept, await Promise.all(inUse.map((path) => realpath(path).catch(() => path))))
    },
  }
}

async function describe(stateDir: string, own: InstalledRelease): Promise<AgentRelease> {
  const upgrade = await readUpgrade(stateDir)
  const isCurrent = basename((await currentRelease(stateDir)) ?? '') === basename(own.path)
  const operation = isCurrent && upgrade?.failure === null && upgrade.to.sha256 === own.sha256 ? upgrade.operationId : null
  return { commit: own.commit, path: own.path, sha256: own.sha256, operation }
}

interface StageOptions {
  readonly places: ReturnType<typeof releasePlaces>
  readonly platform: string
}

async function stage(options: StageOptions, archive: AsyncIterable<Uint8Array>, wanted: UpgradeRequest): Promise<InstalledRelease> {
  const { releases } = options.places
  await removeUnfinished(releases)
  await requireRoom(releases, wanted.sizeBytes * unpackedTimes)
  const into = join(releases, `.incoming-${wanted.release.slice(0, 16)}`)
  await mkdir(into, { mode: 0o755 })
  try {
    const approve = (read: ReadManifest): void => requireWanted(read, { wanted, platform: options.platform })
    const read = await unpackRelease(archive, { into, sizeBytes: wanted.sizeBytes, approve })
    return await settle(releases, into, read)
  } catch (error) {
    await rm(into, { recursive: true, force: true })
    throw error
  }
}

function requireWanted(
  { manifest, sha256 }: ReadManifest,
  { wanted, platform }: { readonly wanted: UpgradeRequest; readonly platform: string },
): void {
  if (manifest.platform !== platform)
    throw new CideryError('INVALID_INPUT', `the archive is for ${manifest.platform}, and this host is ${platform}`, {
      hint: 'give the archive of its platform as well: --from may be there several times',
    })
  if (sha256 !== wanted.release || manifest.version !== wanted.version)
    throw new CideryError('INVALID_INPUT', `the archive holds ${manifest.version} (${sha256}), not ${wanted.version} (${wanted.release})`)
}

async function removeUnfinished(releases: string): Promise<void> {
  for (const name of await readdir(releases)) {
    if (name.startsWith('.incoming-')) await rm(join(releases, name), { recursive: true, force: true })
  }
}

async function requireRoom(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder)
  if (bavail * bsize >= bytes) return
  throw new CideryError('STORAGE_FULL', `${folder} has ${bavail * bsize} bytes left, and a release may need ${bytes}`, {
    hint: 'free some space on the host',
  })
}

async function prune(releases: string, kept: readonly string[], inUse: readonly string[]): Promise<readonly string[]> {
  const home = await realpath(releases)
  const removed: string[] = []
  for (const entry of await readdir(home, { withFileTypes: true })) {
    const path = join(home, entry.name)
    if (!entry.isDirectory() || kept.includes(entry.name) || inUse.some((program) => program.startsWith(path + sep))) continue
    await rm(path, { recursive: true, force: true })
    removed.push(path)
  }
  return removed
}
