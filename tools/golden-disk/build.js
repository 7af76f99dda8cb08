// Builds the golden disk that the tests of virtual machines boot: a small Debian with compiler and make, as the base of an image is built.
// Kept between runs, by what it is made of.
//
//   npm run golden-disk
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { debianBaseKey, makeDebianBase } from '../../src/drivers/engines/qemu/debian/base.ts'
import { endOnSignals } from '../run.js'

const packages = ['gcc', 'libc6-dev', 'make']
const diskMiB = 4096

/** Where disks are kept; the newest only. */
function cacheFolder() {
  const base = process.env.XDG_CACHE_HOME
  return join(base === undefined || base === '' ? join(homedir(), '.cache') : base, 'cidery', 'golden-disk')
}

function partsOf(directory) {
  return { kernel: join(directory, 'vmlinuz'), initramfs: join(directory, 'initramfs'), disk: join(directory, 'disk.raw'), format: 'raw' }
}

function isGone(pid) {
  try {
    process.kill(pid, 0)
    return false
  } catch (error) {
    return error.code === 'ESRCH'
  }
}

/** Removes what killed builds left, and disks of other recipes. */
function removeOthers(folder, key) {
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    const builder = /\.part-(\d+)$/.exec(name)?.[1]
    if (builder === undefined ? name !== key : isGone(Number(builder))) rmSync(join(folder, name), { recursive: true, force: true })
  }
}

/**
 * The golden disk, from the cache or built now (about a minute and 1.5 GB of room while it lasts). Throws with what is missing.
 *
 * @param {{ folder?: string, release?: string }} [options] where it is kept; which release of Debian it is
 * @returns {Promise<{ kernel: string, initramfs: string, disk: string, format: 'raw' }>} paths of its parts
 */
export async function ensureGoldenDisk({ folder = cacheFolder(), release = 'bookworm' } = {}) {
  const base = { suite: release, packages, diskMiB }
  const key = debianBaseKey(base)
  const ready = join(folder, key)
  if (existsSync(ready)) return partsOf(ready)
  removeOthers(folder, key)
  const work = `${ready}.part-${process.pid}`
  mkdirSync(work, { recursive: true })
  try {
    await makeDebianBase(base, work, { signal: new AbortController().signal, onLine: () => {} })
    // Somebody else may have built it meanwhile; one is as good as the other.
    if (!existsSync(ready)) renameSync(work, ready)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
  return partsOf(ready)
}

if (import.meta.main) {
  endOnSignals()
  for (const [name, path] of Object.entries(await ensureGoldenDisk())) console.log(`${name.padEnd(10)} ${path}`)
}
