import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RegistryClient, RegistryOptions } from '../../src/drivers/registries/make-registry.ts'
import type { Repository } from '../../src/ports/registry.ts'
import { digestOf, manifestOf, ociManifest, readAll, sourceOf } from '../doubles/registry/client.ts'

export interface RegistryUnderTest {
  readonly host: string
  client(options?: RegistryOptions): RegistryClient
  stop(): Promise<void>
}

/** What holds for every client and every registry: `start` gives a registry that allows deletion, and clients that may do everything there. */
export function registryContract(name: string, start: () => Promise<RegistryUnderTest>): void {
  describe(`a registry (${name})`, () => {
    let under: RegistryUnderTest
    let client: RegistryClient
    const signal = AbortSignal.timeout(120_000)
    let repositories = 0

    beforeAll(async () => {
      under = await start()
      client = under.client()
    })
    afterAll(async () => {
      client.close()
      await under.stop()
    })

    function repository(): Repository {
      repositories += 1
      return { registry: under.host, repository: `acme/images-${repositories}/macos.15` }
    }

    function read(where: Repository, digest: string, range?: { from: number; to: number }): Promise<Buffer> {
      return readAll(client.readBlob(where, digest, { signal, ...(range === undefined ? {} : { range }) }))
    }

    it.each([0, 1, 2, 65_536, 3_000_001])('gives back a blob of %i bytes, sent in one', async (size) => {
      const where = repository()
      const bytes = randomBytes(size)
      const digest = digestOf(bytes)
      expect(await client.hasBlob(where, digest, signal)).toBe(false)
      expect(await client.writeBlob(where, sourceOf(bytes), { signal })).toBe(size)
      expect(await client.hasBlob(where, digest, signal)).toBe(true)
      expect((await read(where, digest)).equals(bytes)).toBe(true)
    })

    it.each([1, 2, 1000, 1001, 2999, 3000])('gives back a blob of %i bytes, sent in pieces of 1000', async (size) => {
      const where = repository()
      const bytes = randomBytes(size)
      const pieces = under.client({ pieceBytes: 1000 })
      expect(await pieces.writeBlob(where, sourceOf(bytes), { signal })).toBe(size)
      expect((await read(where, digestOf(bytes))).equals(bytes)).toBe(true)
      pieces.close()
    })

    it('sends nothing that is there already', async () => {
      const where = repository()
      const bytes = randomBytes(5000)
      await client.writeBlob(where, sourceOf(bytes), { signal })
      expect(await client.writeBlob(where, sourceOf(bytes), { signal })).toBe(0)
    })

    it('takes a blob from another repository, and sends it when that does not have it', async () => {
      const [from, to] = [repository(), repository()]
      const bytes = randomBytes(5000)
      await client.writeBlob(from, sourceOf(bytes), { signal })
      expect(await client.writeBlob(to, sourceOf(bytes), { signal, mountFrom: from.repository })).toBe(0)
      expect((await read(to, digestOf(bytes))).equals(bytes)).toBe(true)
      const other = randomBytes(5000)
      expect(await client.writeBlob(to, sourceOf(other), { signal, mountFrom: from.repository })).toBe(5000)
      expect((await read(to, digestOf(other))).equals(other)).toBe(true)
    })

    it('gives any part of a blob', async () => {
      const where = repository()
      const bytes = randomBytes(200_000)
      const digest = digestOf(bytes)
      await client.writeBlob(where, sourceOf(bytes), { signal })
      for (const [from, to] of [
        [0, 1],
        [0, 200_000],
        [199_999, 200_000],
        [1, 70_000],
        [70_000, 70_000],
      ] as const) {
        expect((await read(where, digest, { from, to })).equals(bytes.subarray(from, to))).toBe(true)
      }
    })

    it.each([
      { from: 5, to: 4 },
      { from: -1, to: 4 },
      { from: 0.5, to: 4 },
    ])('refuses the part %j', async (range) => {
      await expect(read(repository(), digestOf(Buffer.from('x')), range)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    })

    it('refuses bytes that are not what their digest says, and keeps nothing of them', async () => {
      const where = repository()
      const [right, wrong] = [randomBytes(3000), randomBytes(3000)]
      const lying = sourceOf(wrong, digestOf(right))
      await expect(client.writeBlob(where, lying, { signal })).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
      expect(await client.hasBlob(where, digestOf(right), signal)).toBe(false)
    })

    it.each([-1, 1])('refuses a source that has %i bytes more than it says', async (more) => {
      const bytes = randomBytes(3000)
      const source = { ...sourceOf(bytes), sizeBytes: bytes.length - more }
      await expect(client.writeBlob(repository(), source, { signal })).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
    })

    it('throws what its source throws, at once', async () => {
      const broken = { ...sourceOf(randomBytes(100)), read: () => failing(Object.assign(new Error('no such file'), { code: 'ENOENT' })) }
      await expect(client.writeBlob(repository(), broken, { signal })).rejects.toThrow('no such file')
    })

    it('knows a manifest by its tag and by its digest', async () => {
      const where = repository()
      const blobs = [Buffer.from('{}'), randomBytes(2000)]
      for (const bytes of blobs) await client.writeBlob(where, sourceOf(bytes), { signal })
      const bytes = manifestOf(blobs)
      const expected = { digest: digestOf(bytes), mediaType: ociManifest, sizeBytes: bytes.length }
      expect(await client.writeManifest(where, { name: 'v1.2_rc-3', mediaType: ociManifest, bytes }, signal)).toEqual(expected)
      for (const name of ['v1.2_rc-3', expected.digest]) {
        expect(await client.resolve(where, name, signal)).toEqual(expected)
        const manifest = await client.readManifest(where, name, signal)
        expect({ ...manifest, bytes: String(Buffer.from(manifest.bytes)) }).toEqual({ ...expected, bytes: String(bytes) })
      }
    })

    it('takes a manifest by its digest alone, and none under the digest of another', async () => {
      const where = repository()
      const config = Buffer.from('{}')
      await client.writeBlob(where, sourceOf(config), { signal })
      const [bytes, other] = [manifestOf([config]), manifestOf([config], { a: 'b' })]
      await client.writeManifest(where, { name: digestOf(bytes), mediaType: ociManifest, bytes }, signal)
      expect((await client.resolve(where, digestOf(bytes), signal))?.digest).toBe(digestOf(bytes))
      const lying = { name: digestOf(bytes), mediaType: ociManifest, bytes: other }
      await expect(client.writeManifest(where, lying, signal)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
    })

    it('refuses a manifest whose blobs are not there, and says so', async () => {
      const manifest = { name: 'latest', mediaType: ociManifest, bytes: manifestOf([Buffer.from('{}'), randomBytes(10)]) }
      await expect(client.writeManifest(repository(), manifest, signal)).rejects.toMatchObject({
        code: 'NOT_FOUND',
        message: expect.stringContaining('MANIFEST_BLOB_UNKNOWN'),
      })
    })

    it('moves a tag', async () => {
      const where = repository()
      const config = Buffer.from('{}')
      await client.writeBlob(where, sourceOf(config), { signal })
      const [first, second] = [manifestOf([config], { build: '1' }), manifestOf([config], { build: '2' })]
      for (const bytes of [first, second]) {
        await client.writeManifest(where, { name: 'latest', mediaType: ociManifest, bytes }, signal)
        expect((await client.resolve(where, 'latest', signal))?.digest).toBe(digestOf(bytes))
      }
      expect((await client.resolve(where, digestOf(first), signal))?.digest).toBe(digestOf(first))
    })

    it('says what is not there', async () => {
      const where = repository()
      const nothing = digestOf(randomBytes(8))
      expect(await client.resolve(where, 'latest', signal)).toBeNull()
      expect(await client.resolve(where, nothing, signal)).toBeNull()
      expect(await client.hasBlob(where, nothing, signal)).toBe(false)
      for (const asked of [
        () => client.readManifest(where, 'latest', signal),
        () => read(where, nothing),
        () => read(where, nothing, { from: 0, to: 5 }),
        () => client.listTags(where, signal),
        () => client.deleteManifest(where, nothing, signal),
      ]) {
        await expect(asked()).rejects.toMatchObject({ code: 'NOT_FOUND' })
      }
    })

    it('lists all tags', async () => {
      const where = repository()
      const config = Buffer.from('{}')
      await client.writeBlob(where, sourceOf(config), { signal })
      const tags = Array.from({ length: 25 }, (_, i) => `build-${i + 100}`)
      for (const tag of tags)
        await client.writeManifest(where, { name: tag, mediaType: ociManifest, bytes: manifestOf([config], { tag }) }, signal)
      expect([...(await client.listTags(where, signal))].sort()).toEqual(tags)
    })

    it('deletes a manifest by its digest', async () => {
      const where = repository()
      const config = Buffer.from('{}')
      await client.writeBlob(where, sourceOf(config), { signal })
      const bytes = manifestOf([config])
      await client.writeManifest(where, { name: 'latest', mediaType: ociManifest, bytes }, signal)
      await client.deleteManifest(where, digestOf(bytes), signal)
      expect(await client.resolve(where, 'latest', signal)).toBeNull()
      expect(await client.resolve(where, digestOf(bytes), signal)).toBeNull()
    })

    it.each(['../etc', 'Upper', 'a//b', 'a/../b', '', 'a b', 'a?b'])('refuses the repository %j', async (path) => {
      const where = { registry: under.host, repository: path }
      await expect(client.resolve(where, 'latest', signal)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
      await expect(client.hasBlob(where, digestOf(Buffer.from('x')), signal)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    })

    it.each(['sha256:12', 'md5:abc', '../x', 'a/b', ''])('refuses the name %j', async (name) => {
      await expect(client.resolve(repository(), name, signal)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    })

    it('ends when it is told to', async () => {
      const where = repository()
      const bytes = randomBytes(2_000_000)
      await client.writeBlob(where, sourceOf(bytes), { signal })
      const control = new AbortController()
      const reading = client.readBlob(where, digestOf(bytes), { signal: control.signal })[Symbol.asyncIterator]()
      await reading.next()
      control.abort(new Error('enough'))
      await expect(rest(reading)).rejects.toThrow('enough')
      await expect(client.resolve(where, 'latest', control.signal)).rejects.toThrow('enough')
      const control2 = new AbortController()
      const stuck = { ...sourceOf(bytes), read: () => abortedWhileRead(control2) }
      const sending = client.writeBlob(repository(), stuck, { signal: control2.signal })
      await expect(sending).rejects.toThrow('enough of it')
    })
  })
}

// eslint-disable-next-line require-yield -- it fails as a file does that is gone.
async function* failing(error: Error): AsyncGenerator<Uint8Array> {
  throw error
}

/** Somebody ends the transfer when a part is on its way; the rest never comes. */
async function* abortedWhileRead(control: AbortController): AsyncGenerator<Uint8Array> {
  yield Buffer.alloc(1000)
  control.abort(new Error('enough of it'))
  await new Promise<never>(() => undefined)
}

async function rest(iterator: AsyncIterator<Uint8Array>): Promise<void> {
  while ((await iterator.next()).done !== true);
}
