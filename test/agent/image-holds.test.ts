import { describe, expect, it } from 'vitest'
import { imageHolds, type Holds } from '../../src/loop/agent/image-holds.ts'
import { CideryError } from '../../src/model/errors.ts'
import type { DesiredHold, DesiredImages } from '../../src/model/image/build.ts'
import { day } from '../../src/model/instant.ts'
import { seededRandom } from '../../src/simulate/random.ts'
import { fakeEngine } from '../doubles/fake-engine.ts'
import { fakeImages, testImage, testMetadata, type FakeImages } from '../doubles/fake-image-store.ts'
import { recordingLog } from '../doubles/recording-log.ts'
import { virtualTime, type VirtualTime } from '../doubles/virtual-time.ts'

const gib = 1024 ** 3
const digest = (letter: string): string => `sha256:${letter.repeat(64)}`

interface Scene {
  readonly time: VirtualTime
  readonly fakes: FakeImages
  readonly holds: Holds
  readonly stock: string[]
  readonly log: ReturnType<typeof recordingLog>
  want(holds: readonly DesiredHold[], retention?: Partial<DesiredImages['retention']>): void
  /** Runs a pass to its end in virtual time. */
  pass(): Promise<void>
}

function scene(): Scene {
  const time = virtualTime()
  const fakes = fakeImages(fakeEngine(time), time)
  const log = recordingLog()
  const stock: string[] = []
  let desired: DesiredImages | null = null
  const holds = imageHolds({
    ports: { ...time, random: seededRandom(1), log },
    engines: () => [fakes.engine],
    desired: () => desired,
    making: () => [],
    onStock: () => stock.push('stock'),
    onTransfer: () => undefined,
    stopping: new AbortController().signal,
  })
  return {
    time,
    fakes,
    holds,
    stock,
    log,
    want(wanted, retention = {}) {
      desired = { builds: [], holds: wanted, retention: { age: 7 * day, count: 1, budgetBytes: null, freeFloorBytes: 0, ...retention } }
    },
    async pass() {
      const state = { over: false }
      const passing = holds.pass().then(() => (state.over = true))
      for (let waited = 0; !state.over && waited < 1000; waited += 1) await time.advance(1000)
      await passing
    },
  }
}

const hold = (build: string, letter: string, changes: Partial<DesiredHold> = {}): DesiredHold => ({
  build,
  image: 'debian-12',
  engine: 'qemu',
  reference: `registry.example/ci/debian-12@${digest(letter)}`,
  fetch: true,
  bandwidth: null,
  ...changes,
})

describe('the images that a host shall have', () => {
  it('are brought when they are missing, and again when somebody removed them', async () => {
    const { fakes, want, pass, stock } = scene()
    fakes.remote.set(digest('a'), { sizeBytes: gib, metadata: testMetadata('bld_a') })
    want([hold('bld_a', 'a'), hold('bld_b', 'b', { fetch: false })])
    await pass()
    expect([...fakes.stored.keys()]).toEqual(['bld_a'])
    expect(fakes.pulls).toEqual(['bld_a'])
    expect(stock).toHaveLength(1)
    await pass()
    expect(fakes.pulls).toEqual(['bld_a'])
    fakes.stored.delete('bld_a')
    await pass()
    expect(fakes.pulls).toEqual(['bld_a', 'bld_a'])
  })

  it('get their room from what nothing needs, in the order that is stated, and never from what is used, held or last good [000-49] [002-96]', async () => {
    const { fakes, want, pass } = scene()
    fakes.capacity = 10 * gib
    fakes.remote.set(digest('a'), { sizeBytes: 3 * gib, metadata: testMetadata('bld_new', { builtAt: 50 }) })
    const of = (builtAt: number): { metadata: ReturnType<typeof testMetadata> } => ({ metadata: testMetadata('x', { builtAt }) })
    fakes.stored.set('bld_used', testImage('bld_used', { ...of(1), users: ['att_1'], sizeBytes: 2 * gib }))
    fakes.stored.set('bld_held', testImage('bld_held', { ...of(2), sizeBytes: 2 * gib }))
    fakes.stored.set('bld_good', testImage('bld_good', { ...of(9), sizeBytes: 2 * gib }))
    fakes.stored.set('bld_old', testImage('bld_old', { ...of(3), sizeBytes: 2 * gib, lastUsedAt: 5 }))
    fakes.layers.set('f00d', { key: 'f00d', sizeBytes: gib, lastUsedAt: 100 })
    want([hold('bld_new', 'a'), hold('bld_held', 'b', { fetch: false })], { age: Number.POSITIVE_INFINITY })
    await pass()
    expect([...fakes.stored.keys()].toSorted()).toEqual(['bld_good', 'bld_held', 'bld_new', 'bld_used'])
    expect([...fakes.layers.keys()]).toEqual([])
  })

  it('are told as missing, with the numbers, when nothing more may go', async () => {
    const { fakes, want, pass, holds, time } = scene()
    fakes.capacity = 3 * gib
    fakes.remote.set(digest('a'), { sizeBytes: 2 * gib, metadata: testMetadata('bld_new') })
    fakes.stored.set('bld_used', testImage('bld_used', { users: ['att_1'], sizeBytes: 2 * gib }))
    want([hold('bld_new', 'a')])
    await pass()
    expect(holds.transfers()).toMatchObject([{ build: 'bld_new', problem: `${2 * gib} bytes are needed, and ${gib} are free` }])
    expect(holds.transfers()[0]?.retryAt).toBeGreaterThan(time.clock.now() - 20_000)
    expect([...fakes.stored.keys()]).toEqual(['bld_used'])
  })

  it('are tried again later and later, and at once when they come', async () => {
    const { fakes, want, pass, holds, time } = scene()
    fakes.remote.set(digest('a'), { sizeBytes: gib, metadata: testMetadata('bld_a') })
    fakes.fault = new CideryError('UNAVAILABLE', 'the registry does not answer')
    want([hold('bld_a', 'a')])
    const pauses: number[] = []
    for (let tried = 0; tried < 8; tried += 1) {
      await pass()
      pauses.push(holds.dueIn())
      await time.advance(holds.dueIn())
    }
    expect(fakes.pulls).toHaveLength(8)
    expect(pauses[0]).toBeLessThanOrEqual(10_000)
    expect(pauses[3]).toBeGreaterThan(pauses[0] ?? 0)
    expect(Math.max(...pauses)).toBeLessThanOrEqual(600_000)
    fakes.fault = null
    await pass()
    expect([...fakes.stored.keys()]).toEqual(['bld_a'])
    expect(holds.transfers()).toEqual([])
  })

  it('leave nothing to be done at once when their turn ended after a failure', async () => {
    const { fakes, want, pass, holds, time } = scene()
    fakes.fault = new CideryError('UNAUTHENTICATED', 'the registry wants credentials')
    want([hold('bld_a', 'a')])
    await pass()
    want([hold('bld_a', 'a', { fetch: false })])
    await time.advance(holds.dueIn())
    await pass()
    expect(holds.dueIn()).toBeGreaterThan(0)
    await time.advance(30_000)
    expect(holds.dueIn()).toBeGreaterThan(0)
    expect(fakes.pulls).toEqual(['bld_a'])
  })

  it('are never removed while the fleet manages no images', async () => {
    const { fakes, pass, holds } = scene()
    fakes.stored.set('bld_old', testImage('bld_old', { problems: ['it is not whole'] }))
    await pass()
    expect([...fakes.stored.keys()]).toEqual(['bld_old'])
    expect(holds.dueIn()).toBe(Number.POSITIVE_INFINITY)
  })

  it('are given up when they are no longer wanted', async () => {
    const { fakes, want, holds, time } = scene()
    fakes.remote.set(digest('a'), { sizeBytes: gib, metadata: testMetadata('bld_a') })
    want([hold('bld_a', 'a')])
    const passing = holds.pass()
    await time.advance(1500)
    want([])
    for (let waited = 0; waited < 10; waited += 1) await time.advance(1000)
    await passing
    expect([...fakes.stored.keys()]).toEqual([])
  })
})
