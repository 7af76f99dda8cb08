import { afterEach, describe, expect, it } from 'vitest'
import type { BuildReport } from '../../src/model/image/build.ts'
import { hour, minute } from '../../src/model/instant.ts'
import { buildsOfImage } from '../../src/record/build-list.ts'
import { cancelBuild } from '../../src/record/builds.ts'
import { imagesOfHosts } from '../../src/record/image-holds.ts'
import { readLine } from '../../src/record/image-lines.ts'
import { promoteByHand, rollBack } from '../../src/record/image-promotion.ts'
import { putRecipe } from '../../src/record/image-recipes.ts'
import { askForBuild, forceReadiness } from '../../src/record/image-states.ts'
import { startFleet, type Fleet } from '../doubles/controller-fleet.ts'
import { givenRecipe } from '../doubles/image-recipes.ts'
import type { Script, SimulatedAgent, SimulatedImages } from '../doubles/simulated-agent.ts'

const alice = { actor: 'user:alice', origin: '127.0.0.1' }
const engines = { tart: { limits: 'advisory' } }
const registry = 'registry.test/acme/macos-15'

function specOf(policy: Record<string, unknown> = {}, more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    pools: { default: { engines, readiness: { checkMaxAge: '30d', bootProofMaxAge: '30d' } } },
    images: { 'macos-15': { engine: 'tart', recipe: 'macos-15.yaml', registry, ...policy } },
    queues: { default: { image: 'macos-15', engine: 'tart' } },
    ...more,
  }
}

describe('images of a fleet', () => {
  let fleet: Fleet

  afterEach(async () => {
    await fleet.stop()
    expect(fleet.faults).toEqual([])
  })

  interface Host {
    readonly agent: SimulatedAgent
    readonly stored: Set<string>
    /** Ids of builds that it began. */
    readonly builds: string[]
  }

  async function mac(
    name: string,
    how: { readonly ends?: Partial<BuildReport>; readonly script?: Script; readonly slots?: number } = {},
  ): Promise<Host> {
    const stored = new Set<string>()
    const builds: string[] = []
    const images: SimulatedImages = {
      stored,
      fetches: () => true,
      async build(build) {
        builds.push(build.id)
        await fleet.time.timers.sleep(minute, new AbortController().signal)
        const reference = build.pushTo === null ? null : `${build.pushTo.repository}@sha256:${build.id.slice(-4).padStart(64, '0')}`
        return { state: 'built', sizeBytes: 1024, reference, reason: '', ...how.ends }
      },
    }
    const agent = await fleet.agent(name, {
      images,
      ...(how.script === undefined ? {} : { script: how.script }),
      ...(how.slots === undefined ? {} : { slots: how.slots }),
    })
    return { agent, stored, builds }
  }

  const write = <T>(work: Parameters<typeof fleet.core.recorder.write<T>>[1]): Promise<T> => fleet.core.recorder.write(alice, work)
  const line = (name = 'macos-15') => fleet.core.recorder.read((db) => readLine(db, name))
  const buildsOf = (name = 'macos-15') => fleet.core.recorder.read((db) => buildsOfImage(db, name, 100))
  const give = (step = 'true', name = 'macos-15', more = {}) => write((tx) => putRecipe(tx, name, givenRecipe(name, step, more)))
  const kinds = async () => (await fleet.events()).filter(({ kind }) => kind.startsWith('image.')).map(({ kind }) => kind)
  const promoted = async () => (await line()).promoted

  it('a recipe becomes a build on one host, which the others fetch, and jobs boot it once it is promoted [000-03] [000-16] [001-24]', async () => {
    fleet = await startFleet({ spec: specOf({ rollout: { share: 1 } }) })
    const hosts = [await mac('mini-1'), await mac('mini-2'), await mac('mini-3')]
    const early = await fleet.submit()
    await give()
    await fleet.until(async () => hosts.some(({ builds }) => builds.length > 0))
    expect((await fleet.job(early.id)).state).toBe('queued')
    expect(await fleet.core.services.judgement.explain('image/macos-15', fleet.time.clock.now())).toMatchObject([{ code: 'imageBuilding' }])
    await fleet.until(async () => (await promoted()) !== null, 5 * minute)
    expect(hosts.map(({ builds }) => builds.length).toSorted((a, b) => a - b)).toEqual([0, 0, 1])
    const build = (await promoted()) ?? ''
    expect(hosts.every(({ stored }) => stored.has(build))).toBe(true)
    await fleet.ended(early.id)
    expect((await fleet.attempts(early.id))[0]?.buildId).toBe(build)
    const desired = hosts[0]?.agent.answers.findLast(({ desired: wanted }) => wanted !== null)?.desired
    expect(desired?.settings.images).toEqual([{ name: build, engine: 'tart' }])
    await fleet.until(async () => (await kinds()).filter((kind) => kind === 'image.ready').length === 3)
    expect((await kinds()).slice(0, 5)).toEqual([
      'image.recipeSet',
      'image.build.started',
      'image.build.candidate',
      'image.build.validated',
      'image.promoted',
    ])
    const [made] = await buildsOf()
    expect(made).toMatchObject({ state: 'promoted', name: 'bun-build-macos-15-1.2.17-bootstrap-3.6', requestedBy: 'cidery' })
    expect(made?.pushTo).toEqual({ repository: registry, tags: [made?.name, 'latest'] })
  })

  it('says nothing of images to hosts of a fleet that manages none', async () => {
    fleet = await startFleet()
    const agent = await fleet.agent('mini-1')
    await fleet.until(async () => agent.answers.some(({ desired }) => desired !== null))
    for (const { desired, acknowledged } of agent.answers) {
      expect(Object.keys(desired ?? {})).not.toContain('images')
      expect(Object.keys(acknowledged)).not.toContain('builds')
    }
  })

  it('a changed recipe is built once and takes over; a roll back brings the older one back at once, and for good [000-04] [001-25]', async () => {
    fleet = await startFleet({ spec: specOf() })
    await mac('mini-1')
    await mac('mini-2')
    await give('one')
    await fleet.until(async () => (await promoted()) !== null, 5 * minute)
    const first = await promoted()
    expect((await give('one')).changed).toBe(false)
    await give('two')
    await fleet.until(async () => (await promoted()) !== first, 5 * minute)
    const second = await promoted()
    expect((await line()).lastGood).toBe(first)
    await write((tx) => rollBack(tx, 'macos-15', 'tests fail'))
    expect(await promoted()).toBe(first)
    await fleet.time.advance(10 * minute)
    expect(await promoted()).toBe(first)
    expect((await buildsOf()).map(({ id, state }) => [id, state])).toEqual([
      [second, 'retired'],
      [first, 'promoted'],
    ])
    const job = await fleet.submit()
    await fleet.ended(job.id)
    expect((await fleet.attempts(job.id))[0]?.buildId).toBe(first)
    await expect(write((tx) => rollBack(tx, 'macos-15', ''))).rejects.toMatchObject({ code: 'CONFLICT' })
    await write((tx) => promoteByHand(tx, 'macos-15', second ?? ''))
    expect(await promoted()).toBe(second)
    expect(await kinds()).toContain('image.rolledBack')
  })

  it('a build that failed is tried again later, and another recipe at once [000-48]', async () => {
    fleet = await startFleet({ spec: specOf() })
    const host = await mac('mini-1', { ends: { state: 'failed', reason: 'the registry does not answer', retry: 'soon' } })
    await give()
    await fleet.until(async () => (await line()).failure?.count === 1, 3 * minute)
    await fleet.time.advance(4 * minute)
    expect(host.builds).toHaveLength(1)
    await fleet.until(async () => (await line()).failure?.count === 2, 5 * minute)
    expect((await buildsOf())[0]).toMatchObject({ state: 'failed', reason: 'the registry does not answer' })
    await give('another')
    await fleet.until(async () => host.builds.length === 3, 10_000)
  })

  it('a person ends a build, and has one made though nothing changed', async () => {
    fleet = await startFleet({ spec: specOf() })
    const host = await mac('mini-1', { ends: { state: 'failed', reason: 'cancelled by user:alice' } })
    await give()
    await fleet.until(async () => host.builds.length === 1)
    await write((tx) => cancelBuild(tx, host.builds[0] ?? ''))
    await fleet.time.settle()
    const wanted = host.agent.answers.findLast(({ desired }) => desired !== null)?.desired?.images?.builds
    expect(wanted).toMatchObject([{ want: 'cancel', cancelBy: 'user:alice' }])
    await fleet.time.advance(hour)
    expect(host.builds).toHaveLength(1)
    await write((tx) => askForBuild(tx, 'macos-15', true))
    await fleet.until(async () => host.builds.length === 2)
    expect((await buildsOf())[0]).toMatchObject({ requestedBy: 'user:alice', fromBase: true })
  })

  it('the build of a host that went away ends by the rule of attempts, and another host makes it [000-25]', async () => {
    fleet = await startFleet({ spec: specOf() })
    const first = await mac('mini-1')
    await give()
    await fleet.until(async () => first.builds.length === 1)
    first.agent.kill()
    const second = await mac('mini-2')
    await fleet.time.advance(30 * minute)
    expect(second.builds).toEqual([])
    await fleet.until(async () => second.builds.length === 1, 20 * minute)
    expect((await buildsOf()).map(({ state }) => state)).toEqual(['building', 'failed'])
  })

  it('a line that starts from another waits for it, and is built anew when that changes', async () => {
    const images = {
      base: { engine: 'tart', recipe: 'base.yaml', registry },
      'macos-15': { engine: 'tart', recipe: 'macos-15.yaml', registry },
    }
    fleet = await startFleet({ spec: specOf({}, { images }) })
    await mac('mini-1')
    await give('true', 'macos-15', { base: { image: 'base' } })
    expect((await line()).recipe?.identity).toBeNull()
    await give('true', 'base')
    await fleet.until(async () => (await promoted()) !== null, 10 * minute)
    const before = (await line()).recipe?.identity
    const [build] = await buildsOf()
    expect(build?.baseBuild).toBe((await line('base')).promoted)
    await give('changed', 'base')
    await fleet.until(async () => (await line()).recipe?.identity !== before, 10 * minute)
    await fleet.until(async () => (await buildsOf()).length === 2, 10 * minute)
    await fleet.until(async () => (await buildsOf())[0]?.state === 'promoted', 10 * minute)
    expect((await buildsOf())[0]?.baseBuild).toBe((await line('base')).promoted)
  })

  it('a canary that fails more than the control is taken back by itself, with one event that says why, and running jobs finish [W-05]', async () => {
    const bad = new Set<string>()
    const script: Script = async ({ desired, reach }) => {
      reach('running')
      if (desired.build !== null && bad.has(desired.build))
        return { kind: 'infrastructure', part: 'boot', code: 'BOOT_FAILED', message: 'it does not boot' }
      return { kind: 'exited', code: 0 }
    }
    const canary = { share: 0.5, threshold: 0.2, jobs: 3 }
    fleet = await startFleet({ spec: specOf({ canary, rollout: { share: 1 } }) })
    await mac('mini-1', { script })
    await mac('mini-2', { script })
    await give('one')
    await fleet.until(async () => (await promoted()) !== null, 5 * minute)
    const good = await promoted()
    await give('two')
    await fleet.until(async () => (await buildsOf()).length === 2)
    bad.add((await buildsOf())[0]?.id ?? '')
    await fleet.until(async () => (await line()).canary !== null, 5 * minute)
    const jobs = []
    for (let round = 0; round < 12 && (await line()).canary !== null; round += 1) {
      jobs.push(await fleet.submit())
      await fleet.time.advance(minute)
    }
    expect(await line()).toMatchObject({ canary: null, promoted: good, rejected: [(await buildsOf())[0]?.id] })
    for (const { id } of jobs) expect((await fleet.ended(id, 30 * minute)).outcome).toEqual({ kind: 'exited', code: 0 })
    expect((await kinds()).filter((kind) => kind === 'image.rolledBack')).toHaveLength(1)
    expect((await buildsOf())[0]).toMatchObject({ state: 'retired', reason: expect.stringContaining('of its 3 attempts failed') })
  })

  it('what a person forces on a host holds there until it expires [000-40] [000-41]', async () => {
    fleet = await startFleet({ spec: specOf() })
    await mac('mini-1')
    await give()
    await fleet.until(async () => (await promoted()) !== null, 5 * minute)
    const expiresAt = fleet.time.clock.now() + hour
    await write((tx) => forceReadiness(tx, { host: 'mini-1', image: 'macos-15', ready: false, reason: 'a bad disk', expiresAt }))
    const job = await fleet.submit()
    await fleet.time.advance(30 * minute)
    expect((await fleet.job(job.id)).state).toBe('queued')
    await fleet.until(async () => (await fleet.job(job.id)).state === 'ended', 40 * minute)
    const { id } = await fleet.host('mini-1')
    await fleet.until(async () => (await kinds()).includes('image.forceCleared'))
    expect((await fleet.core.recorder.read((db) => imagesOfHosts(db, [id]))).get(id)?.states[0]?.forced).toBeNull()
  })

  it('an image that went missing on a host is noticed with its next facts and brought back [000-17]', async () => {
    fleet = await startFleet({ spec: specOf() })
    const host = await mac('mini-1')
    const other = await mac('mini-2')
    await give()
    await fleet.until(async () => (await promoted()) !== null && host.stored.size + other.stored.size === 2, 10 * minute)
    host.stored.clear()
    await host.agent.tell()
    await fleet.until(async () => host.stored.size === 1, minute)
    expect(await buildsOf()).toHaveLength(1)
  })

  it('a scheduled build is seen to once, with two controllers, and when one takes over from the other [001-16]', async () => {
    const spec = specOf({ schedule: { cron: '0 * * * *' } })
    fleet = await startFleet({ spec, others: true })
    await mac('mini-1')
    await give()
    await fleet.until(async () => (await promoted()) !== null, 5 * minute)
    const { time, store, blobs, board } = fleet
    const second = await startFleet({ time, store, blobs, board, spec, seed: 2, others: true })
    const skipped = async () => (await kinds()).filter((kind) => kind === 'image.build.skipped').length
    await fleet.until(async () => (await skipped()) > 0, hour)
    await time.advance(5 * minute)
    expect(await skipped()).toBe(1)
    await fleet.crash()
    board.core = second.core
    await second.until(() => Promise.resolve(second.core.lead.leads()), minute)
    await time.advance(5 * minute)
    expect(await skipped()).toBe(1)
    expect(await buildsOf()).toHaveLength(1)
    await second.stop()
    expect(second.faults).toEqual([])
  }, 120_000)
})
