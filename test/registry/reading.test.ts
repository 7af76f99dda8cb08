import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { RegistryClient, RegistryOptions } from '../../src/drivers/registries/make-registry.ts'
import type { Repository } from '../../src/ports/registry.ts'
import {
  digestOf,
  manifestOf,
  ociManifest,
  readAll,
  settled,
  skippingTime,
  sourceOf,
  testClient,
  textOfFailure,
} from '../doubles/registry/client.ts'
import type { Disturbance } from '../doubles/registry/faults.ts'
import { startFaultyProxy } from '../doubles/registry/faulty-proxy.ts'
import { startRegistryDouble, type RegistryDouble } from '../doubles/registry/registry-double.ts'

describe('reading from a registry that is not well', () => {
  const signal = AbortSignal.timeout(300_000)
  const bytes = randomBytes(300_000)
  const digest = digestOf(bytes)
  const config = Buffer.from('{}')
  let double: RegistryDouble
  let where: Repository
  let time: ReturnType<typeof skippingTime>
  let clients: RegistryClient[]

  function client(options: RegistryOptions = {}): RegistryClient {
    const made = testClient({ silenceMs: 300, ...options }, time)
    clients.push(made)
    return made
  }

  function does(does: Disturbance, times = 1): void {
    double.faults.add({ method: 'GET', path: /blobs\/sha256|bytes/, times, does })
  }

  function ranges(): readonly (string | undefined)[] {
    return double.requests.filter(({ method, path }) => method === 'GET' && path.includes('/blobs/sha256')).map(({ range }) => range)
  }

  async function manifest(build: string): Promise<Buffer> {
    const made = manifestOf([config], { build })
    await client().writeManifest(where, { name: 'latest', mediaType: ociManifest, bytes: made }, signal)
    return made
  }

  beforeEach(async () => {
    clients = []
    time = skippingTime()
    double = await startRegistryDouble()
    where = { registry: double.host, repository: 'acme/macos' }
    for (const blob of [bytes, config]) await client().writeBlob(where, sourceOf(blob), { signal })
  })
  afterEach(async () => {
    for (const each of clients) each.close()
    await double.stop()
  })

  it('goes on where a connection was cut', async () => {
    does({ kind: 'cut', after: 100_000 })
    does({ kind: 'cut', after: 50_000 })
    expect((await readAll(client().readBlob(where, digest, { signal }))).equals(bytes)).toBe(true)
    const [first, second, third] = ranges()
    expect([first, second, third]).toEqual([undefined, 'bytes=100000-299999', 'bytes=150000-299999'])
  })

  it('goes on at every byte where it may be cut', async () => {
    const small = randomBytes(40)
    await client().writeBlob(where, sourceOf(small), { signal })
    for (let after = 0; after <= small.length; after += 1) {
      does({ kind: 'cut', after })
      expect((await readAll(client().readBlob(where, digestOf(small), { signal }))).equals(small)).toBe(true)
      double.faults.clear()
    }
  })

  it('goes on in a part where it was cut, and stays in it', async () => {
    does({ kind: 'cut', after: 1000 })
    const part = await readAll(client().readBlob(where, digest, { range: { from: 5000, to: 9000 }, signal }))
    expect(part.equals(bytes.subarray(5000, 9000))).toBe(true)
    expect(ranges()).toEqual(['bytes=5000-8999', 'bytes=6000-8999'])
  })

  it('takes what it needs from a registry that answers with the whole', async () => {
    does({ kind: 'cut', after: 100_000 })
    does({ kind: 'whole' }, Infinity)
    expect((await readAll(client().readBlob(where, digest, { signal }))).equals(bytes)).toBe(true)
    const part = await readAll(client().readBlob(where, digest, { range: { from: 5000, to: 9000 }, signal }))
    expect(part.equals(bytes.subarray(5000, 9000))).toBe(true)
  })

  it('does not take another part for the one that it asked for', async () => {
    does({ kind: 'other-part' })
    const part = await readAll(client().readBlob(where, digest, { range: { from: 5000, to: 9000 }, signal }))
    expect(part.equals(bytes.subarray(5000, 9000))).toBe(true)
  })

  it.each([0, 150_000, 299_999])('does not take a blob whose byte %i was changed', async (at) => {
    does({ kind: 'flip', at })
    await expect(readAll(client().readBlob(where, digest, { signal }))).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
      details: { named: digest },
    })
  })

  it('does not take a blob that is shorter, though its length is as the header says', async () => {
    does({ kind: 'shorten', to: 299_999 })
    await expect(readAll(client().readBlob(where, digest, { signal }))).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
    does({ kind: 'shorten', to: 100 })
    const part = readAll(client().readBlob(where, digest, { range: { from: 0, to: 1000 }, signal }))
    expect((await part).equals(bytes.subarray(0, 1000))).toBe(true)
  })

  it('gives up a connection that says nothing, and asks again', async () => {
    does({ kind: 'silent' })
    does({ kind: 'stop', after: 100_000 })
    expect((await readAll(client().readBlob(where, digest, { signal }))).equals(bytes)).toBe(true)
    expect(ranges()).toEqual([undefined, undefined, 'bytes=100000-299999'])
  })

  it('waits as long as its reader needs, which is nobody’s silence', async () => {
    const big = randomBytes(8_000_000)
    await client().writeBlob(where, sourceOf(big), { signal })
    const read: Uint8Array[] = []
    for await (const piece of client().readBlob(where, digestOf(big), { signal })) {
      if (read.length === 1 || read.length === 20) await new Promise((resolve) => void setTimeout(resolve, 700))
      read.push(piece)
    }
    expect(Buffer.concat(read).equals(big)).toBe(true)
    expect(ranges()).toEqual([undefined])
  })

  it('holds a slow reader’s blob at the registry, and not in its memory', async () => {
    const big = randomBytes(40_000_000)
    await client().writeBlob(where, sourceOf(big), { signal })
    const proxy = await startFaultyProxy(double.url)
    const blob = client().readBlob({ ...where, registry: proxy.host }, digestOf(big), { signal })
    const reading = blob[Symbol.asyncIterator]()
    await reading.next()
    expect(await settled(() => proxy.passed.down)).toBeLessThan(20_000_000)
    await reading.return?.()
    await proxy.stop()
  })

  it('tries what may pass again, later and later, and says in the end what it tried', async () => {
    does({ kind: 'status', status: 503, body: JSON.stringify({ errors: [{ code: 'UNAVAILABLE', message: 'storage is away' }] }) }, 3)
    expect((await readAll(client().readBlob(where, digest, { signal }))).equals(bytes)).toBe(true)
    const [first = 0, second = 0, third = 0] = time.slept
    expect(first).toBeGreaterThanOrEqual(250)
    expect(second).toBeGreaterThanOrEqual(500)
    expect(third).toBeGreaterThanOrEqual(1000)
    expect(third).toBeLessThanOrEqual(2000)
    does({ kind: 'status', status: 502, body: 'bad gateway' }, 2)
    does({ kind: 'cut', after: 0 }, Infinity)
    const text = await textOfFailure(readAll(client().readBlob(where, digest, { signal })))
    expect(text).toContain('UNAVAILABLE')
    expect(text).toContain(`could not read the blob ${digest} of acme/macos at ${double.host} in 8 tries`)
    expect(text).toContain('HTTP 502 (bad gateway) (2 times)')
    expect(text).toContain('(6 times)')
  })

  it('counts only failures without getting further', async () => {
    does({ kind: 'cut', after: 70_000 }, 4)
    expect((await readAll(client({ tries: 2 }).readBlob(where, digest, { signal }))).equals(bytes)).toBe(true)
    does({ kind: 'cut', after: 10 }, Infinity)
    await expect(readAll(client({ tries: 3 }).readBlob(where, digest, { signal }))).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  })

  it('ends after its time, however many tries are left', async () => {
    does({ kind: 'status', status: 500 }, Infinity)
    const before = time.clock.steady()
    await expect(readAll(client({ tries: 1000, longestMs: 60_000 }).readBlob(where, digest, { signal }))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    })
    expect(time.clock.steady() - before).toBeLessThan(61_000)
  })

  it('gives at most 300 characters of what a registry said', async () => {
    does({ kind: 'status', status: 400, body: `<html>${'x'.repeat(5000)}` })
    const text = await textOfFailure(readAll(client().readBlob(where, digest, { signal })))
    expect(text).toContain('INVALID_INPUT')
    expect(text.match(/x+/g)?.at(-1)?.length).toBe(300 - '<html>'.length)
  })

  it('resolves where HEAD is not allowed, or does not say enough', async () => {
    const made = await manifest('1')
    const expected = { digest: digestOf(made), mediaType: ociManifest, sizeBytes: made.length }
    double.faults.add({ method: 'HEAD', does: { kind: 'status', status: 405 } })
    expect(await client().resolve(where, 'latest', signal)).toEqual(expected)
    double.faults.add({ method: 'HEAD', does: { kind: 'headers', headers: { 'docker-content-digest': '' } } })
    expect(await client().resolve(where, 'latest', signal)).toEqual(expected)
    double.faults.add({ method: 'HEAD', path: /blobs/, times: Infinity, does: { kind: 'status', status: 405 } })
    expect(await client().hasBlob(where, digest, signal)).toBe(true)
    expect(await client().hasBlob(where, digestOf(Buffer.from('no')), signal)).toBe(false)
  })

  it('resolves with one small request', async () => {
    await manifest('1')
    const before = double.requests.length
    await client().resolve(where, 'latest', signal)
    expect(double.requests.slice(before).map(({ method }) => method)).toEqual(['HEAD'])
  })

  it('gives a manifest that is what its digest says, also when the tag was moved meanwhile', async () => {
    const first = await manifest('1')
    const second = manifestOf([config], { build: '2' })
    const move = (): void =>
      double.storage.put(where.repository, { digest: digestOf(second), mediaType: ociManifest, bytes: second }, 'latest')
    double.faults.add({ method: 'HEAD', does: { kind: 'then', run: move } })
    const resolved = await client().resolve(where, 'latest', signal)
    expect(resolved?.digest).toBe(digestOf(first))
    const tagged = await client().readManifest(where, 'latest', signal)
    expect(tagged.digest).toBe(digestOf(tagged.bytes))
    expect(tagged.digest).toBe(digestOf(second))
    expect((await client().readManifest(where, resolved?.digest ?? '', signal)).digest).toBe(digestOf(first))
  })

  it('does not take a manifest that is not what its name or its header says', async () => {
    const made = await manifest('1')
    const wrong = { kind: 'headers', headers: { 'docker-content-digest': digestOf(config) } } as const
    double.faults.add({ method: 'GET', path: /manifests/, does: wrong }, { method: 'HEAD', path: /manifests/, does: wrong })
    await expect(client().readManifest(where, 'latest', signal)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
    await expect(client().resolve(where, digestOf(made), signal)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
    double.faults.add({ method: 'GET', path: /manifests/, does: { kind: 'flip', at: 5 } })
    await expect(client().readManifest(where, digestOf(made), signal)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
    double.faults.add({ method: 'GET', path: /manifests/, does: { kind: 'cut', after: 5 } })
    expect((await client().readManifest(where, digestOf(made), signal)).digest).toBe(digestOf(made))
  })

  it('follows no list of tags to another host, nor in circles', async () => {
    await manifest('1')
    for (const link of [
      '<https://elsewhere.example/v2/acme/macos/tags/list>; rel="next"',
      '</v2/acme/macos/tags/list?n=1000>; rel="next"',
    ]) {
      double.faults.add({ path: /tags/, times: Infinity, does: { kind: 'headers', headers: { link } } })
      await expect(client().listTags(where, signal)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
      double.faults.clear()
    }
  })

  it('says when a registry does not let manifests be deleted', async () => {
    const made = await manifest('1')
    double.faults.add({ method: 'DELETE', does: { kind: 'status', status: 405 } })
    await expect(client().deleteManifest(where, digestOf(made), signal)).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    double.faults.add({ method: 'DELETE', does: { kind: 'lose-answer' } })
    await client().deleteManifest(where, digestOf(made), signal)
    expect(await client().resolve(where, 'latest', signal)).toBeNull()
  })
})
