import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import {
  closeSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { pushTartImage, type PushedTartImage, type TartPushOptions } from '../../src/drivers/engines/tart/oci/push.ts'
import { verifyCachedImage } from '../../src/drivers/engines/tart/oci/verify-cached.ts'
import type { RegistryClient } from '../../src/drivers/registries/make-registry.ts'
import { testClient } from '../doubles/registry/client.ts'
import { MemoryRegistry } from '../doubles/registry/memory-registry.ts'
import { startRealRegistry, type RealRegistry } from '../registry/real-registry.ts'
import { startNastyProxy, type NastyProxy } from './nasty-proxy.ts'
import { bytesOf } from './sparse-folder.ts'

const rangeBytes = 256 * 1024
const uploadTime = '2026-11-30T00:00:00Z'
const { signal } = new AbortController()

let real: RealRegistry
let proxy: NastyProxy
let client: RegistryClient
let folder: string
let repository: string

beforeAll(async () => {
  real = await startRealRegistry()
  client = testClient()
})
afterAll(async () => {
  client.close()
  await real.stop()
})
beforeEach(async () => {
  proxy = await startNastyProxy(real.url)
  folder = mkdtempSync(join(tmpdir(), 'cidery-images-'))
  repository = `acme/macos-${randomBytes(6).toString('hex')}`
})
afterEach(async () => {
  await proxy.stop()
  rmSync(folder, { recursive: true, force: true })
})

const at = (name: string): string => join(folder, name)

/** A machine's directory: a disk of some pieces, one of them nothing but zeros. */
function makeMachine(name: string, seeds: readonly number[] = [1, 0, 3, 4]): string {
  mkdirSync(at(name), { recursive: true })
  const config = { version: 1, os: 'darwin', arch: 'arm64', cpuCount: 4, macAddress: '7a:00:01:02:03:04', diskFormat: 'raw' }
  writeFileSync(at(`${name}/config.json`), JSON.stringify(config))
  writeFileSync(at(`${name}/nvram.bin`), bytesOf(77, 256))
  const disk = openSync(at(`${name}/disk.img`), 'w')
  seeds.forEach((seed, number) => {
    const length = number === seeds.length - 1 ? 100_000 : rangeBytes
    if (seed !== 0) writeSync(disk, bytesOf(seed, length), 0, length, number * rangeBytes)
    ftruncateSync(disk, number * rangeBytes + length)
  })
  closeSync(disk)
  return at(name)
}

function push(machine: string, options: Partial<TartPushOptions> = {}): Promise<PushedTartImage> {
  const where = { registry: real.host, repository }
  return pushTartImage(machine, { registry: client, where }, { signal, uploadTime, rangeBytes, scratch: folder, ...options })
}

interface Told {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs the double on a home of its own; `killAfter` sees what it printed, and may end it. */
function tart(words: readonly string[], isEnough: (stdout: string) => boolean = () => false): Promise<Told> {
  const env = {
    PATH: `${resolve('test/doubles/tart/bin')}:/usr/sbin:/usr/bin:/sbin:/bin`,
    HOME: folder,
    TART_HOME: at('home'),
    TART_FAKE_HOST: at('host'),
    TART_FAKE_RANGE_KIB: String(rangeBytes / 1024),
    CI: 'true',
  }
  const child = spawn('tart', words, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (text: Buffer) => {
    stdout += text.toString()
    if (isEnough(stdout)) child.kill('SIGKILL')
  })
  child.stderr.on('data', (text: Buffer) => {
    stderr += text.toString()
  })
  return new Promise((done) => {
    child.on('close', (code) => done({ code, stdout, stderr }))
  })
}

const cacheOf = (host: string): string => at(`home/cache/OCIs/${host.replace(':', '%3A')}/${repository}`)

interface Layer {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
}

async function layersOf(digest: string): Promise<readonly [Layer, Layer, ...Layer[]]> {
  const { bytes } = await client.readManifest({ registry: real.host, repository }, digest, signal)
  return (JSON.parse(Buffer.from(bytes).toString()) as { layers: [Layer, Layer, ...Layer[]] }).layers
}

/** Pulls through the proxy; gives the directory in the cache. */
async function pulled(digest: string): Promise<string> {
  const told = await tart(['pull', '--insecure', `${proxy.host}/${repository}@${digest}`])
  expect(told).toMatchObject({ code: 0, stderr: '' })
  return join(cacheOf(proxy.host), digest)
}

/** Changes a byte of what one blob is answered with, always. */
function flipIn(digest: string, where: number): void {
  proxy.change = (path, body) => {
    if (!path.endsWith(digest)) return body
    const changed = Buffer.from(body)
    changed[where] = (changed[where] ?? 0) ^ 1
    return changed
  }
}

describe('a machine that is pushed', () => {
  it('is pulled by Tart as it was, by tag and by digest', async () => {
    const { digest, failedTags } = await push(makeMachine('m'), { tags: ['v1', 'latest'], labels: { team: 'ios' } })
    expect(failedTags).toEqual([])
    const told = await tart(['pull', '--insecure', `${real.host}/${repository}:latest`])
    expect(told).toMatchObject({ code: 0, stderr: '' })
    expect(told.stdout).toMatch(
      /^pulling .*\npulling manifest\.\.\.\npulling disk \(0\.0 GB compressed\)\.\.\.\n(?:\d+%\n)+pulling NVRAM\.\.\.\n$/,
    )
    const cached = join(cacheOf(real.host), digest)
    expect(readlinkSync(join(cacheOf(real.host), 'latest'))).toBe(cached)
    for (const name of ['config.json', 'disk.img', 'nvram.bin'])
      expect(readFileSync(join(cached, name)).equals(readFileSync(at(`m/${name}`)))).toBe(true)
    expect(await verifyCachedImage(cached, digest, { signal })).toEqual([])
    const { bytes } = await client.readManifest({ registry: real.host, repository }, digest, signal)
    const manifest = JSON.parse(Buffer.from(bytes).toString()) as { config: { digest: string }; annotations: unknown }
    expect(manifest.annotations).toEqual({
      'org.cirruslabs.tart.uncompressed-disk-size': '886432',
      'org.cirruslabs.tart.upload-time': uploadTime,
    })
    const pieces: Uint8Array[] = []
    for await (const piece of client.readBlob({ registry: real.host, repository }, manifest.config.digest, { signal })) pieces.push(piece)
    expect(Buffer.concat(pieces).toString()).toBe(
      '{"architecture":"arm64","config":{"Labels":{"org.cirruslabs.tart.disk.format":"raw","team":"ios"}},"os":"darwin"}',
    )
  })

  it('keeps the packed layers of its base, and sends only pieces that changed', async () => {
    makeMachine('home/vms/base')
    mkdirSync(at('home/tmp'), { recursive: true })
    expect(await tart(['push', '--insecure', 'base', `${real.host}/${repository}:base`])).toMatchObject({ code: 0 })
    const base = (await client.resolve({ registry: real.host, repository }, 'base', signal))!
    const bases = [{ where: { registry: real.host, repository }, digest: base.digest }]
    const next = await push(makeMachine('next', [1, 0, 9, 4]), { bases, tags: ['v2'] })
    expect(next.layers).toEqual({ reused: 3, made: 1 })
    const [before, after] = [await layersOf(base.digest), await layersOf(next.digest)]
    expect(after.filter(({ digest }) => before.some((old) => old.digest === digest)).length).toBeGreaterThanOrEqual(4)
    const changed = after.find(({ digest, mediaType }) => mediaType.includes('disk') && !before.some((old) => old.digest === digest))
    expect(next.sentBytes).toBeLessThan((changed?.size ?? 0) + 2000)
    expect(await verifyCachedImage(await pulled(next.digest), next.digest, { signal })).toEqual([])
    expect(readFileSync(join(cacheOf(proxy.host), next.digest, 'disk.img')).equals(readFileSync(at('next/disk.img')))).toBe(true)
  })

  it('mounts from another repository, copies from another registry, and sends nothing twice', async () => {
    const base = await push(makeMachine('m'))
    const from = { registry: real.host, repository }
    repository += '-other'
    const mounted = await push(at('m'), { bases: [{ where: from, digest: base.digest }] })
    expect(mounted).toMatchObject({ digest: base.digest, layers: { reused: 4, made: 0 } })
    expect(mounted.sentBytes).toBeLessThan(1500)
    expect(await push(at('m'))).toMatchObject({ digest: base.digest, sentBytes: 0 })

    const other = await startRealRegistry()
    try {
      const where = { registry: other.host, repository }
      const options = { signal, uploadTime, rangeBytes, scratch: folder, bases: [{ where: from, digest: base.digest }] }
      const copied = await pushTartImage(at('m'), { registry: client, where }, options)
      expect(copied).toMatchObject({ digest: base.digest, layers: { reused: 4, made: 0 } })
      expect(copied.sentBytes).toBeGreaterThan(400_000)
    } finally {
      await other.stop()
    }
  })

  it('is there when only the tag latest cannot be written, and leaves no scratch', async () => {
    const registry = new MemoryRegistry()
    registry.nasty.call = (name, _, what) => {
      if (name === 'writeManifest' && what === 'latest') throw new Error('not yours')
    }
    const to = { registry, where: { registry: 'registry.test', repository } }
    const { failedTags } = await pushTartImage(makeMachine('m'), to, {
      signal,
      uploadTime,
      rangeBytes,
      scratch: folder,
      tags: ['v1', 'latest'],
    })
    expect(failedTags).toEqual([{ tag: 'latest', reason: 'not yours' }])
    registry.nasty.call = (name) => {
      if (name === 'writeBlob' && registry.sentBytes > 0) throw new Error('cut')
    }
    await expect(pushTartImage(makeMachine('n', [8, 9]), to, { signal, uploadTime, rangeBytes, scratch: folder })).rejects.toThrow('cut')
    expect(readdirSync(folder).sort()).toEqual(['m', 'n'])
    await expect(pushTartImage(at('nothing'), to, { signal, uploadTime })).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  })
})

describe('what Tart does not check and cidery does', () => {
  it('finds a flipped byte in every kind of layer', async () => {
    // Bytes that do not repeat are not packed, so that Tart unpacks them whatever they are.
    makeMachine('m', [1, 0, 3, 4])
    const disk = openSync(at('m/disk.img'), 'r+')
    writeSync(disk, randomBytes(rangeBytes), 0, rangeBytes, 0)
    closeSync(disk)
    const { digest } = await push(at('m'))
    const layers = await layersOf(digest)
    const words = [
      [layers[0], /^config\.json: it is sha256:\w+, not /],
      [layers[1], /^disk\.img: piece 0 \(bytes 0 to 262144\) is sha256:/],
      [layers.at(-1), /^nvram\.bin: it is/],
    ] as const
    for (const [layer, word] of words) {
      flipIn(layer?.digest ?? '', 20)
      const faults = await verifyCachedImage(await pulled(digest), digest, { signal })
      expect(faults).toHaveLength(1)
      expect(faults[0]).toMatch(word)
      rmSync(at('home'), { recursive: true })
    }
  })

  it('finds a manifest that is not the one of the pin: moved tag, other bytes, and the link that Tart makes', async () => {
    const first = await push(makeMachine('a'), { tags: ['v1'] })
    const second = await push(makeMachine('b', [5, 6]), { tags: ['v1'] })
    const { bytes } = await client.readManifest({ registry: real.host, repository }, second.digest, signal)
    proxy.change = (path, body) => (path.includes('/manifests/') ? Buffer.from(bytes) : body)
    const directory = await pulled(first.digest)
    expect(lstatSync(directory).isSymbolicLink()).toBe(true)
    expect(readlinkSync(directory)).toBe(join(cacheOf(proxy.host), second.digest))
    expect((await tart(['list', '--source', 'oci', '-q'])).stdout).toContain(`${proxy.host}/${repository}:${first.digest}`)
    expect(await verifyCachedImage(directory, first.digest, { signal })).toEqual([expect.stringContaining('is a link to another image')])
    expect(await verifyCachedImage(join(cacheOf(proxy.host), second.digest), first.digest, { signal })).toEqual([
      `manifest.json is ${second.digest}, not ${first.digest}`,
    ])
  })

  it('names what is cut, too long, missing or not a file, and reads only the pieces that are asked for', async () => {
    const { digest } = await push(makeMachine('m'))
    const directory = await pulled(digest)
    const disk = openSync(join(directory, 'disk.img'), 'r+')
    writeSync(disk, 'changed', rangeBytes * 2 + 5)
    closeSync(disk)
    expect(await verifyCachedImage(directory, digest, { signal, ranges: [0, 1, 3, 99] })).toEqual([])
    expect(await verifyCachedImage(directory, digest, { signal, ranges: [2], concurrency: 1 })).toEqual([
      expect.stringContaining('piece 2 (bytes 524288'),
    ])
    writeSync(openSync(join(directory, 'disk.img'), 'r+'), 'x', 886_432)
    expect(await verifyCachedImage(directory, digest, { signal, ranges: [] })).toEqual([
      'disk.img: it has 1 bytes behind its end at 886432',
    ])
    truncateSync(join(directory, 'disk.img'), 800_000)
    expect(await verifyCachedImage(directory, digest, { signal, ranges: [3] })).toEqual([
      'disk.img: it is cut off at 800000 of 886432 bytes',
      expect.stringContaining('piece 3'),
    ])
    rmSync(join(directory, 'nvram.bin'))
    symlinkSync('/etc/hostname', join(directory, 'nvram.bin'))
    rmSync(join(directory, 'disk.img'))
    expect(await verifyCachedImage(directory, digest, { signal })).toEqual([
      'nvram.bin: it is not a plain file',
      'disk.img: it is not there',
    ])
    rmSync(join(directory, 'manifest.json'))
    expect(await verifyCachedImage(directory, digest, { signal })).toEqual(['manifest.json: it is not there'])
    expect(await verifyCachedImage(at('nowhere'), digest, { signal })).toEqual(['nowhere is not in the cache'])
  })
})

describe('the double of Tart on a registry', () => {
  it('goes on by Range where a connection was cut, five tries and no more', async () => {
    const { digest } = await push(makeMachine('m'))
    const layer = (await layersOf(digest))[1]
    let cuts = 2
    proxy.change = (path, body) => {
      if (!path.endsWith(layer.digest) || cuts === 0) return body
      cuts -= 1
      return { cutAfter: 10_000 }
    }
    const directory = await pulled(digest)
    expect(await verifyCachedImage(directory, digest, { signal })).toEqual([])
    expect(proxy.asked.filter((line) => line.includes(layer.digest))).toEqual([
      expect.not.stringContaining('bytes='),
      expect.stringMatching(/bytes=[1-9]\d*-$/),
      expect.stringMatching(/bytes=[1-9]\d*-$/),
    ])
    rmSync(at('home'), { recursive: true })
    cuts = 100
    proxy.asked.splice(0)
    const told = await tart(['pull', '--insecure', `${proxy.host}/${repository}@${digest}`])
    expect(told.code).toBe(1)
    expect(told.stdout.match(/Error pulling disk layer 1: "The network connection was lost\..*", attempting to re-try/g)).toHaveLength(4)
    expect(proxy.asked.filter((line) => line.includes(layer.digest))).toHaveLength(5)
  })

  it('does not try again what the registry refuses, nor what cannot be unpacked', async () => {
    const { digest } = await push(makeMachine('m'))
    const layer = (await layersOf(digest))[1]
    flipIn(layer.digest, 0)
    const told = await tart(['pull', '--insecure', `${proxy.host}/${repository}@${digest}`])
    expect(told).toMatchObject({ code: 1, stderr: expect.stringContaining('failed to decompress') as string })
    expect(proxy.asked.filter((line) => line.includes(layer.digest))).toHaveLength(1)
    const missing = await tart(['pull', '--insecure', `${proxy.host}/${repository}:nothing`])
    expect(missing).toMatchObject({ code: 1, stderr: expect.stringContaining('unexpected HTTP status code 404') as string })
    const https = await tart(['pull', `${proxy.host}/${repository}@${digest}`])
    expect(https).toMatchObject({ code: 1, stderr: expect.stringContaining('The network connection was lost') as string })
  })

  it('goes on after a kill with the pieces that are missing, which it does compare', async () => {
    const { digest } = await push(makeMachine('m'))
    const name = `${proxy.host}/${repository}@${digest}`
    const killed = await tart(['pull', '--insecure', '--concurrency', '1', name], (stdout) => /\d+%/.test(stdout))
    expect(killed.code).toBeNull()
    proxy.asked.splice(0)
    expect(await tart(['pull', '--insecure', name])).toMatchObject({ code: 0 })
    const disk = (await layersOf(digest)).slice(1, -1).map((layer) => layer.digest)
    expect(proxy.asked.filter((line) => disk.some((layer) => line.includes(layer))).length).toBeLessThan(disk.length)
    expect(await verifyCachedImage(join(cacheOf(proxy.host), digest), digest, { signal })).toEqual([])
  })

  it('pulls from one registry one after the other', async () => {
    const { digest } = await push(makeMachine('m'), { tags: ['v1', 'v2'] })
    const both = await Promise.all(['v1', 'v2'].map((tag) => tart(['pull', '--insecure', `${proxy.host}/${repository}:${tag}`])))
    expect(both.map(({ code }) => code)).toEqual([0, 0])
    expect(both.map(({ stdout }) => stdout).join('')).toContain('image is already cached! creating a symlink...')
    expect(proxy.asked.filter((line) => line.includes('/blobs/'))).toHaveLength((await layersOf(digest)).length)
    expect(readdirSync(cacheOf(proxy.host)).sort()).toEqual([digest, 'v1', 'v2'])
  })

  it('gives several names to what it pushed once, retags by the manifest alone, and sends in pieces', async () => {
    makeMachine('home/vms/m')
    mkdirSync(at('home/tmp'), { recursive: true })
    const words = [
      'push',
      '--insecure',
      '--chunk-size',
      '1',
      '--label',
      'a=b=c',
      'm',
      `${proxy.host}/${repository}:v1`,
      `${proxy.host}/${repository}:v2`,
    ]
    const told = await tart(words)
    expect(told).toMatchObject({ code: 0, stderr: '' })
    expect(told.stdout).toMatch(
      /pushing config\.\.\.\npushing disk\.\.\. this will take a while\.\.\.\npushing NVRAM\.\.\.\npushing manifest for v1\.\.\./,
    )
    expect(proxy.asked.some((line) => line.startsWith('PATCH'))).toBe(true)
    expect(await tart(['pull', '--insecure', `${proxy.host}/${repository}:v1`])).toMatchObject({ code: 0 })
    proxy.asked.splice(0)
    expect(await tart(['push', '--insecure', `${proxy.host}/${repository}:v1`, `${proxy.host}/${repository}:stable`])).toMatchObject({
      code: 0,
    })
    expect(proxy.asked.map((line) => line.split(' ')[0])).toEqual(['PUT'])
    const stable = await client.readManifest({ registry: real.host, repository }, 'stable', signal)
    expect(`sha256:${createHash('sha256').update(stable.bytes).digest('hex')}`).toBe(stable.digest)
  })
})
