// Builds the golden disk that the tests of virtual machines boot: a small Debian with compiler and make, a kernel, and the few
// modules that see the disk. Kept between runs, by what it is made of.
//
//   npm run golden-disk
import { createHash } from 'node:crypto'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { basename, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { hasCommand } from '../components.js'
import { endOnSignals, run } from '../run.js'

const packages = ['busybox-static', 'gcc', 'iproute2', 'libc6-dev', 'linux-image-cloud-amd64', 'make', 'openssh-server', 'procps']
/** Bytes of the disk as a guest sees it; only what is written takes room. */
const diskBytes = 4 * 1024 ** 3
/** Modules that a guest needs before it has its disk, and for its network; what they depend on is looked up. */
const modules = ['virtio_mmio', 'virtio_blk', 'virtio_net', 'virtio-rng', 'virtio_console']
const builders = ['mmdebstrap', 'mke2fs', 'cpio', 'qemu-img', 'chroot']
const scripts = ['build.js', 'guest', 'init', 'initramfs-init'].map((name) => join(import.meta.dirname, name))

/** Where disks are kept; the newest only. */
function cacheFolder() {
  const base = process.env.XDG_CACHE_HOME
  return join(base === undefined || base === '' ? join(homedir(), '.cache') : base, 'cidery', 'golden-disk')
}

/** Names a disk by what it is made of. */
function recipeKey(release) {
  const hash = createHash('sha256').update(`${release}\0`)
  for (const script of scripts) hash.update(readFileSync(script)).update('\0')
  return hash.digest('hex').slice(0, 16)
}

async function must(argv, options = {}) {
  const { code, output } = await run(argv, { timeoutMs: 10 * 60_000, ...options })
  if (code === 0) return
  throw new Error(`${argv[0]} failed with ${code}: ${output.trim().split('\n').slice(-5).join('; ')}`)
}

function partsOf(directory) {
  return { kernel: join(directory, 'vmlinuz'), initramfs: join(directory, 'initramfs'), disk: join(directory, 'disk.qcow2') }
}

function refuseWhatCannotBe() {
  if (process.platform !== 'linux' || process.arch !== 'x64') throw new Error('the golden disk is built on Linux with x64 only')
  if (process.getuid() !== 0) throw new Error('only root can build the golden disk: its files belong to several accounts')
  const missing = builders.filter((name) => !hasCommand(name))
  if (missing.length > 0) throw new Error(`the golden disk needs ${missing.join(', ')}; next: npm run components -- qemu disk-tools`)
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

/** The modules and all they depend on, in the order in which they load. */
function moduleFiles(root) {
  const [dep = ''] = globSync('lib/modules/*/modules.dep', { cwd: root })
  const folder = join(root, dep, '..')
  const lines = readFileSync(join(root, dep), 'utf8').split('\n')
  const files = modules.flatMap((module) => {
    const line = lines.find((text) => text.split(':')[0].endsWith(`/${module}.ko`))
    if (line === undefined) throw new Error(`the kernel has no module ${module}`)
    const [file, needs] = line.split(':')
    // The file names what must be there last first.
    return [...needs.split(' ').filter(Boolean).reverse(), file]
  })
  return [...new Set(files)].map((file) => join(folder, file))
}

async function makeInitramfs(root, work, target) {
  const tree = join(work, 'tree')
  for (const folder of ['bin', 'dev', 'lib/modules', 'root']) mkdirSync(join(tree, folder), { recursive: true })
  copyFileSync(join(root, 'bin/busybox'), join(tree, 'bin/busybox'))
  copyFileSync(join(import.meta.dirname, 'initramfs-init'), join(tree, 'init'))
  chmodSync(join(tree, 'init'), 0o755)
  moduleFiles(root).forEach((file, index) => {
    copyFileSync(file, join(tree, 'lib/modules', `${String(index).padStart(2, '0')}-${basename(file)}`))
  })
  const archive = join(work, 'initramfs.cpio')
  const names = globSync('**', { cwd: tree })
    .filter((name) => name !== '')
    .sort()
  await must(['cpio', '-o', '-H', 'newc', '-R', '0:0', '--quiet', '-F', archive], { cwd: tree, input: `${names.join('\n')}\n` })
  writeFileSync(target, gzipSync(readFileSync(archive)))
}

async function makeRoot(root, { work, release }) {
  const include = `--include=${packages.join(',')}`
  // What nobody reads in a job's machine; the packages still know of it.
  const without = ['/usr/share/doc/*', '/usr/share/man/*', '/usr/share/locale/*'].map((path) => `--dpkgopt=path-exclude=${path}`)
  await must(['mmdebstrap', '--quiet', '--variant=minbase', include, ...without, release, root], { env: { TMPDIR: work } })
  for (const name of ['init', 'guest']) {
    copyFileSync(join(import.meta.dirname, name), join(root, 'sbin', `cidery-${name}`))
    chmodSync(join(root, 'sbin', `cidery-${name}`), 0o755)
  }
  await must(['chroot', root, 'useradd', '--create-home', '--uid', '1000', '--shell', '/bin/bash', 'job'])
  // No password opens the account, and it is not locked either: sshd refuses the keys of one that is.
  await must(['chroot', root, 'usermod', '--password', '*', 'job'])
  for (const path of globSync('etc/ssh/ssh_host_*', { cwd: root })) rmSync(join(root, path))
}

async function build({ work, release }) {
  const root = join(work, 'root')
  const { kernel, initramfs, disk } = partsOf(work)
  await makeRoot(root, { work, release })
  const [image = ''] = globSync('boot/vmlinuz-*', { cwd: root })
  copyFileSync(join(root, image), kernel)
  await makeInitramfs(root, work, initramfs)
  for (const name of readdirSync(join(root, 'boot'))) rmSync(join(root, 'boot', name), { recursive: true })
  const raw = join(work, 'disk.raw')
  writeFileSync(raw, '')
  truncateSync(raw, diskBytes)
  await must(['mke2fs', '-q', '-F', '-t', 'ext4', '-O', '^has_journal', '-d', root, raw])
  await must(['qemu-img', 'convert', '-O', 'qcow2', raw, disk])
  for (const name of ['root', 'tree', 'disk.raw', 'initramfs.cpio']) rmSync(join(work, name), { recursive: true, force: true })
}

/**
 * The golden disk, from the cache or built now (about a minute and 1.5 GB of room while it lasts). Throws with what is missing.
 *
 * @param {{ folder?: string, release?: string }} [options] where it is kept; which release of Debian it is
 * @returns {Promise<{ kernel: string, initramfs: string, disk: string }>} paths of its parts
 */
export async function ensureGoldenDisk({ folder = cacheFolder(), release = 'bookworm' } = {}) {
  const key = recipeKey(release)
  const ready = join(folder, key)
  if (existsSync(ready)) return partsOf(ready)
  refuseWhatCannotBe()
  removeOthers(folder, key)
  const work = `${ready}.part-${process.pid}`
  mkdirSync(work, { recursive: true })
  try {
    await build({ work, release })
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
