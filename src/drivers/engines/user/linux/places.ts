import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { findProgram, must, run } from '../../commands.ts'
import type { SandboxRecord } from '../record.ts'
import type { UserEngineConfig } from '../settings.ts'

/** Smallest file system that holds its own tables and a home. */
const smallestImageMiB = 16

/** Where a sandbox's files are on the host: a mount point (or the files themselves), and an image that is as big as its disk may get. */
export interface Place {
  readonly directory: string
  readonly image: string
}

export function placeOf(config: UserEngineConfig, account: string): Place {
  return { directory: `${config.stateDir}/places/${account}`, image: `${config.stateDir}/images/${account}.img` }
}

/** Whether a file can be mounted as a disk here: tries it with a tiny one, in a mount namespace of its own. */
export async function loopMountsWork(config: UserEngineConfig): Promise<boolean> {
  if (!config.diskFiles || findProgram('mke2fs') === null || !existsSync('/dev/loop-control')) return false
  const trial = placeOf(config, `.trial-${process.pid}`)
  try {
    mkdirSync(trial.directory, { recursive: true, mode: 0o700 })
    await makeImage(trial.image, smallestImageMiB)
    const mounted = await run([
      'unshare',
      '--mount',
      '--propagation',
      'private',
      'mount',
      '-n',
      '-t',
      'ext4',
      '-o',
      'loop',
      trial.image,
      trial.directory,
    ])
    return mounted.code === 0
  } catch {
    // Whatever it was, a disk of its own cannot be given here; the directory is used instead and the limit is not claimed.
    return false
  } finally {
    rmSync(trial.image, { force: true })
    rmSync(trial.directory, { recursive: true, force: true })
  }
}

/** A sparse ext4 file: 16 ms for 4 GiB or 64 GiB, 2–5 MB on the disk. No journal: what is in it never outlives a crash. */
async function makeImage(path: string, sizeMiB: number): Promise<void> {
  mkdirSync(path.slice(0, path.lastIndexOf('/')), { recursive: true, mode: 0o700 })
  rmSync(path, { force: true })
  writeFileSync(path, '', { mode: 0o600 })
  truncateSync(path, Math.max(sizeMiB, smallestImageMiB) * 1024 * 1024)
  await must(['mke2fs', '-q', '-F', '-t', 'ext4', '-m', '0', '-O', '^has_journal', '-E', 'lazy_itable_init=1,nodiscard', path])
}

/** Makes the sandbox's storage: a file of its disk's size, or only a directory. */
export async function makePlace(config: UserEngineConfig, record: SandboxRecord, asFile: boolean): Promise<void> {
  const place = placeOf(config, record.account)
  mkdirSync(place.directory, { recursive: true, mode: 0o755 })
  chmodSync(place.directory, 0o755)
  if (asFile) await makeImage(place.image, record.shape.diskMiB)
}

/** Mount points of this mount namespace that lie at or under a path. */
function mountsUnder(path: string): readonly string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) =>
      (line.split(' ')[4] ?? '').replaceAll(/\\(\d{3})/g, (_, octal: string) => String.fromCodePoint(Number.parseInt(octal, 8))),
    )
    .filter((mountPoint) => mountPoint === path || mountPoint.startsWith(`${path}/`))
    .reverse()
}

async function bytesOf({ directory, image }: Place): Promise<number> {
  if (existsSync(image)) return statSync(image).blocks * 512
  if (!existsSync(directory)) return 0
  const used = await run(['du', '-sx', '--block-size=1', directory])
  return Number.parseInt(used.stdout, 10) || 0
}

/** Unmounts and removes the storage; returns the bytes it held. What resists is found by `placeLeft`. */
export async function removePlace(config: UserEngineConfig, account: string): Promise<number> {
  const place = placeOf(config, account)
  for (const mountPoint of mountsUnder(place.directory)) await run(['umount', '-l', mountPoint])
  const bytes = await bytesOf(place)
  rmSync(place.image, { force: true })
  // rm walks by directory handles: paths deeper than the kernel takes in one word are no obstacle, and links are not followed.
  if (existsSync(place.directory)) await run(['rm', '-rf', '--one-file-system', place.directory], { timeoutMs: 300_000 })
  return bytes
}

/** What is left of the storage. */
export function placeLeft(config: UserEngineConfig, account: string): readonly string[] {
  const { directory, image } = placeOf(config, account)
  return [
    ...mountsUnder(directory).map((mountPoint) => `mount ${mountPoint}`),
    ...[directory, image].filter((path) => existsSync(path)).map((path) => `files ${path}`),
  ]
}

function isTrialUnderWay(name: string): boolean {
  const pid = /^\.trial-(\d+)$/.exec(name)?.[1]
  return pid !== undefined && existsSync(`/proc/${pid}`)
}

/** Names that storage exists for: accounts, and trials that were never finished. */
export function placesPresent(config: UserEngineConfig): readonly string[] {
  const names = (directory: string): readonly string[] => (existsSync(directory) ? readdirSync(directory) : [])
  const images = names(`${config.stateDir}/images`).map((name) => name.replace(/\.img$/, ''))
  return [...new Set([...names(`${config.stateDir}/places`), ...images])].filter((name) => !isTrialUnderWay(name))
}

/** Removes the directories that storage lay in, when nothing is in them. */
export function removeEmptyPlaces(config: UserEngineConfig): void {
  for (const directory of ['places', 'images']) {
    try {
      rmdirSync(`${config.stateDir}/${directory}`)
    } catch {
      // Still in use, or never made.
    }
  }
}
