import { lstatSync } from 'node:fs'
import { join } from 'node:path'
import { CideryError } from '../../../../model/errors.ts'
import { checkFiles, type WrongPiece } from './check-files.ts'
import type { DiskIndex } from './disk-index.ts'
import { imageFiles, readProof } from './image-folder.ts'
import { chunkThreads } from './push.ts'
import type { ChunkThreads } from './scan-folder.ts'

/**
 * Reads a whole image and proves it against the manifest and the index beside it; gives what is wrong, in words: which file, which bytes. With `digest`, the
 * manifest must be that one. An empty list: the image is what was pushed.
 */
export async function verifyImage(
  folder: string,
  { digest, signal }: { readonly digest?: string; readonly signal: AbortSignal },
): Promise<readonly string[]> {
  const proof = proofOf(folder)
  if (typeof proof === 'string') return [proof]
  const faults = digest === undefined || proof.digest === digest ? [] : [`manifest.json is ${proof.digest}, not ${digest}`]
  const threads = chunkThreads()
  try {
    return [...faults, ...(await faultsOfFiles(folder, proof.index, { threads, signal }))]
  } finally {
    await threads.close()
  }
}

function proofOf(folder: string): ReturnType<typeof readProof> | string {
  try {
    return readProof(folder)
  } catch (error) {
    if (error instanceof CideryError) return error.message
    throw error
  }
}

interface Looking {
  readonly threads: ChunkThreads
  readonly signal: AbortSignal
}

async function faultsOfFiles(folder: string, index: DiskIndex, looking: Looking): Promise<readonly string[]> {
  const faults = strangers(folder, index)
  const sizes = new Map(index.files.map(({ name }) => [name, sizeOf(join(folder, name))]))
  for (const { name, sizeBytes } of index.files) {
    const size = sizes.get(name) ?? null
    if (size === null) faults.push(`${name}: it is not there`)
    else if (size < sizeBytes) faults.push(`${name}: it is cut off at ${size} of ${sizeBytes} bytes`)
    else if (size > sizeBytes) faults.push(`${name}: it has ${size - sizeBytes} bytes behind its end at ${sizeBytes}`)
  }
  const files = index.files.filter(({ name, sizeBytes }) => (sizes.get(name) ?? 0) >= sizeBytes && sizes.get(name) !== null)
  const wrong = await checkFiles(folder, { ...index, files }, looking)
  faults.push(...inWords(wrong))
  const suspects = new Set(wrong.map(({ file }) => file))
  for (const { name, sizeBytes, sha256 } of files) {
    if (suspects.has(name) || sizes.get(name) !== sizeBytes) continue
    const { digest } = await looking.threads.run('hashFile', { path: join(folder, name) })
    if (digest !== sha256) faults.push(`${name}: its sha256 is ${digest}, not ${sha256}, though all its parts are as they should be`)
  }
  return faults
}

function strangers(folder: string, { files }: DiskIndex): string[] {
  const known = new Set(files.map(({ name }) => name))
  try {
    return imageFiles(folder)
      .filter(({ name }) => !known.has(name))
      .map(({ name }) => `${name}: it is not part of the image`)
  } catch (error) {
    if (error instanceof CideryError) return [error.message]
    throw error
  }
}

function sizeOf(path: string): number | null {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  return stats?.isFile() === true ? stats.size : null
}

/** Neighbours as one range. */
function inWords(wrong: readonly WrongPiece[]): readonly string[] {
  const ranges: { file: string; from: number; to: number }[] = []
  const sorted = wrong.toSorted((a, b) => (a.file === b.file ? a.at - b.at : a.file < b.file ? -1 : 1))
  for (const { file, at, length } of sorted) {
    const last = ranges.at(-1)
    if (last?.file === file && last.to === at) last.to = at + length
    else ranges.push({ file, from: at, to: at + length })
  }
  return ranges.map(({ file, from, to }) => `${file}: bytes ${from} to ${to} are not those of the image`)
}
