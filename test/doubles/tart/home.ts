import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { noSuchVm, RuntimeFailure } from './failures.ts'
import { isFlocked } from './flock.ts'

export interface VmConfig {
  version: number
  os: 'darwin' | 'linux'
  arch: string
  ecid?: string
  hardwareModel?: string
  cpuCountMin: number
  cpuCount: number
  memorySizeMin: number
  memorySize: number
  macAddress: string
  display: { width: number; height: number }
  diskFormat: string
}

export type VmState = 'running' | 'suspended' | 'stopped'

const home = process.env['TART_HOME'] ?? join(homedir(), '.tart')

export const places = {
  home,
  vms: `${home}/vms`,
  images: `${home}/cache/OCIs`,
  tmp: `${home}/tmp`,
} as const

export function prepareHome(): void {
  for (const directory of [places.vms, places.images, places.tmp]) mkdirSync(directory, { recursive: true })
}

/** What commands left that were killed; called at the start of every command but pull and clone. */
export function collectTmp(): void {
  for (const name of readdirSync(places.tmp)) {
    const path = `${places.tmp}/${name}`
    if (!isFlocked(path)) rmSync(path, { recursive: true, force: true })
  }
}

export function freshMac(): string {
  const [first = 0, ...rest] = randomBytes(6)
  // Locally administered, not multicast.
  return [(first & 0xfc) | 0x02, ...rest].map((byte) => byte.toString(16).padStart(2, '0')).join(':')
}

/** A machine's directory, local or in the cache. */
export class VmDirectory {
  readonly name: string
  readonly path: string

  constructor(name: string, path: string) {
    this.name = name
    this.path = path
  }

  get configPath(): string {
    return `${this.path}/config.json`
  }

  get diskPath(): string {
    return `${this.path}/disk.img`
  }

  get statePath(): string {
    return `${this.path}/state.vzvmsave`
  }

  get socketPath(): string {
    return `${this.path}/control.sock`
  }

  /** All three files are there; a half-made directory is passed over silently. */
  get isWhole(): boolean {
    return ['config.json', 'disk.img', 'nvram.bin'].every((name) => existsSync(`${this.path}/${name}`))
  }

  readConfig(): VmConfig {
    return parseConfig(readFileSync(this.configPath, 'utf8'))
  }

  writeConfig(config: VmConfig): void {
    writeFileSync(this.configPath, JSON.stringify(config))
  }

  /** Pid that has the lock on config.json; null when the machine does not run. */
  runner(): number | null {
    const { dev, ino } = statSync(this.configPath)
    // makedev(3) of Linux, for the small numbers that disks have.
    const device = `${((dev >> 8) & 0xfff).toString(16).padStart(2, '0')}:${((dev & 0xff) | ((dev >> 12) & 0xfff00)).toString(16).padStart(2, '0')}`
    const lock = new RegExp(`^\\d+: POSIX\\s+ADVISORY\\s+WRITE (\\d+) ${device}:${ino} `, 'm').exec(readFileSync('/proc/locks', 'utf8'))
    return lock === null ? null : Number(lock[1])
  }

  state(): VmState {
    if (this.runner() !== null) return 'running'
    return existsSync(this.statePath) ? 'suspended' : 'stopped'
  }

  /** Bytes of the disk: what it can hold, and what it takes. */
  sizes(): { readonly disk: number; readonly allocated: number } {
    const { size, blocks } = statSync(this.diskPath)
    return { disk: size, allocated: blocks * 512 }
  }

  touch(): void {
    const now = new Date()
    utimesSync(this.path, now, now)
  }
}

export function parseConfig(text: string): VmConfig {
  try {
    return JSON.parse(text) as VmConfig
  } catch {
    throw new RuntimeFailure(
      'Swift.DecodingError.dataCorrupted(Swift.DecodingError.Context(codingPath: [], debugDescription: "The given data was not valid JSON.", underlyingError: nil))',
    )
  }
}

export function readConfig(vm: VmDirectory): VmConfig {
  return parseConfig(readFileSync(vm.configPath, 'utf8'))
}

/** Copies the files of a machine; the disk's holes stay holes. */
export function copyFiles(from: VmDirectory, to: string): void {
  for (const name of ['config.json', 'disk.img', 'nvram.bin', 'state.vzvmsave']) {
    if (existsSync(`${from.path}/${name}`))
      execFileSync('cp', ['--sparse=always', '--reflink=auto', `${from.path}/${name}`, `${to}/${name}`])
  }
}

export function localVm(name: string): VmDirectory {
  return new VmDirectory(name, `${places.vms}/${name}`)
}

export function openLocal(name: string): VmDirectory {
  const vm = localVm(name)
  if (name.includes('/') || !vm.isWhole) throw noSuchVm(name)
  vm.touch()
  return vm
}

export function localVms(): readonly VmDirectory[] {
  return readdirSync(places.vms)
    .map((name) => localVm(name))
    .filter((vm) => vm.isWhole)
}

/** Cached images: each digest, and each tag that is a link to one. */
export function cachedImages(): readonly VmDirectory[] {
  const found: VmDirectory[] = []
  const walk = (directory: string, above: string): void => {
    for (const name of readdirSync(directory)) {
      const path = `${directory}/${name}`
      const isLink = lstatSync(path).isSymbolicLink()
      const vm = new VmDirectory(above === '' ? name : `${above}${nameSeparator(name, isLink)}${name}`.replaceAll('%3A', ':'), path)
      if (vm.isWhole) found.push(vm)
      else if (!isLink && statSync(path).isDirectory()) walk(path, above === '' ? name : `${above}/${name}`)
    }
  }
  walk(places.images, '')
  return found
}

function nameSeparator(name: string, isLink: boolean): string {
  // A link named by a digest (a pin that was not kept) shows with a colon.
  return name.startsWith('sha256:') && !isLink ? '@' : ':'
}

/** Directory of a cached image by `host/ns:tag` or `host/ns@sha256:…`; null when it is not cached. */
export function cachedImage(name: string): VmDirectory | null {
  const path = `${places.images}/${remoteName(name).path}`
  return new VmDirectory(name, path).isWhole ? new VmDirectory(name, path) : null
}

export interface RemoteName {
  readonly host: string
  readonly namespace: string
  /** Tag, or `sha256:…`. */
  readonly reference: string
  /** Below `cache/OCIs`. */
  readonly path: string
}

export function remoteName(name: string): RemoteName {
  const [, host, namespace, tag, digest] = /^([^/]+)\/([^@:]+?)(?::([\w.-]+))?(?:@(sha256:[0-9a-f]+))?$/.exec(name) ?? []
  if (host === undefined || namespace === undefined) throw new RuntimeFailure(`failed to parse remote name: ${name}`)
  const reference = digest ?? tag ?? 'latest'
  return { host, namespace, reference, path: `${host.replaceAll(':', '%3A')}/${namespace}/${reference}` }
}

/** What a cached image is called by its content: `host/ns@sha256:…`. */
export function fullyQualified(name: string): string {
  const { host, namespace, reference, path } = remoteName(name)
  const link = `${places.images}/${path}`
  const digest = reference.startsWith('sha256:') ? reference : (readlinkSync(link).split('/').at(-1) ?? '')
  return `${host}/${namespace}@${digest}`
}
