import { existsSync, lstatSync, readdirSync, readlinkSync, rmSync, statSync, unlinkSync } from 'node:fs'
import type { Parsed } from './command-line.ts'
import { ValidationFailure } from './failures.ts'
import { cachedImages, localVms, type VmDirectory } from './home.ts'
import { addFreeBytes, freeBytes } from './host.ts'

const dayMs = 86_400_000

function lastUse(vm: VmDirectory): number {
  return statSync(vm.path).mtimeMs
}

/** What may be pruned, the least recently used first: images by content (tags only point at them), or machines that do not run. */
function candidates(entries: string): readonly VmDirectory[] {
  const all =
    entries === 'vms'
      ? localVms().filter((vm) => vm.runner() === null)
      : cachedImages().filter((vm) => !lstatSync(vm.path).isSymbolicLink())
  return [...all].sort((a, b) => lastUse(a) - lastUse(b))
}

/** Removes a machine or image with the tags that point at it. */
function drop(vm: VmDirectory): number {
  const { allocated } = vm.sizes()
  const directory = vm.path.slice(0, vm.path.lastIndexOf('/'))
  for (const name of readdirSync(directory)) {
    const path = `${directory}/${name}`
    if (lstatSync(path).isSymbolicLink() && readlinkSync(path) === vm.path) unlinkSync(path)
  }
  rmSync(vm.path, { recursive: true, force: true })
  return allocated
}

/** What every clone and pull does when the disk is short: cached images go, until there is room. Never the one that is being used. */
export function pruneFor(bytes: number, used: string): void {
  if (process.env['TART_NO_AUTO_PRUNE'] !== undefined) return
  for (const image of candidates('caches')) {
    if (freeBytes() >= bytes) return
    if (!used.startsWith(image.path)) addFreeBytes(drop(image))
  }
}

/** Removes images that no tag leads to any more, and that nobody pulled by their digest. */
export function collectImages(): void {
  const all = cachedImages()
  const wanted = new Set(all.filter((vm) => lstatSync(vm.path).isSymbolicLink()).map((vm) => readlinkSync(vm.path)))
  for (const { path } of all) {
    if (lstatSync(path).isSymbolicLink() || wanted.has(path) || existsSync(`${path}/.explicitly-pulled`)) continue
    rmSync(path, { recursive: true, force: true })
  }
}

export function prune(parsed: Parsed): void {
  const [olderThan, budget] = [parsed.number('older-than'), parsed.number('space-budget')]
  if (olderThan === undefined && budget === undefined && !parsed.has('gc')) {
    throw new ValidationFailure('at least one pruning criteria must be specified')
  }
  const found = candidates(parsed.value('entries') ?? 'caches')
  if (parsed.has('gc')) collectImages()
  if (olderThan !== undefined) for (const vm of found) if (lastUse(vm) < Date.now() - olderThan * dayMs) drop(vm)
  if (budget !== undefined) pruneTo(parsed, budget)
}

function pruneTo(parsed: Parsed, budget: number): void {
  let left = budget * 1024 ** 3
  // The newest stay as long as they fit.
  for (const vm of candidates(parsed.value('entries') ?? 'caches').toReversed()) {
    const { allocated } = vm.sizes()
    if (allocated <= left) left -= allocated
    else drop(vm)
  }
}
