import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RegistryClient } from '../../src/drivers/registries/make-registry.ts'
import { digestOf, manifestOf, ociManifest, readAll, skippingTime, sourceOf, testClient } from '../doubles/registry/client.ts'
import { startFaultyProxy, type FaultyProxy } from '../doubles/registry/faulty-proxy.ts'
import { startRegistryDouble } from '../doubles/registry/registry-double.ts'
import { startRealRegistry } from './real-registry.ts'

const config = Buffer.from('{}')

/** Pushes an image and pulls it again; the blobs that came back, or what went wrong. */
async function roundTrip(client: RegistryClient, at: { registry: string; repository: string }, blobs: readonly Buffer[]): Promise<boolean> {
  const signal = AbortSignal.timeout(60_000)
  await Promise.all(blobs.map((bytes) => client.writeBlob(at, sourceOf(bytes), { signal })))
  const bytes = manifestOf(blobs)
  await client.writeManifest(at, { name: 'latest', mediaType: ociManifest, bytes }, signal)
  const resolved = await client.resolve(at, 'latest', signal)
  const manifest = await client.readManifest(at, resolved?.digest ?? '', signal)
  const read = await Promise.all(blobs.map((blob) => readAll(client.readBlob(at, digestOf(blob), { signal }))))
  return Buffer.from(manifest.bytes).equals(bytes) && read.every((piece, i) => piece.equals(blobs[i] ?? Buffer.alloc(0)))
}

const targets = {
  'docker-registry': () => startRealRegistry(),
  'the double': () => startRegistryDouble(),
  'the double that drops what was cut': () => startRegistryDouble({ resumable: false }),
} as const

describe.each(Object.entries(targets))('the line to %s', (_, start) => {
  let target: { readonly url: string; stop(): Promise<void> }
  let proxy: FaultyProxy
  let run = 0

  beforeAll(async () => {
    target = await start()
    proxy = await startFaultyProxy(target.url)
  })
  afterAll(async () => {
    await proxy.stop()
    await target.stop()
  })

  const point = fc.record({
    kind: fc.constantFrom('cut', 'hold'),
    direction: fc.constantFrom('up', 'down'),
    // Headers and bodies of about twenty requests.
    after: fc.oneof(fc.nat(2000), fc.nat(400_000)),
  } as const)

  it.each([undefined, 50_000])('may be cut or held at any byte, and what was pushed is whole (pieces of %s)', async (pieceBytes) => {
    const blobs = [config, randomBytes(150_000), randomBytes(100), randomBytes(99_999)]
    await fc.assert(
      fc.asyncProperty(fc.array(point, { minLength: 1, maxLength: 3 }), async (points) => {
        run += 1
        const client = testClient({ silenceMs: 250, ...(pieceBytes === undefined ? {} : { pieceBytes }) }, skippingTime())
        for (const { kind, ...where } of points) proxy[kind](where)
        try {
          expect(await roundTrip(client, { registry: proxy.host, repository: `acme/run-${run}` }, blobs)).toBe(true)
        } finally {
          client.close()
          proxy.calm()
        }
      }),
      { numRuns: 12 },
    )
  })

  it('may change any byte of a blob, and no wrong one is taken for right', async () => {
    const bytes = randomBytes(100_000)
    const client = testClient({ silenceMs: 250 }, skippingTime())
    const at = { registry: proxy.host, repository: 'acme/flipped' }
    const signal = AbortSignal.timeout(60_000)
    await client.writeBlob(at, sourceOf(bytes), { signal })
    let wrong = 0
    await fc.assert(
      fc.asyncProperty(fc.nat(100_300), async (after) => {
        proxy.flip({ direction: 'down', after })
        try {
          expect((await readAll(client.readBlob(at, digestOf(bytes), { signal }))).equals(bytes)).toBe(true)
        } catch (error) {
          wrong += 1
          // A byte of the headers makes another answer of it, which is refused as what it then is.
          expect(error).toMatchObject({ code: expect.stringMatching(/^(?:DIGEST_MISMATCH|UNAVAILABLE|NOT_FOUND|INVALID_INPUT)$/) })
        } finally {
          proxy.calm()
        }
      }),
      { numRuns: 40 },
    )
    expect(wrong).toBeGreaterThan(10)
    client.close()
  })
})
