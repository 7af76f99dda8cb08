import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { makeCa, makeServerCertificate } from '../../src/drivers/certificates/make-certificate.ts'
import type { RegistryClient, RegistryOptions, RegistryParts } from '../../src/drivers/registries/make-registry.ts'
import type { RegistryCredentials } from '../../src/ports/registry-credentials.ts'
import { digestOf, givenCredentials, readAll, skippingTime, sourceOf, testClient, textOfFailure } from '../doubles/registry/client.ts'
import { startRegistryDouble, type RegistryDouble, type RegistryDoubleOptions } from '../doubles/registry/registry-double.ts'
import { virtualTime } from '../doubles/virtual-time.ts'

const user = { username: 'fleet', password: 'only-for-tests' }
const bytes = randomBytes(100_000)
const digest = digestOf(bytes)
const signal = AbortSignal.timeout(300_000)
const open: { stop(): unknown }[] = []

async function start(options: RegistryDoubleOptions = {}): Promise<RegistryDouble> {
  const double = await startRegistryDouble(options)
  open.push(double)
  return double
}

function connect(options: RegistryOptions = {}, parts: Partial<RegistryParts> = {}): RegistryClient {
  const client = testClient(options, parts)
  open.push({ stop: () => client.close() })
  return client
}

function at(double: RegistryDouble, repository = 'acme/macos'): { registry: string; repository: string } {
  return { registry: double.host, repository }
}

afterEach(async () => {
  for (const each of open.splice(0).toReversed()) await each.stop()
})

describe('saying who asks', () => {
  it('asks for a token once, and keeps it by what it is good for until it ends', async () => {
    const double = await start({ auth: { kind: 'bearer', users: [user] } })
    const time = skippingTime()
    const client = connect({}, { ...time, credentials: givenCredentials(user) })
    const tokens = (): number => double.requests.filter(({ path }) => path.startsWith('/token')).length
    await client.writeBlob(at(double), sourceOf(bytes), { signal })
    expect(tokens()).toBe(2)
    for (let i = 0; i < 5; i += 1) await readAll(client.readBlob(at(double), digest, { signal }))
    await Promise.all(Array.from({ length: 5 }, () => client.writeBlob(at(double), sourceOf(randomBytes(100)), { signal })))
    expect(tokens()).toBe(2)
    await Promise.all(Array.from({ length: 5 }, () => client.hasBlob(at(double, 'acme/other'), digest, signal)))
    expect(tokens()).toBe(3)
    const before = double.requests.length
    await time.timers.sleep(300_000)
    await readAll(client.readBlob(at(double), digest, { signal }))
    // It knows that the token ended, and does not have to be told.
    expect(double.requests.slice(before).map(({ status }) => status)).toEqual([200, 200])
  })

  it('asks once more when a token ended before its time, in the middle of an upload', async () => {
    const double = await start({ auth: { kind: 'bearer', users: [user] } })
    const client = connect({ pieceBytes: 40_000 }, { credentials: givenCredentials(user) })
    double.faults.add({ method: 'PATCH', after: 1, does: { kind: 'then', run: () => double.endTokens() } })
    await client.writeBlob(at(double), sourceOf(bytes), { signal })
    expect((await readAll(client.readBlob(at(double), digest, { signal }))).equals(bytes)).toBe(true)
    expect(double.requests.filter(({ status }) => status === 401).length).toBeLessThanOrEqual(4)
  })

  it('reads what everybody may read without credentials, and says where it looked when that is not enough', async () => {
    const may = (name: string | null, _: string, action: string): boolean => action === 'pull' || name !== null
    const double = await start({ auth: { kind: 'bearer', users: [user], may } })
    const none: RegistryCredentials = { find: () => Promise.resolve({ found: false, looked: ['no file /root/.docker/config.json'] }) }
    const client = connect({}, { credentials: none })
    expect(await client.hasBlob(at(double), digest, signal)).toBe(false)
    const text = await textOfFailure(client.writeBlob(at(double), sourceOf(bytes), { signal }))
    expect(text).toContain('UNAUTHENTICATED')
    expect(text).toContain('none were sent')
    expect(text).toContain('no file /root/.docker/config.json')
  })

  it.each(['basic', 'bearer'] as const)('says which credentials were not accepted, and never what they are (%s)', async (kind) => {
    const double = await start({ auth: { kind, users: [user] } })
    const wrong = { username: 'fleet', password: 'a-secret-that-is-wrong' }
    const text = await textOfFailure(connect({}, { credentials: givenCredentials(wrong) }).hasBlob(at(double), digest, signal))
    expect(text).toContain('UNAUTHENTICATED')
    expect(text).toContain('the test')
    expect(text).not.toContain(wrong.password)
    expect(text).not.toContain(Buffer.from(`fleet:${wrong.password}`).toString('base64'))
    expect(double.requests.length).toBeLessThanOrEqual(3)
  })

  it.each(['basic', 'bearer'] as const)('says what is not allowed (%s)', async (kind) => {
    const may = (_: string | null, repository: string): boolean => repository !== 'acme/secret'
    const double = await start({ auth: { kind, users: [user], may } })
    const client = connect({}, { credentials: givenCredentials(user) })
    const text = await textOfFailure(client.writeBlob(at(double, 'acme/secret'), sourceOf(bytes), { signal }))
    expect(text).toContain('FORBIDDEN')
    expect(text).toContain('repository:acme/secret:pull')
    expect(text).toContain('the test')
  })

  it('does not show a secret that a registry gives back', async () => {
    const double = await start({ auth: { kind: 'basic', users: [user] } })
    const client = connect({}, { credentials: givenCredentials(user) })
    await client.hasBlob(at(double), digest, signal)
    const body = JSON.stringify({ errors: [{ code: 'DENIED', message: `no ${user.password} here` }] })
    double.faults.add({ does: { kind: 'status', status: 403, body } })
    const text = await textOfFailure(client.readManifest(at(double), 'latest', signal))
    expect(text).toContain('DENIED no *** here')
    expect(text).not.toContain(user.password)
  })

  it('sends no credentials to a token service that everybody can listen to', async () => {
    const double = await start()
    double.faults.add({
      does: { kind: 'status', status: 401, headers: { 'www-authenticate': 'Bearer realm="http://192.0.2.1/token",service="x"' } },
    })
    const client = connect({}, { credentials: givenCredentials(user) })
    await expect(client.hasBlob(at(double), digest, signal)).rejects.toMatchObject({ code: 'TLS_REQUIRED' })
  })

  it('asks for another address when that of a blob has ended', async () => {
    const double = await start({ redirectBlobs: true })
    const client = connect({}, skippingTime())
    await client.writeBlob(at(double), sourceOf(bytes), { signal })
    double.faults.add({ path: /^\/bytes/, times: 2, does: { kind: 'status', status: 403 } })
    expect((await readAll(client.readBlob(at(double), digest, { signal }))).equals(bytes)).toBe(true)
  })

  it('follows a blob neither in circles nor to where everybody can listen', async () => {
    const double = await start()
    const client = connect({}, skippingTime())
    await client.writeBlob(at(double), sourceOf(bytes), { signal })
    const self = { location: `/v2/acme/macos/blobs/${digest}` }
    double.faults.add({ method: 'GET', times: Infinity, does: { kind: 'status', status: 307, headers: self } })
    await expect(readAll(client.readBlob(at(double), digest, { signal }))).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    double.faults.clear()
    double.faults.add({ method: 'GET', does: { kind: 'status', status: 307, headers: { location: 'http://192.0.2.1/' } } })
    await expect(readAll(client.readBlob(at(double), digest, { signal }))).rejects.toMatchObject({ code: 'TLS_REQUIRED' })
  })
})

describe('a registry that wants fewer requests', () => {
  it('is left alone by all for as long as it asked, when one was told', async () => {
    const double = await start({ limit: { requests: 12, perMs: 2000, retryAfterSeconds: 1 } })
    const client = connect()
    const blobs = Array.from({ length: 6 }, () => randomBytes(2000))
    for (const blob of blobs.slice(0, 1)) await client.writeBlob(at(double), sourceOf(blob), { signal })
    await Promise.all(blobs.slice(1).map((blob) => client.writeBlob(at(double), sourceOf(blob), { signal })))
    const first = double.requests.find(({ status }) => status === 429)
    expect(first).toBeDefined()
    const inPause = double.requests.filter(({ at }) => at > first!.at + 150 && at < first!.at + 950)
    expect(inPause).toEqual([])
    for (const blob of blobs) expect(await client.hasBlob(at(double), digestOf(blob), signal)).toBe(true)
  })

  it.each([
    ['seconds', (): string => '120'],
    ['a date', (): string => new Date(Date.now() + 121_000).toUTCString()],
  ])('says in %s how long', async (_, header) => {
    const double = await start()
    const time = skippingTime()
    double.faults.add({ does: { kind: 'status', status: 429, headers: { 'retry-after': header() } } })
    await connect({}, time).hasBlob(at(double), digest, signal)
    expect(time.slept.length).toBe(1)
    expect(time.slept[0]).toBeGreaterThanOrEqual(119_000)
    expect(time.slept[0]).toBeLessThanOrEqual(126_000)
  })

  it('is not asked in vain when that is too long to wait, and is asked again afterwards', async () => {
    const double = await start()
    const time = skippingTime()
    const client = connect({}, time)
    double.faults.add({ does: { kind: 'status', status: 429, headers: { 'retry-after': '3600' } } })
    for (let i = 0; i < 3; i += 1) {
      await expect(client.hasBlob(at(double), digest, signal)).rejects.toMatchObject({ code: 'TOO_MANY_REQUESTS' })
    }
    expect(double.requests.length).toBe(1)
    await time.timers.sleep(3_600_000)
    expect(await client.hasBlob(at(double), digest, signal)).toBe(false)
  })

  it('is given up after its tries, by that name', async () => {
    const double = await start()
    double.faults.add({ times: Infinity, does: { kind: 'status', status: 429 } })
    const time = skippingTime()
    await expect(connect({ tries: 4 }, time).hasBlob(at(double), digest, signal)).rejects.toMatchObject({ code: 'TOO_MANY_REQUESTS' })
    expect(double.requests.length).toBe(4)
    expect(time.slept[0]).toBeGreaterThanOrEqual(2500)
  })

  it('is waited for in virtual time, silences too', async () => {
    const double = await start()
    const time = virtualTime()
    const client = connect({ tries: 5 }, { clock: time.clock, timers: time.timers })
    double.faults.add(
      { does: { kind: 'status', status: 429, headers: { 'retry-after': '240' } } },
      { does: { kind: 'status', status: 503 } },
      { does: { kind: 'silent' } },
    )
    const began = performance.now()
    // Requests take their real time; between them a second passes for each hundredth of one.
    const pace = setInterval(() => void time.advance(1000), 10)
    expect(await client.hasBlob(at(double), digest, signal)).toBe(false)
    clearInterval(pace)
    expect(time.elapsed()).toBeGreaterThan(240_000 + 60_000)
    expect(performance.now() - began).toBeLessThan(30_000)
  })
})

describe('TLS', () => {
  const day = 86_400_000
  const ca = makeCa({ commonName: 'test CA', notBefore: Date.now() - day, notAfter: Date.now() + day })
  const own = makeServerCertificate(
    { commonName: '127.0.0.1', names: ['127.0.0.1'], caCommonName: 'test CA', notBefore: Date.now() - day, notAfter: Date.now() + day },
    ca,
  )

  it('believes no certificate that nobody vouches for, and those of the CA that it is given', async () => {
    const double = await start({ tls: { key: own.key, cert: own.certificate } })
    const folder = mkdtempSync(join(tmpdir(), 'cidery-ca-'))
    open.push({ stop: () => rmSync(folder, { recursive: true }) })
    const caFile = join(folder, 'ca.pem')
    writeFileSync(caFile, ca.certificate)
    // Loopback is asked over plain HTTP, so it is its mirror that has TLS.
    const origin = await start()
    await connect().writeBlob(at(origin), sourceOf(bytes), { signal })
    const mirrors = { [origin.host]: [double.url] }
    expect((await readAll(connect({ mirrors }).readBlob(at(origin), digest, { signal }))).equals(bytes)).toBe(true)
    expect(double.requests).toEqual([])
    await readAll(connect({ mirrors, caFile }).readBlob(at(origin), digest, { signal }))
    expect(double.requests.length).toBe(1)
  })

  it('says which file of certificates cannot be read', async () => {
    expect(() => connect({ caFile: '/nowhere/ca.pem' })).toThrow('/nowhere/ca.pem')
  })

  it('is asked for outside loopback, unless a registry is listed', async () => {
    expect(() => connect({ mirrors: { 'ghcr.io': ['http://192.0.2.1:5000'] } })).toThrow(/192\.0\.2\.1:5000.*everybody/)
    connect({ mirrors: { 'ghcr.io': ['http://192.0.2.1:5000'] }, insecure: ['192.0.2.1:5000'] })
    for (const mirror of ['ftp://x', 'http://user:word@127.0.0.1', 'nonsense']) {
      expect(() => connect({ mirrors: { 'ghcr.io': [mirror] } })).toThrow(/no http or https URL/)
    }
  })
})

describe('a mirror', () => {
  async function both(
    own: RegistryDoubleOptions = {},
  ): Promise<{ origin: RegistryDouble; mirror: RegistryDouble; client: RegistryClient }> {
    const [origin, mirror] = [await start(own), await start()]
    const credentials =
      own.auth === undefined
        ? null
        : {
            // Credentials are for the registry alone.
            find: (registry: string) =>
              Promise.resolve(
                registry === origin.host
                  ? ({ found: true, credential: { ...user, source: 'the test' } } as const)
                  : ({ found: false, looked: [] } as const),
              ),
          }
    const client = connect({ silenceMs: 300, mirrors: { [origin.host]: [mirror.url] } }, { ...skippingTime(), credentials })
    await client.writeBlob(at(origin), sourceOf(bytes), { signal })
    return { origin, mirror, client }
  }

  async function fill(mirror: RegistryDouble): Promise<void> {
    await connect().writeBlob(at(mirror), sourceOf(bytes), { signal })
  }

  function pulls(double: RegistryDouble): number {
    return double.requests.filter(({ method, path }) => method === 'GET' && path.includes(digest)).length
  }

  it('is asked first for what is named by a digest, never told who asks, and nothing is sent to it', async () => {
    const { origin, mirror, client } = await both({ auth: { kind: 'bearer', users: [user] } })
    expect(mirror.requests).toEqual([])
    await fill(mirror)
    expect((await readAll(client.readBlob(at(origin), digest, { signal }))).equals(bytes)).toBe(true)
    expect([pulls(mirror), pulls(origin)]).toEqual([1, 0])
    await client.resolve(at(origin), 'latest', signal)
    expect(mirror.requests.filter(({ path }) => path.includes('/manifests/'))).toEqual([])
    expect(mirror.requests.every(({ authorization }) => authorization === 'none')).toBe(true)
  })

  it('may have nothing, be broken off, be down or silent: the registry has it', async () => {
    const { origin, mirror, client } = await both()
    const read = async (): Promise<boolean> => (await readAll(client.readBlob(at(origin), digest, { signal }))).equals(bytes)
    expect(await read()).toBe(true)
    await fill(mirror)
    mirror.faults.add({ method: 'GET', times: Infinity, does: { kind: 'cut', after: 30_000 } })
    const later = connect({ silenceMs: 300, mirrors: { [origin.host]: [mirror.url] } }, skippingTime())
    expect((await readAll(later.readBlob(at(origin), digest, { signal }))).equals(bytes)).toBe(true)
    expect(origin.requests.at(-1)?.range).toBe('bytes=60000-99999')
    mirror.faults.clear()
    mirror.faults.add({ times: Infinity, does: { kind: 'silent' } })
    expect(await read()).toBe(true)
    await mirror.stop()
    expect(await read()).toBe(true)
  })

  it('that gives other bytes is found out, and not asked again for a while', async () => {
    const { origin, mirror, client } = await both()
    await fill(mirror)
    mirror.faults.add({ method: 'GET', times: Infinity, does: { kind: 'flip', at: 77_777 } })
    await expect(readAll(client.readBlob(at(origin), digest, { signal }))).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
    expect((await readAll(client.readBlob(at(origin), digest, { signal }))).equals(bytes)).toBe(true)
    expect(pulls(origin)).toBe(1)
  })

  it('that gives another manifest is passed over', async () => {
    const { origin, mirror, client } = await both()
    const mediaType = 'application/vnd.oci.image.manifest.v1+json'
    const manifest = Buffer.from(
      JSON.stringify({ schemaVersion: 2, mediaType, config: { mediaType: 'a/b', digest, size: bytes.length }, layers: [] }),
    )
    const name = digestOf(manifest)
    await client.writeManifest(at(origin), { name, mediaType, bytes: manifest }, signal)
    mirror.storage.put('acme/macos', { digest: name, mediaType, bytes: Buffer.from('{"schemaVersion":2}') }, null)
    expect(Buffer.from((await client.readManifest(at(origin), name, signal)).bytes).equals(manifest)).toBe(true)
    expect(mirror.requests.length).toBe(1)
  })

  it('is not asked for what its reader found to be wrong', async () => {
    const { origin, mirror, client } = await both()
    await fill(mirror)
    const before = pulls(mirror)
    const part = await readAll(client.readBlob(at(origin), digest, { range: { from: 5, to: 50 }, atOrigin: true, signal }))
    expect(part.equals(bytes.subarray(5, 50))).toBe(true)
    expect(pulls(mirror)).toBe(before)
  })
})
