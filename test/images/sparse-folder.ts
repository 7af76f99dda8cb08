import { hash } from 'node:crypto'
import { closeSync, ftruncateSync, mkdirSync, openSync, readdirSync, readFileSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/** Bytes from a number, the same for the same number: half of them random, so that they can be packed. */
export function bytesOf(seed: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  let state = (seed * 2_654_435_761 + 1) >>> 0
  for (let at = 0; at < length; at += 2) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    bytes[at] = state & 0xff
  }
  return bytes
}

/** A piece of a disk: `length` bytes from `seed`, at `at`. */
export interface Written {
  readonly at: number
  readonly seed: number
  readonly length: number
}

export interface SparseImage {
  readonly diskBytes: number
  readonly disk: readonly Written[]
  readonly kernel?: number
  readonly metadata?: Readonly<Record<string, unknown>>
}

/** An image's folder, with a sparse disk. */
export function makeImage(folder: string, { diskBytes, disk, kernel = 1, metadata = { name: 'test' } }: SparseImage): void {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'vmlinuz'), bytesOf(kernel, 50_000))
  writeFileSync(join(folder, 'initramfs'), bytesOf(kernel + 1, 12_345))
  writeFileSync(join(folder, 'image.json'), JSON.stringify(metadata))
  const file = openSync(join(folder, 'disk.raw'), 'w')
  ftruncateSync(file, diskBytes)
  for (const { at, seed, length } of disk) writeSync(file, bytesOf(seed, length), 0, length, at)
  ftruncateSync(file, diskBytes)
  closeSync(file)
}

/** sha256 of the files of an image, without those that a pull keeps beside them. */
export function contentOf(folder: string): Readonly<Record<string, string>> {
  const names = readdirSync(folder).filter((name) => !['manifest.json', 'index.json.zst'].includes(name))
  return Object.fromEntries(names.sort().map((name) => [name, hash('sha256', readFileSync(join(folder, name)))]))
}

export function allocatedBytes(path: string): number {
  return statSync(path).blocks * 512
}
