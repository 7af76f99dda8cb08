import { createHash } from 'node:crypto'
import { createSystemClock } from '../../../src/drivers/clocks/system-clock.ts'
import { createSystemTimers } from '../../../src/drivers/clocks/system-timers.ts'
import { createSystemRandom } from '../../../src/drivers/randoms/system-random.ts'
import type { RegistryClient, RegistryOptions, RegistryParts } from '../../../src/drivers/registries/make-registry.ts'
import { registries } from '../../../src/drivers/registries/registry.ts'
import type { RegistryCredentials } from '../../../src/ports/registry-credentials.ts'
import type { BlobSource } from '../../../src/ports/registry.ts'
import type { Clock, Timers } from '../../../src/ports/time.ts'

export const ociManifest = 'application/vnd.oci.image.manifest.v1+json'

/** Credentials as they are given, for every registry. */
export function givenCredentials(user: { readonly username: string; readonly password: string }): RegistryCredentials {
  return { find: () => Promise.resolve({ found: true, credential: { ...user, source: 'the test' } }) }
}

/** A client on the machine's own time; `parts` replaces what a test wants otherwise. */
export function testClient(options: RegistryOptions = {}, parts: Partial<RegistryParts> = {}): RegistryClient {
  const own = { clock: createSystemClock(), timers: createSystemTimers(), random: createSystemRandom(), credentials: null }
  return registries.oci({ ...own, ...parts }, options)
}

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

/** Bytes as a source, in pieces as a file gives them. */
export function sourceOf(bytes: Uint8Array, digest = digestOf(bytes)): BlobSource {
  return {
    digest,
    sizeBytes: bytes.length,
    async *read(offset) {
      for (let at = offset; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536)
    },
  }
}

export async function readAll(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = []
  for await (const piece of pieces) all.push(piece)
  return Buffer.concat(all)
}

/** The manifest of an image with these blobs; the first is its config. */
export function manifestOf(blobs: readonly Uint8Array[], annotations: Readonly<Record<string, string>> = {}): Buffer {
  const [config, ...layers] = blobs.map((bytes, i) => ({
    mediaType: i === 0 ? 'application/vnd.oci.image.config.v1+json' : 'application/vnd.oci.image.layer.v1.tar',
    digest: digestOf(bytes),
    size: bytes.length,
  }))
  return Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: ociManifest, config, layers, annotations }))
}

/** The machine's own time, in which every pause is over at once: clocks go forward by it, and `slept` tells how long each was. */
export function skippingTime(): { readonly clock: Clock; readonly timers: Timers; readonly slept: number[] } {
  const [clock, timers] = [createSystemClock(), createSystemTimers()]
  const slept: number[] = []
  let skipped = 0
  return {
    slept,
    clock: { now: () => clock.now() + skipped, steady: () => clock.steady() + skipped },
    timers: {
      after: timers.after,
      async sleep(delay, signal) {
        await timers.sleep(0, signal)
        slept.push(delay)
        skipped += delay
      },
    },
  }
}

/** What a promise rejects with, as text with all that people see of it. */
export async function textOfFailure(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
  } catch (error) {
    const { code, message, hint, details } = error as { code?: string; message: string; hint?: string; details?: unknown }
    return [code, message, hint, JSON.stringify(details)].join('\n')
  }
  throw new Error('it did not fail')
}

/** Waits until a count that has begun stands still for 300 ms, and gives it; throws when it still goes up after 20 s. */
export async function settled(count: () => number): Promise<number> {
  const end = performance.now() + 20_000
  for (let before = 0; performance.now() < end;) {
    await new Promise((resolve) => void setTimeout(resolve, 300))
    const now = count()
    if (now > 0 && now === before) return now
    before = now
  }
  throw new Error('it never stood still')
}
