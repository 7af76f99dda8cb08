import { CideryError } from '../../../../model/errors.ts'
import type { Registry, Repository } from '../../../../ports/registry.ts'
import { digestOf } from '../../oci-blobs.ts'
import { decodeIndex, type DiskIndex } from './disk-index.ts'
import { mustName, readDiskManifest, type DiskManifest } from './manifest.ts'

/** How often bytes are asked for again that are not what their digest says. */
export const mostTries = 3

export interface RemoteImage {
  readonly registry: Registry
  readonly where: Repository
  /** `sha256:…` of the manifest: a tag may move. */
  readonly digest: string
}

export interface LoadedImage {
  readonly manifestBytes: Uint8Array
  readonly manifest: DiskManifest
  readonly indexBytes: Uint8Array
  readonly index: DiskIndex
}

/** Manifest and index of an image. DIGEST_MISMATCH when the registry keeps giving other bytes; INVALID_INPUT when it is an image of another kind. */
export async function loadImage({ registry, where, digest }: RemoteImage, signal: AbortSignal): Promise<LoadedImage> {
  const { bytes: manifestBytes } = await registry.readManifest(where, digest, signal)
  mustBe(manifestBytes, digest, 'manifest')
  const manifest = readDiskManifest(manifestBytes)
  const indexBytes = await proved(() => wholeBlob({ registry, where, digest: manifest.index.digest }, signal), manifest.index.digest)
  const index = decodeIndex(indexBytes)
  mustName(manifest, index)
  return { manifestBytes, manifest, indexBytes, index }
}

async function wholeBlob({ registry, where, digest }: RemoteImage, signal: AbortSignal): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for await (const part of registry.readBlob(where, digest, { signal })) parts.push(part)
  return Buffer.concat(parts)
}

function mustBe(bytes: Uint8Array, digest: string, what: string): void {
  if (digestOf(bytes) === digest) return
  throw new CideryError('DIGEST_MISMATCH', `the registry gave another ${what} for ${digest}: ${digestOf(bytes)}`, {
    hint: 'look at the registry, and at proxies and caches on the way to it',
  })
}

async function proved(read: () => Promise<Uint8Array>, digest: string): Promise<Uint8Array> {
  for (let tries = 1; ; tries += 1) {
    try {
      const bytes = await read()
      mustBe(bytes, digest, 'index')
      return bytes
    } catch (error) {
      const mismatch = error instanceof CideryError && error.code === 'DIGEST_MISMATCH'
      if (!mismatch || tries >= mostTries) throw error
    }
  }
}
