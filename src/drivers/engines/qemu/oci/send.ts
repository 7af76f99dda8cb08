import type { BlobSource } from '../../../../ports/registry.ts'

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
