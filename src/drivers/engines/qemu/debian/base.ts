import { createHash } from 'node:crypto'
import { chmodSync, copyFileSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { CideryError } from '../../../../model/errors.ts'
import { findProgram, helperEnvironment, must } from '../../commands.ts'
import { makeInitramfs } from './initramfs.ts'

/** What a machine of the engine needs of Debian besides what every Debian has. */
const ownPackages = ['busybox-static', 'iproute2', 'linux-image-cloud-amd64', 'openssh-server', 'procps'] as const

/** Programs that build a base, and the Debian packages that bring them. */
const builders = { mmdebstrap: 'mmdebstrap', mke2fs: 'e2fsprogs', cpio: 'cpio', chroot: 'coreutils' } as const

/** Files of this folder that go into a base: a change of them makes another. */
const parts = ['base.ts', 'initramfs.ts', 'guest', 'init', 'initramfs-init'] as const

/** Fetching packages takes a minute on a good line. */
const bootstrapMs = 20 * 60_000
const toolMs = 10 * 60_000

export interface DebianBase {
  /** `bookworm`, … */
  readonly suite: string
  /** Besides those that every machine needs. */
  readonly packages: readonly string[]
  /** Of the root disk, as a guest sees it; only what is written takes room. */
  readonly diskMiB: number
}

/** Names a base by what it is made of: 16 hexadecimal digits. Packages are the newest of the suite when it is made. */
export function debianBaseKey({ suite, packages, diskMiB }: DebianBase): string {
  const hash = createHash('sha256').update(JSON.stringify([suite, packages.toSorted(), diskMiB]))
  for (const name of parts) {
    // What is built is named without the ending of its source.
    const path = [name, name.replace(/\.ts$/, '.js')].map((file) => join(import.meta.dirname, file)).find((file) => existsSync(file))
    hash.update('\0').update(readFileSync(path ?? name))
  }
  return hash.digest('hex').slice(0, 16)
}

/** Why no base can be built here, with the packages to install; null when it can. */
export function debianBaseProblem(): string | null {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'a Debian base is built on Linux with x64 only'
  if (process.geteuid?.() !== 0) return 'only root can build a Debian base: its files belong to several accounts'
  const missing = Object.entries(builders).filter(([name]) => findProgram(name) === null)
  if (missing.length === 0) return null
  return `a Debian base needs ${missing.map(([name]) => name).join(', ')}: apt-get install ${[...new Set(missing.map(([, from]) => from))].join(' ')}`
}

/**
 * Makes `vmlinuz`, `initramfs` and `disk.raw` in a folder that is there and empty: a small Debian whose process 1 is `guest` of this folder, with an account `job`.
 * Takes a minute or two and some 1.5 GB of room while it lasts. UNSUPPORTED when it cannot be done here; what is there after a failure is the caller's.
 */
export async function makeDebianBase(base: DebianBase, folder: string, options: DebianOptions): Promise<void> {
  const problem = debianBaseProblem()
  if (problem !== null) throw new CideryError('UNSUPPORTED', problem)
  const root = join(folder, 'root')
  options.onLine(`bootstrapping Debian ${base.suite}`)
  await makeRoot({ root, work: folder, signal: options.signal }, base)
  options.signal.throwIfAborted()
  options.onLine('making kernel, initramfs and disk')
  const [kernel = ''] = globSync('boot/vmlinuz-*', { cwd: root })
  copyFileSync(join(root, kernel), join(folder, 'vmlinuz'))
  const archive = await makeInitramfs(root, folder)
  writeFileSync(join(folder, 'initramfs'), await promisify(gzip)(archive))
  for (const name of globSync('boot/*', { cwd: root })) rmSync(join(root, name), { recursive: true })
  const disk = join(folder, 'disk.raw')
  writeFileSync(disk, '')
  truncateSync(disk, base.diskMiB * 1024 ** 2)
  await must(['mke2fs', '-q', '-F', '-t', 'ext4', '-O', '^has_journal', '-d', root, disk], { timeoutMs: toolMs, signal: options.signal })
  rmSync(root, { recursive: true, force: true })
}

export interface DebianOptions {
  readonly signal: AbortSignal
  readonly onLine: (line: string) => void
}

interface Making {
  readonly root: string
  readonly work: string
  readonly signal: AbortSignal
}

async function makeRoot({ root, work, signal }: Making, { suite, packages }: DebianBase): Promise<void> {
  const include = `--include=${[...new Set([...ownPackages, ...packages])].toSorted().join(',')}`
  // What nobody reads in a job's machine; the packages still know of it.
  const without = ['/usr/share/doc/*', '/usr/share/man/*', '/usr/share/locale/*'].map((path) => `--dpkgopt=path-exclude=${path}`)
  await must(['mmdebstrap', '--quiet', '--variant=minbase', include, ...without, suite, root], {
    signal,
    timeoutMs: bootstrapMs,
    env: { ...helperEnvironment, TMPDIR: work },
  })
  for (const name of ['init', 'guest']) {
    copyFileSync(join(import.meta.dirname, name), join(root, 'sbin', `cidery-${name}`))
    chmodSync(join(root, 'sbin', `cidery-${name}`), 0o755)
  }
  await must(['chroot', root, 'useradd', '--create-home', '--uid', '1000', '--shell', '/bin/bash', 'job'], { timeoutMs: toolMs })
  // No password opens the account, and it is not locked either: sshd refuses the keys of one that is.
  await must(['chroot', root, 'usermod', '--password', '*', 'job'], { timeoutMs: toolMs })
  // Each machine is given a key of its own.
  for (const path of globSync('etc/ssh/ssh_host_*', { cwd: root })) rmSync(join(root, path))
  mkdirSync(join(root, 'run/sshd'), { recursive: true })
}
