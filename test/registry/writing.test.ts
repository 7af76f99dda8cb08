import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { RegistryClient, RegistryOptions } from '../../src/drivers/registries/make-registry.ts'
import type { BlobSource, Repository } from '../../src/ports/registry.ts'
import { digestOf, manifestOf, ociManifest, readAll, settled, skippingTime, sourceOf, testClient } from '../doubles/registry/client.ts'
import type { Fault } from '../doubles/registry/faults.ts'
import { startFaultyProxy } from '../doubles/registry/faulty-proxy.ts'
import { startRegistryDouble, type RegistryDouble, type RegistryDoubleOptions } from '../doubles/registry/registry-double.ts'

const forms: readonly { readonly name: string; readonly options: RegistryOptions }[] = [
  { name: 'in one', options: {} },
  { name: 'in pieces', options: { pieceBytes: 100_000 } },
]

describe.each(forms)('sending $name to a registry that is not well', ({ options }) => {
  const signal = AbortSignal.timeout(300_000)
  const bytes = randomBytes(300_000)
  const digest = digestOf(bytes)
  let double: RegistryDouble
  let where: Repository
  let client: RegistryClient

  async function open(own: RegistryDoubleOptions = {}): Promise<void> {
    client?.close()
    await double?.stop()
    double = await startRegistryDouble(own)
    where = { registry: double.host, repository: 'acme/macos' }
    client = testClient({ silenceMs: 300, ...options }, skippingTime())
  }

  /** Sends with faults; the blob must be there and right in the end. */
  async function expectSent(...faults: readonly Fault[]): Promise<number> {
    double.faults.add(...faults)
    const count = await client.writeBlob(where, sourceOf(bytes), { signal })
    expect(double.faults.pending()).toBe(0)
    expect((await readAll(client.readBlob(where, digest, { signal }))).equals(bytes)).toBe(true)
    return count
  }

  function requests(method: string): number {
    return double.requests.filter((request) => request.method === method).length
  }

  const upload = /blobs\/uploads\/./

  beforeEach(() => open())
  afterEach(async () => {
    client.close()
    await double.stop()
  })

  it('goes on where the registry says that it stopped', async () => {
    const count = await expectSent({ path: upload, does: { kind: 'cut-upload', after: 40_000 } })
    expect(requests('POST')).toBe(1)
    expect(requests('GET')).toBeGreaterThanOrEqual(2)
    expect(count).toBeGreaterThanOrEqual(300_000)
  })

  it('goes on at every byte where it may be cut', async () => {
    const small = randomBytes(30)
    const pieces = testClient({ silenceMs: 300, ...(options.pieceBytes === undefined ? {} : { pieceBytes: 8 }) }, skippingTime())
    for (let after = 0; after < 30; after += 1) {
      const here = { ...where, repository: `acme/cut-${after}` }
      double.faults.add({ path: upload, after: after % 3, does: { kind: 'cut-upload', after } })
      await pieces.writeBlob(here, sourceOf(small), { signal })
      double.faults.clear()
      expect((await readAll(pieces.readBlob(here, digestOf(small), { signal }))).equals(small)).toBe(true)
    }
    pieces.close()
  })

  it('begins anew where an upload that was cut is gone', async () => {
    await open({ resumable: false })
    expect(await expectSent({ path: upload, does: { kind: 'cut-upload', after: 40_000 } })).toBeGreaterThan(300_000)
    expect(requests('POST')).toBe(2)
  })

  it('does not send again what arrived and whose answer was lost', async () => {
    expect(await expectSent({ method: 'PUT', does: { kind: 'lose-answer' } })).toBe(300_000)
    expect(requests('POST')).toBe(1)
  })

  it('sends again what a registry lost, whether it knows or not', async () => {
    await expectSent({ path: upload, does: { kind: 'forget', bytes: 1000, told: false } })
    await open()
    await expectSent({ path: upload, does: { kind: 'forget', bytes: 1000, told: true } })
    await open()
    const lossy = { path: upload, times: Infinity, does: { kind: 'forget', bytes: 1000, told: false } } as const
    double.faults.add(lossy)
    await expect(client.writeBlob(where, sourceOf(bytes), { signal })).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
  })

  it.each([500, 502, 503, 408])('tries again after %i', async (status) => {
    await expectSent(
      { method: 'HEAD', does: { kind: 'status', status } },
      { method: 'POST', does: { kind: 'status', status } },
      { method: 'PUT', does: { kind: 'status', status } },
    )
  })

  it('gives up a registry that takes nothing', async () => {
    double.faults.add({ path: upload, times: Infinity, does: { kind: 'silent' } })
    await expect(
      testClient({ silenceMs: 100, tries: 3, ...options }, skippingTime()).writeBlob(where, sourceOf(bytes), { signal }),
    ).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    })
  })

  it('gives up a connection that takes no more, and goes on with another', async () => {
    const big = randomBytes(30_000_000)
    double.faults.add({ path: upload, does: { kind: 'silent' } })
    const sender = testClient({ silenceMs: 500, ...(options.pieceBytes === undefined ? {} : { pieceBytes: 20_000_000 }) }, skippingTime())
    await sender.writeBlob(where, sourceOf(big), { signal })
    sender.close()
    expect((await readAll(client.readBlob(where, digestOf(big), { signal }))).equals(big)).toBe(true)
  })

  it('hears a refusal that comes before all was sent, and sends no more', async () => {
    let read = 0
    const source: BlobSource = {
      digest,
      sizeBytes: 400_000_000,
      async *read() {
        for (; read < 400_000_000; read += 100_000) yield Buffer.alloc(100_000)
      },
    }
    double.faults.add({ path: upload, does: { kind: 'status', status: 403, body: '{"errors":[{"code":"DENIED","message":"quota"}]}' } })
    const sender = testClient(options.pieceBytes === undefined ? {} : { pieceBytes: 400_000_000 }, skippingTime())
    await expect(sender.writeBlob(where, source, { signal })).rejects.toMatchObject({
      code: 'FORBIDDEN',
      message: expect.stringContaining('DENIED quota'),
    })
    expect(read).toBeLessThan(100_000_000)
    sender.close()
  })

  it('tells a source that is wrong from a registry that is', async () => {
    const lying = sourceOf(randomBytes(300_000), digest)
    await expect(client.writeBlob(where, lying, { signal })).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
    expect(requests('POST')).toBe(1)
  })

  it('reads no more of its source than the line takes', async () => {
    const proxy = await startFaultyProxy(double.url)
    proxy.hold({ direction: 'up', after: 1_000_000 })
    const control = new AbortController()
    let read = 0
    const source: BlobSource = {
      digest,
      sizeBytes: 200_000_000,
      async *read() {
        for (; read < 200_000_000; read += 100_000) yield Buffer.alloc(100_000)
      },
    }
    const sender = testClient(options.pieceBytes === undefined ? {} : { pieceBytes: 150_000_000 })
    const sending = sender.writeBlob({ ...where, registry: proxy.host }, source, { signal: control.signal })
    expect(await settled(() => read)).toBeLessThan(40_000_000)
    control.abort(new Error('enough'))
    await expect(sending).rejects.toThrow('enough')
    sender.close()
    await proxy.stop()
  })

  it('sends no smaller pieces than a registry takes', async () => {
    double.faults.add({ method: 'POST', does: { kind: 'headers', headers: { 'oci-chunk-min-length': '250000' } } })
    await expectSent()
    expect(requests('PATCH')).toBe(options.pieceBytes === undefined ? 0 : 2)
  })

  it('does not send to where it is told to, unless that is safe', async () => {
    double.faults.add({ method: 'POST', does: { kind: 'headers', headers: { location: 'http://192.0.2.1/upload' } } })
    await expect(client.writeBlob(where, sourceOf(bytes), { signal })).rejects.toMatchObject({ code: 'TLS_REQUIRED' })
  })

  it('writes a manifest once, also when the answer was lost', async () => {
    await expectSent()
    const made = manifestOf([bytes])
    double.faults.add({ method: 'PUT', path: /manifests/, does: { kind: 'lose-answer' } })
    expect((await client.writeManifest(where, { name: 'latest', mediaType: ociManifest, bytes: made }, signal)).digest).toBe(digestOf(made))
    double.faults.add({ method: 'PUT', path: /manifests/, does: { kind: 'headers', headers: { 'docker-content-digest': digest } } })
    await expect(client.writeManifest(where, { name: 'latest', mediaType: ociManifest, bytes: made }, signal)).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
    })
  })
})
