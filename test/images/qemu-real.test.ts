import { execFileSync, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { pullImage, type PulledImage } from '../../src/drivers/engines/qemu/oci/pull.ts'
import { pushImage, type PushedImage } from '../../src/drivers/engines/qemu/oci/push.ts'
import { verifyImage } from '../../src/drivers/engines/qemu/oci/verify.ts'
import type { RegistryClient } from '../../src/drivers/registries/make-registry.ts'
import { testClient } from '../doubles/registry/client.ts'
import { startRealRegistry, type RealRegistry } from '../registry/real-registry.ts'
import { startNastyProxy, type NastyProxy } from './nasty-proxy.ts'
import { contentOf, makeImage, type SparseImage } from './sparse-folder.ts'

const { signal } = new AbortController()
const mib = 1024 ** 2
const packing = { packBytes: mib }
const plain: SparseImage = {
  diskBytes: 80 * mib,
  disk: [
    { at: 3 * mib, seed: 11, length: 9 * mib },
    { at: 60 * mib + 777, seed: 12, length: 5 * mib },
  ],
  metadata: { name: 'linux-ci', created: '2026-11-30T00:00:00Z' },
}

let real: RealRegistry
let proxy: NastyProxy
let client: RegistryClient
let folder: string
let where: { readonly registry: string; readonly repository: string }

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
  where = { registry: real.host, repository: `acme/linux-${randomBytes(6).toString('hex')}` }
})
afterEach(async () => {
  await proxy.stop()
  rmSync(folder, { recursive: true, force: true })
})

const at = (name: string): string => join(folder, name)

async function pushed(name: string, image: SparseImage, { tags, base }: { tags?: readonly string[]; base?: string } = {}): Promise<string> {
  makeImage(at(name), image)
  const options = { signal, packing, tags: tags ?? [], bases: base === undefined ? [] : [{ where, digest: base }] }
  return (await pushImage(at(name), { registry: client, where }, options)).digest
}

interface Layer {
  readonly digest: string
}

function skopeo(...words: readonly string[]): string {
  return execFileSync('skopeo', [...words], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

it('skopeo inspects and copies what was pushed, also a rebuild that names the packs of its base', async () => {
  const base = await pushed('base', plain, { tags: ['v1'] })
  const next = await pushed(
    'next',
    { ...plain, disk: [...plain.disk, { at: 20 * mib, seed: 5, length: 100_000 }] },
    { tags: ['v2', 'latest'], base },
  )
  const seen = JSON.parse(skopeo('inspect', '--tls-verify=false', `docker://${real.host}/${where.repository}:latest`)) as Record<
    string,
    unknown
  >
  expect(seen).toMatchObject({ Digest: next, Os: 'linux', RepoTags: ['latest', 'v1', 'v2'], Created: '2026-11-30T00:00:00Z' })
  const copied = `${where.repository}-copy`
  skopeo(
    'copy',
    '--src-tls-verify=false',
    '--dest-tls-verify=false',
    `docker://${real.host}/${where.repository}:v2`,
    `docker://${real.host}/${copied}:v2`,
  )
  const there = await client.resolve({ registry: real.host, repository: copied }, 'v2', signal)
  expect(there?.digest).toBe(next)
  await pullImage({ registry: client, where: { registry: real.host, repository: copied }, digest: next }, at('pulled'), { signal })
  expect(contentOf(at('pulled'))).toEqual(contentOf(at('next')))
  skopeo('copy', '--src-tls-verify=false', `docker://${real.host}/${where.repository}:v2`, `dir:${at('dir')}`)
  const packs = readdirSync(at('dir')).filter((name) => /^[0-9a-f]{64}$/.test(name))
  for (const name of packs)
    expect(
      createHash('sha256')
        .update(readFileSync(join(at('dir'), name)))
        .digest('hex'),
    ).toBe(name)
})

it('a second host with nothing on it gets the same image by its digest [002-21]', async () => {
  const digest = await pushed('source', plain)
  await pullImage({ registry: client, where, digest }, at('second'), { signal })
  expect(contentOf(at('second'))).toEqual(contentOf(at('source')))
  expect(await verifyImage(at('second'), { digest, signal })).toEqual([])
  expect(
    `sha256:${createHash('sha256')
      .update(readFileSync(at('second/manifest.json')))
      .digest('hex')}`,
  ).toBe(digest)
})

it('a registry that answers a part with the whole still gives the image', async () => {
  const base = await pushed('base', plain)
  const next = await pushed('next', { ...plain, disk: [...plain.disk, { at: 20 * mib, seed: 5, length: 100_000 }] }, { base })
  proxy.ignoresRanges = true
  const far = { registry: proxy.host, repository: where.repository }
  await pullImage({ registry: client, where: far, digest: next }, at('pulled'), { signal })
  expect(contentOf(at('pulled'))).toEqual(contentOf(at('next')))
  expect(proxy.asked.some((line) => line.includes('bytes='))).toBe(true)
})

it('a flipped byte and a cut connection on the way are made good', async () => {
  const digest = await pushed('source', plain)
  const { bytes } = await client.readManifest(where, digest, signal)
  const [, first, second] = (JSON.parse(Buffer.from(bytes).toString()) as { layers: [Layer, Layer, Layer] }).layers
  const left = new Map([
    [first.digest, 1],
    [second.digest, 1],
  ])
  proxy.change = (path, body) => {
    const blob = path.split('/').at(-1) ?? ''
    const times = left.get(blob) ?? 0
    if (times === 0) return body
    left.set(blob, times - 1)
    if (blob === second.digest) return { cutAfter: 300_000 }
    const changed = Buffer.from(body)
    changed[5000] = (changed[5000] ?? 0) ^ 8
    return changed
  }
  await pullImage({ registry: client, where: { registry: proxy.host, repository: where.repository }, digest }, at('pulled'), { signal })
  expect([...left.values()]).toEqual([0, 0])
  expect(contentOf(at('pulled'))).toEqual(contentOf(at('source')))
})

/** A transfer in a process of its own, which is killed as soon as `isEnough` of what it printed. Null: it was killed. */
function transfer<T>(words: readonly string[], isEnough: (lines: readonly string[]) => boolean = () => false): Promise<T | null> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'transfer.child.ts'), ...words], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout.on('data', (piece: Buffer) => {
    text += piece.toString()
  })
  const looking = setInterval(() => {
    if (isEnough(text.split('\n'))) child.kill('SIGKILL')
  }, 1)
  return new Promise((done) => {
    child.on('close', (code) => {
      clearInterval(looking)
      done(code === 0 ? (JSON.parse(text.trim().split('\n').at(-1) ?? '') as T) : null)
    })
  })
}

it('an image goes to a registry and to a host, whatever kills the transfers and flips bytes on the way [W-21]', async () => {
  makeImage(at('source'), plain)
  const through = [proxy.host, where.repository]
  const far = { registry: proxy.host, repository: where.repository }

  // Killed pushes: what has arrived is not sent again.
  for (const enough of [1, 3, 5]) {
    expect(await transfer(['push', ...through, at('source')], () => proxy.takenBlobs >= enough)).toBeNull()
  }
  const push = (await transfer<PushedImage>(['push', ...through, at('source')]))!
  expect(push.reusedBytes).toBeGreaterThan(push.sentBytes)

  // Killed pulls, and a byte that is flipped in each pack once.
  const flipped = new Set<string>()
  proxy.change = (path, body) => {
    if (!path.includes('/blobs/') || body.length < 200_000 || flipped.has(path)) return body
    flipped.add(path)
    const changed = Buffer.from(body)
    changed[100_000] = (changed[100_000] ?? 0) ^ 8
    return changed
  }
  const pull = (percent: number): Promise<PulledImage | null> =>
    transfer<PulledImage>(
      ['pull', ...through, at('pulled'), push.digest],
      (lines) => Number(lines.findLast((line) => /^\d+$/.test(line)) ?? -1) >= percent,
    )
  for (const percent of [1, 30, 60, 90]) {
    expect(await pull(percent)).toBeNull()
    expect(existsSync(at('pulled'))).toBe(false)
  }
  const last = (await pull(1000))!
  expect(flipped.size).toBeGreaterThan(3)
  expect(last.resumedBytes).toBeGreaterThan(last.dataBytes * 0.85)
  expect(last.networkBytes).toBeLessThan(last.dataBytes * 0.2)
  expect(contentOf(at('pulled'))).toEqual(contentOf(at('source')))
  expect(await verifyImage(at('pulled'), { digest: push.digest, signal })).toEqual([])

  // A rebuild: unchanged packs are neither sent nor fetched.
  makeImage(at('next'), { ...plain, disk: [...plain.disk, { at: 20 * mib, seed: 5, length: 100_000 }] })
  const next = await pushImage(
    at('next'),
    { registry: client, where: far },
    { signal, packing, bases: [{ where: far, digest: push.digest }] },
  )
  expect(next.sentBytes).toBeLessThan(110_000)
  const delta = await pullImage({ registry: client, where: far, digest: next.digest }, at('rebuilt'), {
    signal,
    localSources: [at('pulled')],
  })
  expect(delta.networkBytes).toBeLessThan(220_000)
  expect(await verifyImage(at('rebuilt'), { digest: next.digest, signal })).toEqual([])
  expect(contentOf(at('rebuilt'))).toEqual(contentOf(at('next')))
  expect(readdirSync(folder).sort()).toEqual(['next', 'pulled', 'rebuilt', 'source'])
})
