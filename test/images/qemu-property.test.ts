import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { pullImage } from '../../src/drivers/engines/qemu/oci/pull.ts'
import { pushImage } from '../../src/drivers/engines/qemu/oci/push.ts'
import { verifyImage } from '../../src/drivers/engines/qemu/oci/verify.ts'
import { MemoryRegistry } from '../doubles/registry/memory-registry.ts'
import { contentOf, makeImage } from './sparse-folder.ts'

const where = { registry: 'registry.test', repository: 'acme/any' }
const { signal } = new AbortController()
const packing = { chunkBytes: 4096, packBytes: 40_000, level: 1, smallPacks: 4 }
const diskBytes = 400_000

const written = fc.record({
  at: fc.integer({ min: 0, max: diskBytes - 1 }),
  seed: fc.integer({ min: 0, max: 5 }),
  length: fc.integer({ min: 1, max: 60_000 }),
})
const image = fc.record({
  diskBytes: fc.integer({ min: 0, max: diskBytes }),
  disk: fc.array(written, { maxLength: 5 }),
  kernel: fc.integer({ min: 1, max: 2 }),
})

/** One build after the other; each may know builds before it, be killed on the way, and find other builds on the host. */
const build = fc.record({
  image,
  knows: fc.array(fc.nat(), { maxLength: 2 }),
  pushKills: fc.array(fc.nat({ max: 60_000 }), { maxLength: 2 }),
  pullKills: fc.array(fc.nat({ max: 60_000 }), { maxLength: 3 }),
  finds: fc.array(fc.nat(), { maxLength: 2 }),
  spoilt: fc.boolean(),
})

type Build = typeof build extends fc.Arbitrary<infer T> ? T : never

class Line {
  readonly registry = new MemoryRegistry()
  readonly digests: string[] = []
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  async add(one: Build): Promise<void> {
    const number = this.digests.length
    const source = join(this.#folder, `source-${number}`)
    makeImage(source, one.image)
    const bases = this.#chosen(one.knows).map((at) => ({ where, digest: this.digests[at] ?? '' }))
    const push = (): ReturnType<typeof pushImage> => pushImage(source, { registry: this.registry, where }, { signal, packing, bases })
    for (const bytes of one.pushKills) await this.#killedAfter(bytes, push)
    const { digest } = await push()
    const target = join(this.#folder, `pulled-${number}`)
    const localSources = this.#chosen(one.finds).map((at) => join(this.#folder, `pulled-${at}`))
    const [spoilt] = localSources
    if (one.spoilt && spoilt !== undefined) writeFileSync(join(spoilt, 'vmlinuz'), 'not what it was')
    const pull = (): ReturnType<typeof pullImage> => pullImage({ registry: this.registry, where, digest }, target, { signal, localSources })
    for (const bytes of one.pullKills) await this.#killedAfter(bytes, pull)
    await pull()
    expect(contentOf(target)).toEqual(contentOf(source))
    expect(await verifyImage(target, { digest, signal })).toEqual([])
    this.digests.push(digest)
    rmSync(source, { recursive: true })
  }

  #chosen(numbers: readonly number[]): readonly number[] {
    return this.digests.length === 0 ? [] : numbers.map((number) => number % this.digests.length)
  }

  /** The work fails after so many bytes moved; or it is done before. */
  async #killedAfter(bytes: number, work: () => Promise<unknown>): Promise<void> {
    const limit = this.registry.sentBytes + this.registry.readBytes + bytes
    const mustLive = (): void => {
      if (this.registry.sentBytes + this.registry.readBytes > limit) throw new Error('killed')
    }
    this.registry.nasty = {
      call: mustLive,
      bytes: (_, __, given) => {
        mustLive()
        return given
      },
    }
    await work().catch((error: unknown) => expect(String(error)).toContain('killed'))
    this.registry.nasty = {}
  }
}

it('a pull gives what was pushed, whatever was known, killed or spoilt on the way', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(build, { minLength: 1, maxLength: 4 }), async (builds) => {
      const folder = mkdtempSync(join(tmpdir(), 'cidery-images-'))
      try {
        const line = new Line(folder)
        for (const one of builds) await line.add(one)
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    }),
    { numRuns: 12 },
  )
})
