import { execFileSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadImage } from '../../src/drivers/engines/qemu/oci/load-image.ts'
import { pullImage, type PullOptions, type PullProgress } from '../../src/drivers/engines/qemu/oci/pull.ts'
import { pushImage, type PushOptions } from '../../src/drivers/engines/qemu/oci/push.ts'
import { verifyImage } from '../../src/drivers/engines/qemu/oci/verify.ts'
import { CideryError } from '../../src/model/errors.ts'
import { MemoryRegistry } from '../doubles/registry/memory-registry.ts'
import { allocatedBytes, contentOf, makeImage, type SparseImage } from './sparse-folder.ts'

const where = { registry: 'registry.test', repository: 'acme/linux-ci' }
const { signal } = new AbortController()
const mib = 1024 ** 2

/** Small chunks and packs, so that a small image has many of both. */
const packing = { chunkBytes: 16 * 1024, packBytes: 256 * 1024, level: 1 }
const plain: SparseImage = {
  diskBytes: 24 * mib + 4321,
  disk: [
    { at: 5_000_000, seed: 7, length: 1_500_000 },
    { at: 20_000_000, seed: 8, length: 700_000 },
    { at: 24 * mib, seed: 9, length: 4321 },
  ],
}

let folder: string
let registry: MemoryRegistry
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cidery-images-'))
  registry = new MemoryRegistry()
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const at = (name: string): string => join(folder, name)

async function push(name: string, options: Partial<PushOptions> = {}): ReturnType<typeof pushImage> {
  return pushImage(at(name), { registry, where }, { signal, packing, ...options })
}

async function pull(digest: string, name: string, options: Partial<PullOptions> = {}): ReturnType<typeof pullImage> {
  return pullImage({ registry, where, digest }, at(name), { signal, ...options })
}

async function pushed(image: SparseImage = plain): Promise<string> {
  makeImage(at('source'), image)
  return (await push('source')).digest
}

async function failure(work: Promise<unknown>): Promise<CideryError> {
  const error = await work.then(
    () => new Error('it went well'),
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(CideryError)
  return error as CideryError
}

function flip(bytes: Uint8Array, where: number): Uint8Array {
  const changed = Uint8Array.from(bytes)
  changed[where] = (changed[where] ?? 0) ^ 0x40
  return changed
}

interface Layer {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
}

/** The index first. */
function layersOf(digest: string): readonly [Layer, ...Layer[]] {
  const { bytes } = registry.contentOf(where).manifests.get(digest)!
  return (JSON.parse(Buffer.from(bytes).toString()) as { layers: [Layer, ...Layer[]] }).layers
}

describe('push and pull', () => {
  it('bring back every byte, and holes stay holes', async () => {
    const digest = await pushed()
    const seen: PullProgress[] = []
    const pulled = await pull(digest, 'b', { onProgress: (progress) => seen.push(progress) })
    expect(contentOf(at('b'))).toEqual(contentOf(at('source')))
    expect(allocatedBytes(at('b/disk.raw'))).toBeLessThan(3 * mib)
    expect(seen.at(-1)).toMatchObject({ doneBytes: pulled.dataBytes, totalBytes: pulled.dataBytes })
    expect(seen.at(-1)!.networkBytes).toBe(pulled.networkBytes)
    expect(existsSync(at('b.part'))).toBe(false)
    expect(await verifyImage(at('b'), { digest, signal })).toEqual([])
  })

  it('give the tags in their order, and an image lives when only the later ones fail', async () => {
    makeImage(at('source'), plain)
    registry.nasty.call = (name, _, what) => {
      if (name === 'writeManifest' && what === 'latest') throw new CideryError('FORBIDDEN', 'latest is not yours')
    }
    const { digest, failedTags } = await push('source', { tags: ['v1', 'latest'] })
    expect(failedTags).toEqual([{ tag: 'latest', reason: 'latest is not yours' }])
    expect([...registry.contentOf(where).tags]).toEqual([['v1', digest]])
  })

  it('refuse what is no image', async () => {
    makeImage(at('a'), plain)
    rmSync(at('a/image.json'))
    expect(await failure(push('a'))).toMatchObject({ code: 'INVALID_INPUT', hint: expect.stringContaining('image.json') })
    writeFileSync(at('a/image.json'), '[]')
    expect(await failure(push('a'))).toMatchObject({ code: 'INVALID_INPUT' })
    writeFileSync(at('a/image.json'), '{}')
    writeFileSync(at('a/.hidden'), '')
    expect((await failure(push('a'))).message).toContain('.hidden')
  })
})

describe('an image that changed a little', () => {
  const changed: SparseImage = { ...plain, disk: [...plain.disk, { at: 6_000_000, seed: 99, length: 30_000 }] }

  it('sends only the chunks that are new, and names the old packs', async () => {
    const base = await pushed()
    const before = registry.sentBytes
    makeImage(at('next'), changed)
    const next = await push('next', { bases: [{ where, digest: base }] })
    expect(registry.sentBytes - before).toBe(next.sentBytes)
    expect(next.sentBytes).toBeLessThan(60_000)
    const old = new Set(layersOf(base).map(({ digest }) => digest))
    const packs = layersOf(next.digest).slice(1)
    expect(packs.filter(({ digest }) => !old.has(digest))).toHaveLength(1)
    expect(packs.filter(({ digest }) => old.has(digest)).length).toBeGreaterThan(5)
    await pull(next.digest, 'b')
    expect(contentOf(at('b'))).toEqual(contentOf(at('next')))
  })

  it('fetches only the chunks that no image of the host has', async () => {
    const base = await pushed()
    await pull(base, 'base')
    makeImage(at('next'), changed)
    const next = await push('next', { bases: [{ where, digest: base }] })
    const { networkBytes, localBytes } = await pull(next.digest, 'b', { localSources: [at('nothing'), at('base')] })
    expect(networkBytes).toBeLessThan(60_000)
    expect(localBytes).toBeGreaterThan(2_000_000)
    expect(contentOf(at('b'))).toEqual(contentOf(at('next')))
    expect(await verifyImage(at('b'), { digest: next.digest, signal })).toEqual([])
  })

  it('never trusts what an image of the host is said to hold', async () => {
    const digest = await pushed()
    await pull(digest, 'base')
    const disk = openSync(at('base/disk.raw'), 'r+')
    writeSync(disk, Buffer.from('not what it was'), 0, 15, 5_300_000)
    closeSync(disk)
    const { networkBytes } = await pull(digest, 'b', { localSources: [at('base')] })
    expect(networkBytes).toBeGreaterThan(8_000)
    expect(networkBytes).toBeLessThan(60_000)
    expect(contentOf(at('b'))).toEqual(contentOf(at('source')))
  })

  it('packs anew what lives in packs of which most is dead', async () => {
    const base = await pushed()
    makeImage(at('next'), {
      ...plain,
      disk: plain.disk.map((written) => (written.seed === 7 ? { ...written, length: 1_450_000, seed: 70 } : written)),
    })
    const next = await push('next', { bases: [{ where, digest: base }] })
    const loaded = await loadImage({ registry, where, digest: next.digest }, signal)
    const live = loaded.index.packs.map(() => 0)
    for (const { pack, length } of loaded.index.chunks) live[pack] = (live[pack] ?? 0) + length
    const shares = loaded.index.packs.map(({ sizeBytes }, number) => (live[number] ?? 0) / sizeBytes)
    expect(Math.min(...shares)).toBeGreaterThanOrEqual(0.5)
    await pull(next.digest, 'b')
    expect(contentOf(at('b'))).toEqual(contentOf(at('next')))
  })

  it('does not grow a pack with each of many rebuilds', async () => {
    let base = await pushed()
    for (let round = 0; round < 6; round += 1) {
      makeImage(at('next'), { ...plain, disk: [...plain.disk, { at: 10_000_000 + round * 20_000, seed: 200 + round, length: 15_000 }] })
      base = (await push('next', { bases: [{ where, digest: base }], packing: { ...packing, smallPacks: 3 } })).digest
    }
    expect(layersOf(base).filter(({ size }) => size < packing.packBytes / 4).length).toBeLessThanOrEqual(6)
  })

  it('mounts packs from another repository, and leaves out a base that is gone', async () => {
    makeImage(at('source'), plain)
    const other = { ...where, repository: 'acme/other' }
    const base = await pushImage(at('source'), { registry, where: other }, { signal, packing })
    const before = registry.sentBytes
    const gone = `sha256:${'0'.repeat(64)}`
    const { digest, sentBytes, leftOut } = await push('source', {
      bases: [
        { where, digest: gone },
        { where: other, digest: base.digest },
      ],
    })
    expect(leftOut.map((one) => one.digest)).toEqual([gone])
    expect(registry.sentBytes - before).toBe(sentBytes)
    expect(sentBytes).toBeLessThan(10_000)
    await pull(digest, 'b')
    expect(contentOf(at('b'))).toEqual(contentOf(at('source')))
  })
})

describe('a transfer that is killed', () => {
  it('a push goes on with the packs that are missing', async () => {
    makeImage(at('source'), plain)
    let allowed = 600_000
    registry.nasty.call = (name) => {
      if (name === 'writeBlob' && registry.sentBytes > allowed) throw new Error('killed')
    }
    await expect(push('source')).rejects.toThrow('killed')
    const kept = [...registry.contentOf(where).blobs.values()].reduce((sum, blob) => sum + blob.length, 0)
    expect(kept).toBeGreaterThan(200_000)
    allowed = Number.POSITIVE_INFINITY
    const before = registry.sentBytes
    const { digest, sentBytes, reusedBytes } = await push('source')
    expect(registry.sentBytes - before).toBe(sentBytes)
    expect(reusedBytes).toBe(kept)
    registry.nasty = {}
    await pull(digest, 'b')
    expect(contentOf(at('b'))).toEqual(contentOf(at('source')))
  })

  it('the same folder makes the same packs, and a second push sends nothing', async () => {
    const digest = await pushed()
    const again = await push('source')
    expect(again).toMatchObject({ digest, sentBytes: 0 })
  })

  it('a pull goes on with the chunks that are missing', async () => {
    const digest = await pushed()
    const whole = (await pull(digest, 'whole')).networkBytes
    for (const share of [0, 0.3, 0.7, 0.9]) {
      const limit = registry.readBytes + whole * share
      registry.nasty.bytes = (_, __, bytes) => {
        if (registry.readBytes >= limit) throw new Error('killed')
        return bytes
      }
      await expect(pull(digest, `b${share}`)).rejects.toThrow('killed')
      registry.nasty = {}
      const { networkBytes, resumedBytes, dataBytes } = await pull(digest, `b${share}`)
      // What was under way is lost: four streams with a batch each.
      expect(resumedBytes).toBeGreaterThanOrEqual(share < 0.5 ? 0 : dataBytes / 10)
      expect(networkBytes).toBeLessThan(whole * (1.02 - resumedBytes / dataBytes) + 70_000)
      expect(contentOf(at(`b${share}`))).toEqual(contentOf(at('source')))
    }
  })

  it('what a torn write left is found and fetched again', async () => {
    const digest = await pushed()
    registry.nasty.bytes = (_, __, bytes) => {
      if (registry.readBytes > 1_000_000) throw new Error('killed')
      return bytes
    }
    await expect(pull(digest, 'b')).rejects.toThrow('killed')
    registry.nasty = {}
    truncateSync(at('b.part/disk.raw'), 5_300_000)
    const { resumedBytes } = await pull(digest, 'b')
    expect(resumedBytes).toBeGreaterThan(0)
    expect(contentOf(at('b'))).toEqual(contentOf(at('source')))
    // Bytes where there must be none: begun anew.
    rmSync(at('b'), { recursive: true })
    const [index] = layersOf(digest)
    registry.nasty.bytes = (blob, _, bytes) => {
      if (blob !== index.digest) throw new Error('killed')
      return bytes
    }
    await expect(pull(digest, 'b')).rejects.toThrow('killed')
    registry.nasty = {}
    const disk = openSync(at('b.part/disk.raw'), 'r+')
    writeSync(disk, 'stray', 1_000_000)
    closeSync(disk)
    await pull(digest, 'b')
    expect(contentOf(at('b'))).toEqual(contentOf(at('source')))
  })

  it('another image does not go on in what is left of the first', async () => {
    const first = await pushed()
    makeImage(at('other'), { ...plain, disk: [{ at: 1_000_000, seed: 3, length: 800_000 }] })
    const other = await push('other')
    registry.nasty.bytes = (_, __, bytes) => {
      if (registry.readBytes > 300_000) throw new Error('killed')
      return bytes
    }
    await expect(pull(first, 'b')).rejects.toThrow('killed')
    registry.nasty = {}
    await pull(other.digest, 'b')
    expect(contentOf(at('b'))).toEqual(contentOf(at('other')))
    expect(await pull(other.digest, 'b')).toMatchObject({ networkBytes: 0 })
    expect(await failure(pull(first, 'b'))).toMatchObject({ code: 'CONFLICT' })
  })
})

describe('bytes that are not what their digest says', () => {
  const kinds = ['index', 'pack'] as const
  it.each(kinds)('a flipped byte in the %s is thrown away and fetched again', async (kind) => {
    const digest = await pushed()
    const layer = layersOf(digest).at(kind === 'index' ? 0 : 2)!
    let flips = 1
    registry.nasty.bytes = (blob, _, bytes) => {
      if (blob !== layer.digest || flips === 0) return bytes
      flips -= 1
      return flip(bytes, 30_000 % bytes.length)
    }
    const before = registry.readBytes
    await pull(digest, 'b')
    expect(flips).toBe(0)
    expect(contentOf(at('b'))).toEqual(contentOf(at('source')))
    const all = layersOf(digest).reduce((sum, { size }) => sum + size, 0)
    expect(registry.readBytes - before).toBeLessThan(all + 40_000)
  })

  it('one that is flipped each time ends the pull, with pack and offset', async () => {
    const digest = await pushed()
    const layer = layersOf(digest).at(2)!
    registry.nasty.bytes = (blob, at, bytes) =>
      blob === layer.digest && at <= 30_000 && at + bytes.length > 30_000 ? flip(bytes, 30_000 - at) : bytes
    const error = await failure(pull(digest, 'b'))
    expect(error).toMatchObject({ code: 'DIGEST_MISMATCH', details: { pack: layer.digest } })
    const { offset, length } = error.details as { offset: number; length: number }
    expect(offset).toBeLessThanOrEqual(30_000)
    expect(offset + length).toBeGreaterThan(30_000)
    expect(error.message).toContain(layer.digest)
    expect(existsSync(at('b'))).toBe(false)
  })

  it('a flipped byte in the manifest, and a manifest of another image, are refused', async () => {
    const digest = await pushed()
    registry.nasty.manifest = (bytes) => flip(bytes, 100)
    expect(await failure(pull(digest, 'b'))).toMatchObject({ code: 'DIGEST_MISMATCH' })
    registry.nasty = {}
    makeImage(at('other'), { ...plain, kernel: 5 })
    const other = await push('other')
    registry.nasty.manifest = () => registry.contentOf(where).manifests.get(other.digest)!.bytes
    expect(await failure(pull(digest, 'b'))).toMatchObject({ code: 'DIGEST_MISMATCH' })
    expect(readdirSync(folder).sort()).toEqual(['other', 'source'])
  })

  it('a stream that ends early is gone on with', async () => {
    const digest = await pushed()
    let cuts = 3
    const [index] = layersOf(digest)
    registry.nasty.bytes = (blob, _, bytes) => {
      if (cuts === 0 || blob === index.digest) return bytes
      cuts -= 1
      return bytes.subarray(0, 0)
    }
    await pull(digest, 'b')
    expect(contentOf(at('b'))).toEqual(contentOf(at('source')))
  })
})

describe('limits', () => {
  it('refuses a disk that is too small, with the numbers and before the first byte of a chunk', async () => {
    const digest = await pushed()
    const before = registry.reads.length
    const error = await failure(pull(digest, 'b', { freeBytes: () => 100_000 }))
    expect(error).toMatchObject({ code: 'STORAGE_FULL', details: { freeBytes: 100_000 } })
    expect(error.details!['neededBytes']).toBeGreaterThan(2_000_000)
    expect(registry.reads.slice(before).every((read) => read.startsWith(layersOf(digest)[0].digest))).toBe(true)
  })

  it.runIf(process.platform === 'linux' && process.geteuid?.() === 0)(
    'says so when a disk fills up meanwhile, and goes on when there is room',
    async () => {
      const digest = await pushed()
      mkdirSync(at('small'))
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'cidery-test', at('small')])
      try {
        const error = await failure(pull(digest, 'small/b', { freeBytes: () => 1e12 }))
        expect(error).toMatchObject({ code: 'STORAGE_FULL', hint: expect.stringContaining('goes on') as string })
        execFileSync('mount', ['-o', 'remount,size=20m', at('small')])
        expect((await pull(digest, 'small/b')).resumedBytes).toBeGreaterThan(100_000)
        expect(contentOf(at('small/b'))).toEqual(contentOf(at('source')))
      } finally {
        execFileSync('umount', [at('small')])
      }
    },
  )

  it('takes no more of the line than it may', async () => {
    const digest = await pushed()
    const bytes = (await pull(digest, 'a')).networkBytes
    const startedAt = performance.now()
    await pull(digest, 'b', { bytesPerSecond: bytes })
    // A tenth of a second may be used at once.
    expect(performance.now() - startedAt).toBeGreaterThan(800)
  })

  it('stops when it is told to, and leaves what it has for the next', async () => {
    const digest = await pushed()
    const stop = new AbortController()
    const pulling = pull(digest, 'b', {
      signal: stop.signal,
      onProgress: ({ doneBytes, totalBytes }) => {
        if (doneBytes > totalBytes / 2) stop.abort(new Error('told to stop'))
      },
    })
    await expect(pulling).rejects.toThrow('told to stop')
    const { resumedBytes } = await pull(digest, 'b')
    expect(resumedBytes).toBeGreaterThan(1_000_000)
  })
})

describe('verify', () => {
  it('says which file is wrong, and where', async () => {
    const digest = await pushed()
    await pull(digest, 'b')
    const disk = openSync(at('b/disk.raw'), 'r+')
    writeSync(disk, 'changed', 5_100_000)
    writeSync(disk, 'changed', 15_000_000)
    closeSync(disk)
    truncateSync(at('b/initramfs'), 100)
    writeFileSync(at('b/vmlinuz'), Buffer.concat([readFileSync(at('b/vmlinuz')), Buffer.from('x')]))
    writeFileSync(at('b/stranger'), '')
    const faults = await verifyImage(at('b'), { digest, signal })
    expect(faults.join('\n')).toMatch(/disk\.raw: bytes 50\d+ to 51\d+ are not those of the image/)
    expect(faults.join('\n')).toMatch(/disk\.raw: bytes 14\d+ to 15\d+ are not/)
    expect(faults).toContain('initramfs: it is cut off at 100 of 12345 bytes')
    expect(faults).toContain('vmlinuz: it has 1 bytes behind its end at 50000')
    expect(faults).toContain('stranger: it is not part of the image')
    expect(faults).toHaveLength(5)
    rmSync(at('b/vmlinuz'))
    expect(await verifyImage(at('b'), { signal })).toContain('vmlinuz: it is not there')
  })

  it('needs manifest and index as they were', async () => {
    const digest = await pushed()
    await pull(digest, 'b')
    const index = readFileSync(at('b/index.json.zst'))
    writeFileSync(at('b/index.json.zst'), flip(index, 50))
    expect((await verifyImage(at('b'), { digest, signal })).join()).toContain('is not the index that manifest.json names')
    writeFileSync(at('b/index.json.zst'), index)
    const other = `sha256:${'1'.repeat(64)}`
    expect(await verifyImage(at('b'), { digest: other, signal })).toEqual([`manifest.json is ${digest}, not ${other}`])
    rmSync(at('b/manifest.json'))
    expect((await verifyImage(at('b'), { digest, signal })).join()).toContain('manifest.json cannot be read')
  })
})
