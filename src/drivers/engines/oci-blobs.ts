import { hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { CideryError } from '../../model/errors.ts'
import type { BlobSource, Registry, Repository } from '../../ports/registry.ts'

/** `sha256:…` of bytes. */
export function digestOf(bytes: Uint8Array | string): string {
  return `sha256:${hash('sha256', bytes, 'hex')}`
}

/** Blobs that are sent at once: with one, the registry's hashing is what is waited for (161 against 419 MB/s with four on loopback). */
const atOnce = 3

export function memoryBlob(digest: string, bytes: Uint8Array): BlobSource {
  return {
    digest,
    sizeBytes: bytes.length,
    async *read(offset) {
      // In pieces, so that a slow line does not hold one that is cancelled.
      for (let at = offset; at < bytes.length; at += 1024 ** 2) yield bytes.subarray(at, at + 1024 ** 2)
    },
  }
}

export function fileBlob(path: string, { digest, sizeBytes }: { readonly digest: string; readonly sizeBytes: number }): BlobSource {
  return {
    digest,
    sizeBytes,
    read: (offset) => createReadStream(path, { start: offset, highWaterMark: 1024 ** 2 }) as AsyncIterable<Uint8Array>,
  }
}

/** A repository of a registry, with who asks there and until when. */
export interface Destination {
  readonly registry: Registry
  readonly where: Repository
  readonly signal: AbortSignal
}

interface KnownBlob {
  readonly digest: string
  readonly sizeBytes: number
  /** A repository that has it, as its manifests say. */
  readonly from: Repository
}

/**
 * Sees to it that a blob of another image is in a repository: it may be there, be mounted from another repository of the same registry, or be copied from another
 * registry. Gives the bytes that were sent; null when the other repository does not have it any more.
 */
export async function bringBlob({ registry, where, signal }: Destination, { digest, sizeBytes, from }: KnownBlob): Promise<number | null> {
  if (await registry.hasBlob(where, digest, signal)) return 0
  const near = from.registry === where.registry
  if (near && from.repository === where.repository) return null
  const read = (offset: number): AsyncIterable<Uint8Array> =>
    registry.readBlob(from, digest, { range: { from: offset, to: sizeBytes }, signal })
  try {
    return await registry.writeBlob(where, { digest, sizeBytes, read }, { ...(near ? { mountFrom: from.repository } : {}), signal })
  } catch (error) {
    if (error instanceof CideryError && ['NOT_FOUND', 'DIGEST_MISMATCH'].includes(error.code)) return null
    throw error
  }
}

/** Tags behind the first that could not be written, with the reason. */
export type FailedTags = readonly { readonly tag: string; readonly reason: string }[]

/** Writes a manifest under the first tag, and then under the others, which may fail: an image that has one name is there. Without tags, it has only its digest. */
export async function writeTags(
  { registry, where, signal }: Destination,
  manifest: { readonly bytes: Uint8Array; readonly mediaType: string },
  tags: readonly string[],
): Promise<FailedTags> {
  const [first = digestOf(manifest.bytes), ...others] = tags
  await registry.writeManifest(where, { ...manifest, name: first }, signal)
  const failed: { tag: string; reason: string }[] = []
  for (const tag of others) {
    try {
      await registry.writeManifest(where, { ...manifest, name: tag }, signal)
    } catch (error) {
      signal.throwIfAborted()
      failed.push({ tag, reason: error instanceof Error ? error.message : String(error) })
    }
  }
  return failed
}

/** Does something with each, some at once. Takes the next only when one is done, so what `items` makes is never far ahead. The first failure ends it, after what is under way. */
export async function sendTogether<T>(items: Iterable<T> | AsyncIterable<T>, send: (item: T) => Promise<void>): Promise<void> {
  const underWay = new Set<Promise<void>>()
  let failure: { readonly error: unknown } | undefined
  try {
    for await (const item of items) {
      const sending: Promise<void> = send(item)
        .catch((error: unknown) => {
          failure ??= { error }
        })
        .finally(() => underWay.delete(sending))
      underWay.add(sending)
      if (underWay.size >= atOnce) await Promise.race(underWay)
      if (failure !== undefined) break
    }
  } finally {
    await Promise.all(underWay)
  }
  if (failure !== undefined) throw failure.error
}
