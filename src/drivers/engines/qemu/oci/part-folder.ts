import { mkdirSync, openSync, closeSync, existsSync, fstatSync, ftruncateSync, readFileSync, renameSync, rmSync, statfsSync } from 'node:fs'
import { open, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CideryError } from '../../../../model/errors.ts'
import type { DiskIndex } from './disk-index.ts'
import { proofFiles } from './format.ts'

/** What the files of an image are proved against. */
export interface Proof {
  readonly manifestBytes: Uint8Array
  readonly indexBytes: Uint8Array
}

/**
 * The folder that a pull fills, until it is the image's: `<folder>.part`. The manifest in it says which image it will be: after a kill the same pull goes on in
 * it, and another one starts anew.
 */
export class PartFolder {
  readonly path: string
  /** Nothing in it was written before: what was not written since is zeros. */
  readonly isFresh: boolean
  readonly #target: string

  private constructor(target: string, isFresh: boolean) {
    this.path = `${target}.part`
    this.#target = target
    this.isFresh = isFresh
  }

  /** Opens what is left of a pull of this image, or an empty one. */
  static async open(target: string, proof: Proof): Promise<PartFolder> {
    const left = manifestIn(`${target}.part`)
    return left?.equals(proof.manifestBytes) === true ? new PartFolder(target, false) : PartFolder.begin(target, proof)
  }

  static async begin(target: string, { manifestBytes, indexBytes }: Proof): Promise<PartFolder> {
    const part = new PartFolder(target, true)
    rmSync(part.path, { recursive: true, force: true })
    mkdirSync(part.path, { recursive: true, mode: 0o755 })
    await written(part.file(proofFiles.index), indexBytes)
    await written(part.file(proofFiles.manifest), manifestBytes)
    await synced(part.path)
    return part
  }

  file(name: string): string {
    return join(this.path, name)
  }

  /** Gives every file its size; the bytes that are not there yet are holes. */
  makeFiles({ files }: DiskIndex): void {
    for (const { name, sizeBytes } of files) {
      const file = openSync(this.file(name), existsSync(this.file(name)) ? 'r+' : 'w+', 0o644)
      try {
        if (fstatSync(file).size !== sizeBytes) ftruncateSync(file, sizeBytes)
      } finally {
        closeSync(file)
      }
    }
  }

  /** Everything to the disk, then the name of the image. Before it, the image is not there; after it, it is whole. */
  async finish({ files }: DiskIndex): Promise<void> {
    for (const { name } of files) await synced(this.file(name))
    await synced(this.path)
    renameSync(this.path, this.#target)
    await synced(dirname(this.#target))
  }
}

function manifestIn(path: string): Buffer | null {
  try {
    return readFileSync(join(path, proofFiles.manifest))
  } catch {
    // Nothing there, or the kill came before the manifest was: a pull starts anew.
    return null
  }
}

async function written(path: string, bytes: Uint8Array): Promise<void> {
  await writeFile(path, bytes, { mode: 0o644, flush: true })
}

async function synced(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Bytes that can be written where a folder is or will be. */
export function freeBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(dirname(folder))
  return bavail * bsize
}

/** STORAGE_FULL when the room is known not to suffice. */
export function mustFit(folder: string, neededBytes: number, free: number): void {
  if (neededBytes <= free) return
  throw noRoom(folder, { neededBytes, freeBytes: free })
}

export function noRoom(
  folder: string,
  details: { readonly neededBytes: number; readonly freeBytes: number },
  cause?: unknown,
): CideryError {
  const [needed, free] = [details.neededBytes, details.freeBytes].map((bytes) => Math.ceil(bytes / 1024 ** 2))
  return new CideryError('STORAGE_FULL', `${folder} needs ${needed ?? 0} MiB more, and ${free ?? 0} MiB are free`, {
    hint: 'remove images that are not needed, or give the disk more room; the pull goes on where it stopped',
    details,
    cause,
  })
}
