import { lstatSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CideryError } from '../../../../model/errors.ts'
import { digestOf } from '../../oci-blobs.ts'
import { decodeIndex, type DiskIndex } from './disk-index.ts'
import { isFileName, metadataFile, proofFiles } from './format.ts'
import { mustName, readDiskManifest, type DiskManifest } from './manifest.ts'

export interface ImageFile {
  readonly name: string
  readonly path: string
  readonly sizeBytes: number
}

/** The files of an image, by name; INVALID_INPUT when the folder holds what an image cannot. */
export function imageFiles(folder: string): readonly ImageFile[] {
  const names = readdirSync(folder)
    .filter((name) => !(Object.values(proofFiles) as string[]).includes(name))
    .sort()
  return names.map((name) => {
    const path = join(folder, name)
    const stats = lstatSync(path)
    if (!isFileName(name) || !stats.isFile()) {
      throw new CideryError(
        'INVALID_INPUT',
        `${path} cannot be part of an image: an image is a flat folder of files, named by letters, digits, . _ and -`,
      )
    }
    return { name, path, sizeBytes: stats.size }
  })
}

/** image.json of a folder; INVALID_INPUT when it is not there or not a JSON object. */
export function readMetadata(folder: string): Readonly<Record<string, unknown>> {
  const path = join(folder, metadataFile)
  try {
    const value = JSON.parse(readFileSync(path, 'utf8')) as unknown
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch (error) {
    throw new CideryError(
      'INVALID_INPUT',
      `the metadata of the image cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      {
        hint: `${path} holds a JSON object`,
        cause: error,
      },
    )
  }
  throw new CideryError('INVALID_INPUT', `${path} is not a JSON object`)
}

export interface StoredProof {
  readonly digest: string
  readonly manifest: DiskManifest
  readonly index: DiskIndex
}

/** Manifest and index that a pull left beside the files, proved against each other; NOT_FOUND when there are none. */
export function readProof(folder: string): StoredProof {
  const manifestBytes = readProofFile(folder, proofFiles.manifest)
  const indexBytes = readProofFile(folder, proofFiles.index)
  const manifest = readDiskManifest(manifestBytes)
  if (digestOf(indexBytes) !== manifest.index.digest) {
    throw new CideryError('DIGEST_MISMATCH', `${join(folder, proofFiles.index)} is not the index that ${proofFiles.manifest} names`, {
      hint: 'remove the image and pull it again',
    })
  }
  const index = decodeIndex(indexBytes)
  mustName(manifest, index)
  return { digest: digestOf(manifestBytes), manifest, index }
}

function readProofFile(folder: string, name: string): Uint8Array {
  try {
    return readFileSync(join(folder, name))
  } catch (error) {
    throw new CideryError('NOT_FOUND', `${join(folder, name)} cannot be read: the image was not pulled whole by cidery`, {
      hint: 'pull the image again',
      cause: error,
    })
  }
}
