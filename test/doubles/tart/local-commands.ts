import { randomBytes, randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Parsed } from './command-line.ts'
import { isRunning, notRunning, RuntimeFailure, ValidationFailure } from './failures.ts'
import { holdingFlock } from './flock.ts'
import {
  cachedImage,
  copyFiles,
  freshMac,
  fullyQualified,
  localVm,
  localVms,
  openLocal,
  places,
  readConfig,
  VmDirectory,
  type VmConfig,
} from './home.ts'
import { collectImages, pruneFor } from './prune.ts'
import { pullImage, pullSettings } from './pull.ts'

const gib = 1024 ** 3
const gb = 1000 ** 3

function localName(name: string): void {
  if (name.includes('/')) throw new ValidationFailure('<new-name> should be a local name')
}

export function create(parsed: Parsed): void {
  const [name = ''] = parsed.words
  if (name.includes('/')) throw new ValidationFailure('<name> should be a local name')
  const ipsw = parsed.value('from-ipsw')
  if (ipsw === undefined && !parsed.has('linux')) throw new ValidationFailure('Please specify either a --from-ipsw or --linux option!')
  if (ipsw?.startsWith('/') === true && !existsSync(ipsw))
    throw new RuntimeFailure(`The file “${ipsw}” couldn’t be opened because there is no such file.`)
  const vm = localVm(name)
  mkdirSync(vm.path, { recursive: true })
  writeFileSync(vm.diskPath, '')
  truncateSync(vm.diskPath, (parsed.number('disk-size') ?? 50) * gb)
  writeFileSync(`${vm.path}/nvram.bin`, randomBytes(256))
  vm.writeConfig(newConfig(ipsw === undefined ? 'linux' : 'darwin', parsed.value('disk-format') ?? 'raw'))
}

function newConfig(os: VmConfig['os'], diskFormat: string): VmConfig {
  const config: VmConfig = {
    version: 1,
    os,
    arch: 'arm64',
    cpuCountMin: 4,
    cpuCount: 4,
    memorySizeMin: 4 * gib,
    memorySize: 4 * gib,
    macAddress: freshMac(),
    display: { width: 1024, height: 768 },
    diskFormat,
  }
  if (os === 'linux') return config
  return { ...config, ecid: randomBytes(24).toString('base64'), hardwareModel: randomBytes(24).toString('base64') }
}

export async function clone(parsed: Parsed): Promise<void> {
  const [source = '', name = ''] = parsed.words
  localName(name)
  const from = await sourceOf(source, parsed)
  const temporary = `${places.tmp}/${randomUUID().toUpperCase()}`
  mkdirSync(temporary)
  await holdingFlock(temporary, () =>
    holdingFlock(places.home, () => {
      // Every machine's configuration is read, whatever it has to do with this one.
      const macs = localVms().map((vm) => readConfig(vm).macAddress)
      const config = readConfig(from)
      const clash = macs.includes(config.macAddress) && !existsSync(from.statePath)
      copyFiles(from, temporary)
      new VmDirectory(name, temporary).writeConfig(clash ? { ...config, macAddress: freshMac() } : config)
      const target = localVm(name)
      rmSync(target.path, { recursive: true, force: true })
      renameSync(temporary, target.path)
    }),
  )
  const { disk, allocated } = from.sizes()
  pruneFor(Math.min(disk - allocated, (parsed.number('prune-limit') ?? 100) * gib), from.path)
}

async function sourceOf(source: string, parsed: Parsed): Promise<VmDirectory> {
  if (!source.includes('/')) return openLocal(source)
  const cached = cachedImage(source) ?? (await pullImage(source, pullSettings(parsed)))
  cached.touch()
  return cached
}

/** Changes what the options say; one that does not fit leaves all as it was. */
export function set(parsed: Parsed): void {
  const [name = ''] = parsed.words
  const vm = openLocal(name)
  const config = readConfig(vm)
  const [cpu, memory] = [parsed.number('cpu'), parsed.number('memory')]
  if (cpu !== undefined) config.cpuCount = enoughCpu(config, cpu)
  if (memory !== undefined) config.memorySize = enoughMemory(config, memory * 1024 * 1024)
  const [, width, height] = /^(\d+)x(\d+)(?:pt|px)?$/.exec(parsed.value('display') ?? '') ?? []
  if (width !== undefined && height !== undefined) config.display = { width: Number(width), height: Number(height) }
  if (parsed.has('random-mac')) config.macAddress = freshMac()
  if (parsed.has('random-serial') && config.os === 'darwin') config.ecid = randomBytes(24).toString('base64')
  vm.writeConfig(config)
  const size = parsed.number('disk-size')
  if (size !== undefined) resizeDisk(vm, size)
}

function enoughCpu({ os, cpuCountMin }: VmConfig, cpu: number): number {
  if (os === 'linux' || cpu >= cpuCountMin) return cpu
  throw new RuntimeFailure(`VM should have ${cpuCountMin} CPU cores at minimum (requested ${cpu})`)
}

function enoughMemory({ os, memorySizeMin }: VmConfig, bytes: number): number {
  if (os === 'linux' || bytes >= memorySizeMin) return bytes
  throw new RuntimeFailure(`VM should have ${memorySizeMin} bytes of memory at minimum (requested ${bytes})`)
}

function resizeDisk(vm: VmDirectory, size: number): void {
  const now = statSync(vm.diskPath).size
  if (size * gb < now) {
    throw new RuntimeFailure(
      `new disk size of ${size} GB should be larger than the current disk size of ${Math.round((now / gb) * 10) / 10} GB`,
    )
  }
  truncateSync(vm.diskPath, size * gb)
}

export function rename(parsed: Parsed): void {
  const [name = '', newName = ''] = parsed.words
  localName(newName)
  if (!localVm(name).isWhole) throw new ValidationFailure(`failed to rename a non-existent VM: ${name}`)
  if (localVm(newName).isWhole)
    throw new ValidationFailure(`failed to rename VM ${name}, target VM ${newName} already exists, delete it first!`)
  renameSync(localVm(name).path, localVm(newName).path)
}

export function remove(parsed: Parsed): void {
  for (const name of parsed.words) {
    if (name.includes('/')) {
      const cached = cachedImage(name)
      if (cached === null) throw new RuntimeFailure(`the specified VM "${name}" does not exist`, 2)
      rmSync(cached.path, { recursive: true, force: true })
      collectImages()
      continue
    }
    const vm = openLocal(name)
    if (vm.runner() !== null) throw isRunning(name)
    rmSync(vm.path, { recursive: true, force: true })
  }
}

export async function stop(parsed: Parsed): Promise<void> {
  const [name = ''] = parsed.words
  const vm = openLocal(name)
  const pid = vm.runner()
  if (pid === null) {
    if (!existsSync(vm.statePath)) throw notRunning(name)
    rmSync(vm.statePath)
    return
  }
  process.kill(pid, 'SIGINT')
  const until = performance.now() + (parsed.number('timeout') ?? 30) * 1000
  while (performance.now() < until) {
    await sleep(100)
    if (vm.runner() === null) return
  }
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It ended by itself at the last moment.
  }
}

export function suspend(parsed: Parsed): void {
  const [name = ''] = parsed.words
  const pid = openLocal(name).runner()
  if (pid === null) throw notRunning(name)
  process.kill(pid, 'SIGUSR1')
}

export function fqn(parsed: Parsed): void {
  const [name = ''] = parsed.words
  if (cachedImage(name) === null) throw new RuntimeFailure(`the specified VM "${name}" does not exist`, 2)
  console.log(fullyQualified(name))
}

export async function exportVm(parsed: Parsed): Promise<void> {
  openLocal(parsed.words[0] ?? '')
  throw new RuntimeFailure('VM export failed: the double of Tart has no AppleArchive')
}
