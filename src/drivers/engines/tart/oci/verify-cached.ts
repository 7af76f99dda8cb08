import { lstatSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { CideryError } from '../../../../model/errors.ts'
import { digestOf } from '../../oci-blobs.ts'
import { readTartManifest, type TartManifest } from './manifest.ts'
import { rangeThreads, type RangeThreads } from './range-threads.ts'

export interface VerifyOptions {
  readonly signal: AbortSignal
  /** Numbers of the pieces of the disk that are read, the first is 0; all without it. Numbers that are not there are passed over. */
  readonly ranges?: readonly number[]
  /** Pieces that are read at once. */
  readonly concurrency?: number
}

/** Larger files than this are no manifest, configuration or NVRAM. */
const mostSmallBytes = 16 * 1024 ** 2

/**
 * Proves what `tart pull` left in its cache (`…/cache/OCIs/<host>/<repository>/sha256:…`) against the digest that was asked for: Tart itself checks neither the
 * manifest's digest nor the bytes of a pull (seen in the code of 2.35). Gives what is wrong, in words; an empty list is a proof of all that was read.
 */
export async function verifyCachedImage(directory: string, digest: string, options: VerifyOptions): Promise<readonly string[]> {
  const manifest = manifestOf(directory, digest)
  if (typeof manifest === 'string') return [manifest]
  const faults = [
    ...faultsOfBlob(directory, 'config.json', manifest.config),
    ...faultsOfBlob(directory, 'nvram.bin', manifest.nvram),
    ...faultsOfDiskSize(directory, manifest),
  ]
  // A disk that is cut is read all the same: which pieces are wrong tells how it came about.
  const disk = kindOf(join(directory, 'disk.img')) === 'file' ? await faultsOfDisk(directory, manifest, options) : []
  return [...faults, ...disk]
}

function kindOf(path: string): 'file' | 'folder' | 'link' | 'nothing' | 'other' {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (stats === undefined) return 'nothing'
  if (stats.isSymbolicLink()) return 'link'
  if (stats.isDirectory()) return 'folder'
  return stats.isFile() ? 'file' : 'other'
}

/** The manifest, or why it is not the one that was asked for. */
function manifestOf(directory: string, digest: string): TartManifest | string {
  const kind = kindOf(directory)
  // What Tart makes when the registry answers for one digest with the manifest of another.
  if (kind === 'link') return `${basename(directory)} is a link to another image: the registry did not give the image that was asked for`
  if (kind !== 'folder') return `${basename(directory)} is not in the cache`
  const bytes = smallFile(directory, 'manifest.json')
  if (typeof bytes === 'string') return bytes
  if (digestOf(bytes) !== digest) return `manifest.json is ${digestOf(bytes)}, not ${digest}`
  try {
    return readTartManifest(bytes)
  } catch (error) {
    if (error instanceof CideryError) return `manifest.json: ${error.message}`
    throw error
  }
}

function smallFile(directory: string, name: string): Buffer | string {
  const path = join(directory, name)
  const kind = kindOf(path)
  if (kind !== 'file') return `${name}: it is ${kind === 'nothing' ? 'not there' : 'not a plain file'}`
  const { size } = lstatSync(path)
  return size > mostSmallBytes ? `${name}: it has ${size} bytes` : readFileSync(path)
}

function faultsOfBlob(directory: string, name: string, { digest }: { readonly digest: string }): readonly string[] {
  const bytes = smallFile(directory, name)
  if (typeof bytes === 'string') return [bytes]
  return digestOf(bytes) === digest ? [] : [`${name}: it is ${digestOf(bytes)}, not ${digest}`]
}

function faultsOfDiskSize(directory: string, { diskBytes }: TartManifest): readonly string[] {
  const path = join(directory, 'disk.img')
  const kind = kindOf(path)
  if (kind !== 'file') return [`disk.img: it is ${kind === 'nothing' ? 'not there' : 'not a plain file'}`]
  const { size } = lstatSync(path)
  if (size < diskBytes) return [`disk.img: it is cut off at ${size} of ${diskBytes} bytes`]
  return size > diskBytes ? [`disk.img: it has ${size - diskBytes} bytes behind its end at ${diskBytes}`] : []
}

async function faultsOfDisk(directory: string, { disk }: TartManifest, options: VerifyOptions): Promise<readonly string[]> {
  const chosen = options.ranges === undefined ? undefined : new Set(options.ranges)
  const ranges = disk.map((layer, number) => ({ ...layer, number })).filter(({ number }) => chosen?.has(number) ?? true)
  const threads: RangeThreads = rangeThreads(options.concurrency)
  try {
    const faults = await Promise.all(
      ranges.map(async ({ from, rawBytes, rawDigest, number }) => {
        if (options.signal.aborted) return null
        const { digest } = await threads.run('hashRange', { path: join(directory, 'disk.img'), from, length: rawBytes })
        return digest === rawDigest
          ? null
          : `disk.img: piece ${number} (bytes ${from} to ${from + rawBytes}) is ${digest}, not ${rawDigest}`
      }),
    )
    options.signal.throwIfAborted()
    return faults.filter((fault) => fault !== null)
  } finally {
    await threads.close()
  }
}
