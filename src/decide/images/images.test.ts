import { describe, expect, it } from 'vitest'
import {
  imageSpec,
  linePolicy,
  makeBuild,
  makeHostImages,
  makeLine,
  makeMac,
  makeRecipe,
  macFacts,
  storedImage,
} from '../../../test/decide/build-images.ts'
import { idOf, makeAttempt, makeEngine, makeJob, makeWorld, provenReady, start, type Things } from '../../../test/decide/build-world.ts'
import { the } from '../../../test/doubles/the.ts'
import type { ImageOnHost } from '../../model/image/line.ts'
import { day, hour, minute } from '../../model/instant.ts'
import type { Plan, Step } from '../../model/plan.ts'
import type { Spec } from '../../model/spec.ts'
import { checkPlan } from '../check-plan.ts'
import { decide } from '../decide.ts'

function planOf(spec: Spec, things: Things, now = start): Plan {
  const world = makeWorld(things)
  const plan = decide(spec, world, now)
  expect(checkPlan(plan, { spec, world, now })).toEqual([])
  return plan
}

function stepsOf<K extends Step['kind']>(plan: Plan, kind: K) {
  return plan.steps.filter((step): step is Extract<Step, { kind: K }> => step.kind === kind)
}

const codesOf = (plan: Plan, image = 'macos-15') =>
  plan.waiting.filter(({ subject }) => subject === `image/${image}`).map(({ code }) => code)

const build = makeBuild(1)
const settledLine = makeLine({ promoted: build.id })
/** The image is everywhere, and told of. */
function settled(count: number): Things {
  const hosts = Array.from({ length: count }, (_, index) => makeMac(index + 1, [build.id]))
  const ready = (hostId: ImageOnHost['hostId']): ImageOnHost => ({
    hostId,
    image: 'macos-15',
    forced: null,
    readyBuild: build.id,
    readySince: start,
  })
  const hostImages = new Map(hosts.map((host) => [host.id as string, { ...makeHostImages(host, [build]), states: [ready(host.id)] }]))
  return { hosts, builds: [build], images: [settledLine], hostImages }
}

describe('who builds what', () => {
  it('a missing image is built on one host, and by no other while it is [000-03] [000-16]', () => {
    const hosts = [1, 2, 3].map((number) => makeMac(number, []))
    const plan = planOf(imageSpec(), { hosts, images: [makeLine()] })
    expect(stepsOf(plan, 'startBuild')).toHaveLength(1)
    expect(stepsOf(plan, 'startBuild')[0]).toMatchObject({ image: 'macos-15', why: 'there is no build of it', fromBase: false })
    const underWay = makeBuild(1, { state: 'building', endedAt: null })
    const next = planOf(imageSpec(), { hosts, images: [makeLine()], builds: [underWay] })
    expect(stepsOf(next, 'startBuild')).toEqual([])
    expect(codesOf(next)).toEqual(['imageBuilding'])
  })

  it('a changed recipe makes the older build stale, which is built anew once and serves until then [000-04]', () => {
    const changed = makeLine({ promoted: build.id, recipe: makeRecipe({ generation: 2, version: '3.7', identity: 'identity-2' }) })
    const job = makeJob(1, { spec: imageSpec(), wants: { image: 'macos-15' } })
    const plan = planOf(imageSpec(), { ...settled(2), images: [changed], jobs: [job] })
    expect(stepsOf(plan, 'startBuild')).toMatchObject([{ why: 'its recipe or base changed', recipeGeneration: 2 }])
    expect(stepsOf(plan, 'assign')).toMatchObject([{ buildId: build.id }])
  })

  it('a line whose build failed leaves the others alone [000-05] [001-19]', () => {
    const spec = imageSpec({}, { images: { 'macos-13': linePolicy(), 'macos-14': linePolicy(), 'macos-15': linePolicy() } })
    const failure = { count: 1, at: start - minute, reason: 'no network', identity: 'identity-1', hostId: null, retry: 'soon' as const }
    const lines = [makeLine({ name: 'macos-13' }), makeLine({ name: 'macos-14', failure }), makeLine({ name: 'macos-15' })]
    const plan = planOf(spec, { hosts: [makeMac(1, []), makeMac(2, [])], images: lines })
    expect(stepsOf(plan, 'startBuild').map(({ image }) => image)).toEqual(['macos-13', 'macos-15'])
    expect(codesOf(plan, 'macos-14')).toEqual(['retryDelay'])
    expect(codesOf(plan, 'macos-13')).toEqual([])
  })

  it('two images build at once on one host when its slots allow it, and no third one [000-16] [000-56]', () => {
    const spec = imageSpec({}, { images: { a: linePolicy(), b: linePolicy(), c: linePolicy() } })
    const lines = ['a', 'b', 'c'].map((name) => makeLine({ name }))
    const plan = planOf(spec, { hosts: [makeMac(1, [])], images: lines })
    expect(stepsOf(plan, 'startBuild').map(({ image, hostId }) => [image, hostId])).toEqual([
      ['a', idOf('host', 1)],
      ['b', idOf('host', 1)],
    ])
    expect(codesOf(plan, 'c')).toEqual(['imageNoHost'])
  })

  it('what a pool prefers is built first, and goes first where all else is even [000-57]', () => {
    const engines = { tart: { limits: 'advisory' } }
    const pools = { default: { engines, prefer: ['macos-14', 'macos-13'] } }
    const spec = imageSpec({}, { pools, images: { 'macos-13': linePolicy(), 'macos-14': linePolicy(), 'macos-12': linePolicy() } })
    const lines = ['macos-12', 'macos-13', 'macos-14'].map((name) => makeLine({ name }))
    const plan = planOf(spec, { hosts: [makeMac(1, [])], images: lines })
    expect(stepsOf(plan, 'startBuild').map(({ image }) => image)).toEqual(['macos-14', 'macos-13'])
    const two = { a: { hosts: ['mini-1'], engines }, b: { hosts: ['mini-2'], engines, prefer: ['x', 'macos-15'] } }
    const spec2 = imageSpec({}, { pools: two, images: { 'macos-15': linePolicy(), x: linePolicy() } })
    const job = makeJob(1, { spec: spec2, wants: { image: 'macos-15' } })
    // Pool b would rather keep its host for x.
    const placed = planOf(spec2, { ...settled(2), hosts: [makeMac(2, [build.id]), makeMac(1, [build.id])], jobs: [job] })
    expect(stepsOf(placed, 'assign')).toMatchObject([{ hostId: idOf('host', 1) }])
  })

  it('a build never takes a slot that jobs wait for, and counts as one where it is [000-26]', () => {
    const spec = imageSpec({}, { images: { 'macos-15': linePolicy(), other: linePolicy() } })
    const jobs = [1, 2, 3].map((number) => makeJob(number, { spec, wants: { image: 'macos-15', shape: { cpu: 1 } } }))
    const things = { ...settled(1), images: [settledLine, makeLine({ name: 'other' })] }
    const full = planOf(spec, { ...things, jobs })
    expect(stepsOf(full, 'assign')).toHaveLength(2)
    expect(stepsOf(full, 'startBuild')).toEqual([])
    const underWay = makeBuild(7, { image: 'other', state: 'building', endedAt: null })
    const beside = planOf(spec, { ...things, jobs, builds: [build, underWay] })
    expect(stepsOf(beside, 'assign')).toHaveLength(1)
  })

  it('a job of a ready image starts while another image is built on the same host [000-14]', () => {
    const spec = imageSpec({}, { images: { 'macos-15': linePolicy(), other: linePolicy() } })
    const job = makeJob(1, { spec, wants: { image: 'macos-15' } })
    const plan = planOf(spec, { ...settled(1), images: [settledLine, makeLine({ name: 'other' })], jobs: [job] })
    expect(plan.steps.map(({ kind }) => kind)).toEqual(['assign', 'startBuild'])
  })

  it('a host that does not look after an image neither builds nor fetches it, nor gets its jobs [000-33]', () => {
    const engines = { tart: { limits: 'advisory' } }
    const pools = { a: { hosts: ['mini-1'], engines, images: [] }, b: { hosts: ['mini-2'], engines, images: ['macos-15'] } }
    const spec = imageSpec({}, { pools })
    const missing = planOf(spec, { hosts: [makeMac(1, []), makeMac(2, [])], images: [makeLine()] })
    expect(stepsOf(missing, 'startBuild')).toMatchObject([{ hostId: idOf('host', 2) }])
    const job = makeJob(1, { spec, wants: { image: 'macos-15' } })
    const hosts = [makeMac(1, [build.id]), makeMac(2, [])]
    const there = planOf(spec, { hosts, images: [settledLine], builds: [build], jobs: [job] })
    expect(stepsOf(there, 'assign')).toEqual([])
    expect(stepsOf(there, 'holdBuild')).toMatchObject([{ hostId: idOf('host', 2), fetch: true }])
    // One that came from another pool gives up what it had.
    const hostImages = new Map([[the(hosts[0]).id as string, makeHostImages(the(hosts[0]), [build])]])
    expect(stepsOf(planOf(spec, { hosts, images: [settledLine], builds: [build], hostImages }), 'dropHold')).toHaveLength(1)
  })

  it('a build that takes too long ends as a failure of its time, and one whose host is gone by the rule of attempts [000-25]', () => {
    const underWay = makeBuild(1, { state: 'building', endedAt: null, createdAt: start - 14 * hour })
    const late = planOf(imageSpec(), { hosts: [makeMac(1, [])], images: [makeLine()], builds: [underWay] })
    expect(stepsOf(late, 'endBuild')).toMatchObject([{ reason: 'build_failed: timeout: it took longer than 12h' }])
    const young = { ...underWay, createdAt: start - hour }
    const rebooted = planOf(imageSpec(), { hosts: [makeMac(1, [], { bootId: 'boot-2' })], images: [makeLine()], builds: [young] })
    expect(stepsOf(rebooted, 'endBuild')).toMatchObject([{ reason: 'mini-1 was restarted while it was built' }])
    const silent = (ms: number) => ({
      hosts: [makeMac(1, [], { state: 'lost', lastSeenAt: start - ms })],
      images: [makeLine()],
      builds: [young],
    })
    expect(stepsOf(planOf(imageSpec(), silent(20 * minute)), 'endBuild')).toEqual([])
    expect(stepsOf(planOf(imageSpec(), silent(35 * minute)), 'endBuild')).toHaveLength(1)
  })

  it('what may go well another time is tried again, later each time; what cannot is not [000-48]', () => {
    const failed = (count: number, ago: number, retry: 'soon' | 'never' = 'soon') =>
      makeLine({ failure: { count, at: start - ago, reason: 'the registry does not answer', identity: 'identity-1', hostId: null, retry } })
    const starts = (line: ReturnType<typeof makeLine>) =>
      stepsOf(planOf(imageSpec(), { hosts: [makeMac(1, [])], images: [line] }), 'startBuild').length
    expect([starts(failed(1, 4 * minute)), starts(failed(1, 5 * minute))]).toEqual([0, 1])
    expect([starts(failed(3, 19 * minute)), starts(failed(3, 20 * minute))]).toEqual([0, 1])
    expect([starts(failed(60, 5.9 * hour)), starts(failed(60, 6 * hour))]).toEqual([0, 1])
    expect(starts(failed(1, 30 * day, 'never'))).toBe(0)
    // Another recipe is another try.
    expect(starts({ ...failed(1, 0, 'never'), recipe: makeRecipe({ identity: 'identity-2' }) })).toBe(1)
  })

  it('what a person asks for is built though nothing changed, only that line, and from the base when asked [000-47] [001-17] [001-88]', () => {
    const spec = imageSpec({}, { images: { 'macos-14': linePolicy(), 'macos-15': linePolicy() } })
    const other = makeBuild(2, { image: 'macos-14' })
    const asked = { ...settledLine, asked: { by: 'user:alice', at: start, fromBase: true } }
    const hosts = [makeMac(1, [build.id, other.id])]
    const things = { hosts, builds: [build, other], images: [makeLine({ name: 'macos-14', promoted: other.id }), asked] }
    const plan = planOf(spec, things)
    expect(stepsOf(plan, 'startBuild')).toMatchObject([{ image: 'macos-15', fromBase: true, why: 'asked for by user:alice' }])
  })

  it('the schedule builds what changed, once, and says so when nothing did [001-16] [001-18]', () => {
    const spec = imageSpec({ schedule: {} })
    const dayStart = Math.floor(start / day) * day
    const made = { ...build, createdAt: dayStart - hour }
    const things = (line: ReturnType<typeof makeLine>): Things => ({ ...settled(1), builds: [made], images: [line] })
    const before = planOf(spec, things(settledLine), dayStart + 2 * hour - 1)
    expect(stepsOf(before, 'skipBuild')).toEqual([])
    const unchanged = planOf(spec, things(settledLine), dayStart + 2 * hour)
    expect(stepsOf(unchanged, 'skipBuild')).toMatchObject([{ why: 'recipe and base are unchanged' }])
    expect(stepsOf(unchanged, 'startBuild')).toEqual([])
    const skipped = planOf(spec, things({ ...settledLine, scheduledAt: dayStart + 2 * hour }), dayStart + 3 * hour)
    expect([...stepsOf(skipped, 'skipBuild'), ...stepsOf(skipped, 'startBuild')]).toEqual([])
  })

  it('builds what floats from its base anew each night, and tells of an image that is too old', () => {
    const spec = imageSpec({ schedule: {}, maxAge: '30d' })
    const line = { ...settledLine, recipe: makeRecipe({ baseFloats: true }) }
    const old = { ...build, createdAt: start - 31 * day }
    const plan = planOf(spec, { ...settled(1), builds: [old], images: [line] })
    expect(stepsOf(plan, 'startBuild')).toMatchObject([{ fromBase: true }])
    expect(codesOf(plan)).toContain('imageOld')
  })

  it('a build that is nowhere any more is built again [000-17]', () => {
    const lonely = { ...build, reference: null }
    const hosts = [makeMac(1, [])]
    const plan = planOf(imageSpec(), {
      hosts,
      builds: [lonely],
      images: [settledLine],
      hostImages: new Map([[the(hosts[0]).id as string, makeHostImages(the(hosts[0]), [lonely])]]),
    })
    expect(stepsOf(plan, 'startBuild')).toMatchObject([{ why: 'its build is nowhere any more' }])
  })

  it('says that a recipe is not there, or that its base is not', () => {
    const plan = planOf(imageSpec(), { hosts: [makeMac(1, [])] })
    expect(plan.waiting.find(({ subject }) => subject === 'image/macos-15')).toMatchObject({
      code: 'imageNoRecipe',
      message: 'the recipe of macos-15 (macos-15.yaml) has not been sent to the controller',
    })
    const line = makeLine({ recipe: makeRecipe({ identity: null, baseImage: 'base' }) })
    expect(planOf(imageSpec(), { hosts: [makeMac(1, [])], images: [line] }).waiting[0]?.message).toContain('starts from base')
  })
})

describe('how builds come to hosts', () => {
  const next = makeBuild(2, { state: 'validated', identity: 'identity-2', createdAt: start - minute })
  const rolling = makeLine({ promoted: build.id, recipe: makeRecipe({ identity: 'identity-2' }) })

  it('a wave at a time, its bandwidth shared, the promoted build first [W-03]', () => {
    const spec = imageSpec({ rollout: { wave: 3, bandwidth: '300MiB' } })
    const hosts = [makeMac(1, [build.id, next.id]), ...[2, 3, 4, 5].map((number) => makeMac(number, [build.id])), makeMac(6, [])]
    const plan = planOf(spec, { hosts, builds: [build, next], images: [rolling] })
    const fetches = stepsOf(plan, 'holdBuild').filter(({ fetch }) => fetch)
    expect(fetches.map(({ hostId, buildId }) => [hostId, buildId])).toEqual([
      [idOf('host', 6), build.id],
      [idOf('host', 2), next.id],
      [idOf('host', 3), next.id],
    ])
    expect(fetches.map(({ bandwidth }) => bandwidth)).toEqual([100 * 1024 ** 2, 100 * 1024 ** 2, 100 * 1024 ** 2])
    expect(codesOf(plan)).toEqual(['imageRollout', 'imageRollout'])
  })

  it('who fetches keeps its turn until it has the build, and the next comes after [W-03]', () => {
    const spec = imageSpec({ rollout: { wave: 1 } })
    const hosts = [makeMac(1, [build.id, next.id]), makeMac(2, [build.id]), makeMac(3, [build.id])]
    const at = (index: number) => the(hosts[index])
    const hostImages = new Map([
      [at(0).id as string, makeHostImages(at(0), [build, next])],
      [at(1).id as string, makeHostImages(at(1), [build], [next])],
      [at(2).id as string, makeHostImages(at(2), [build])],
    ])
    const things: Things = { hosts, builds: [build, next], images: [rolling], hostImages }
    expect(stepsOf(planOf(spec, things), 'holdBuild')).toEqual([])
    const arrived = { ...things, hosts: [at(0), makeMac(2, [build.id, next.id]), at(2)] }
    expect(stepsOf(planOf(spec, arrived), 'holdBuild').map(({ hostId, fetch }) => [hostId, fetch])).toEqual([
      [idOf('host', 2), false],
      [idOf('host', 3), true],
    ])
  })

  it('jobs go on with the old build until enough hosts have the new one proved ready [W-03] [001-24]', () => {
    const spec = imageSpec({ rollout: { share: 0.75 } })
    const job = makeJob(1, { spec, wants: { image: 'macos-15' } })
    const both = (count: number) => [1, 2, 3, 4].map((number) => makeMac(number, number <= count ? [build.id, next.id] : [build.id]))
    const two = planOf(spec, { hosts: both(2), builds: [build, next], images: [rolling], jobs: [job] })
    expect(stepsOf(two, 'promoteBuild')).toEqual([])
    expect(stepsOf(two, 'assign')).toMatchObject([{ buildId: build.id }])
    expect(two.waiting.find(({ subject, message }) => subject === 'image/macos-15' && message.includes('not promoted yet'))?.message).toBe(
      'macos-15-2 is not promoted yet: 2 of 4 hosts have it, proved ready; 3 are enough; jobs go on with macos-15-1',
    )
    expect(stepsOf(planOf(spec, { hosts: both(3), builds: [build, next], images: [rolling] }), 'promoteBuild')).toMatchObject([
      { buildId: next.id },
    ])
  })

  it('a build that is there and not proved does not count', () => {
    const unproved = makeMac(1, [build.id], { facts: macFacts([build.id, next.id], { readiness: [provenReady('tart', build.id)] }) })
    expect(stepsOf(planOf(imageSpec(), { hosts: [unproved], builds: [build, next], images: [rolling] }), 'promoteBuild')).toEqual([])
  })

  it('keeps what jobs get, could go back to or run on, and gives up what is none of that', () => {
    const [old, good, gone, pinned] = [3, 4, 5, 6].map((number) =>
      makeBuild(number, { state: 'retired', identity: `old-${number}`, createdAt: start - 90 * day + number, endedAt: start - 90 * day }),
    ) as [typeof build, typeof build, typeof build, typeof build]
    const host = makeMac(1, [build.id, old.id, good.id, gone.id, pinned.id])
    const job = makeJob(1, { spec: imageSpec(), wants: { image: 'macos-15' }, changes: { state: 'running' } })
    const attempt = makeAttempt(1, { job, host }, { buildId: old.id })
    const pin = { ...pinned, pinnedBy: 'user:alice' }
    const builds = [build, old, good, gone, pin]
    const line = { ...settledLine, lastGood: good.id }
    const hostImages = new Map([[host.id as string, makeHostImages(host, builds)]])
    const plan = planOf(imageSpec({ retention: { age: '1d', count: 1 } }), {
      hosts: [host],
      builds,
      images: [line],
      jobs: [job],
      attempts: [attempt],
      hostImages,
    })
    expect(stepsOf(plan, 'dropHold').map(({ buildId }) => buildId)).toEqual([gone.id])
    expect(stepsOf(plan, 'removeBuild').map(({ buildId }) => buildId)).toEqual([gone.id])
  })

  it('removes builds by age and count, and none that a sandbox is a clone of [001-26]', () => {
    const retired = [3, 4, 5].map((number) =>
      makeBuild(number, {
        state: 'retired',
        identity: `old-${number}`,
        createdAt: start - (10 - number) * day,
        endedAt: start - (10 - number) * day,
      }),
    )
    const [oldest] = retired
    const things = { ...settled(1), builds: [...retired, build] }
    const spec = imageSpec({ retention: { age: '5d', count: 2 } })
    expect(stepsOf(planOf(spec, things), 'removeBuild').map(({ buildId }) => buildId)).toEqual([oldest?.id, retired[1]?.id])
    const facts = macFacts([build.id], { storedImages: [storedImage(build.id), storedImage(oldest?.id ?? '', { users: ['att_1'] })] })
    const used = { ...things, hosts: [makeMac(1, [build.id], { facts })] }
    expect(stepsOf(planOf(spec, used), 'removeBuild').map(({ buildId }) => buildId)).toEqual([retired[1]?.id])
  })

  it('refuses a fetch that has no room when all has gone that may, and says the numbers', () => {
    const facts = macFacts([], { free: { cpu: 8, memoryMiB: 16_384, diskMiB: 500 } })
    const host = makeMac(1, [], { facts })
    const plan = planOf(imageSpec(), { hosts: [makeMac(2, [build.id]), host], builds: [build], images: [settledLine] })
    expect(stepsOf(plan, 'holdBuild').filter(({ fetch }) => fetch)).toEqual([])
    expect(plan.waiting.find(({ code }) => code === 'imageDiskLow')?.message).toBe(
      'mini-1 cannot take macos-15-1: it needs 1024 MiB, and 500 MiB are free with nothing more to remove',
    )
  })

  it('gives a turn to others when one takes too long, and comes back later each time', () => {
    const host = makeMac(1, [])
    const fetching = (since: number, tries: number, fetch = true) => {
      const { holds } = makeHostImages(host, [], [build])
      return new Map([[host.id as string, { holds: holds.map((hold) => ({ ...hold, since, tries, fetch })), states: [] }]])
    }
    const plan = (hostImages: Things['hostImages']) =>
      stepsOf(
        planOf(imageSpec(), { hosts: [host], builds: [build], images: [settledLine], ...(hostImages === undefined ? {} : { hostImages }) }),
        'holdBuild',
      )
    expect(plan(fetching(start - 29 * minute, 0))).toEqual([])
    expect(plan(fetching(start - 30 * minute, 0))).toMatchObject([{ fetch: false, tries: 1 }])
    expect(plan(fetching(start - 59_000, 1, false))).toEqual([])
    expect(plan(fetching(start - minute, 1, false))).toMatchObject([{ fetch: true, tries: 1 }])
    expect(plan(fetching(start - 3 * minute, 3, false))).toEqual([])
  })

  it('opens a roll-out with its window, and never keeps back what jobs get already', () => {
    const spec = imageSpec({ schedule: { windows: [{ start: '0 2 * * *', for: '2h' }] } })
    const dayStart = Math.floor(start / day) * day
    const things = (seen: number): Things => {
      const facts = (builds: readonly string[]) =>
        macFacts(builds, { at: seen, readiness: builds.map((id) => provenReady('tart', id, seen)) })
      const hosts = [
        makeMac(1, [build.id, next.id], { lastSeenAt: seen, facts: facts([build.id, next.id]) }),
        makeMac(2, [build.id], { lastSeenAt: seen, facts: facts([build.id]) }),
        makeMac(3, [], { lastSeenAt: seen, facts: facts([]) }),
      ]
      return { hosts, builds: [build, next], images: [{ ...rolling, scheduledAt: seen }] }
    }
    const fetched = (now: number) =>
      stepsOf(planOf(spec, things(now), now), 'holdBuild')
        .filter(({ fetch }) => fetch)
        .map(({ buildId }) => buildId)
    expect(fetched(dayStart + hour)).toEqual([build.id])
    expect(fetched(dayStart + 3 * hour)).toEqual([build.id, next.id])
  })

  it('says that a build in no registry stays where it was built', () => {
    const lonely = { ...build, reference: null, pushSkipped: 'no credentials' }
    const plan = planOf(imageSpec(), { hosts: [makeMac(1, [build.id]), makeMac(2, [])], builds: [lonely], images: [settledLine] })
    expect(plan.waiting.find(({ code }) => code === 'imageNotShared')?.message).toBe(
      'macos-15-1 is on the host that built it alone: it is in no registry (no credentials)',
    )
  })
})

describe('what jobs get', () => {
  const next = makeBuild(2, { state: 'validated', identity: 'identity-2', createdAt: start - minute })
  const host = makeMac(1, [build.id, next.id])
  const canaryLine = (ended = {}) =>
    makeLine({
      promoted: build.id,
      recipe: makeRecipe({ identity: 'identity-2' }),
      canary: {
        buildId: next.id,
        startedAt: start,
        assigned: { canary: 0, control: 0 },
        ended: { canary: { jobs: 0, failures: 0 }, control: { jobs: 0, failures: 0 }, ...ended },
      },
    })

  it('a forced state holds whatever was seen, until it expires, but does not bring an image that is missing [000-40] [000-41]', () => {
    const spec = imageSpec()
    const job = makeJob(1, { spec, wants: { image: 'macos-15' } })
    const stale = makeMac(1, [build.id], { facts: macFacts([build.id], { readiness: [] }) })
    const assigned = (ready: boolean, on: typeof stale, expiresAt: number | null = null) => {
      const forced = { ready, by: 'user:alice', at: start, reason: 'Forced ready by admin', expiresAt }
      const state = { hostId: on.id, image: 'macos-15', forced, readyBuild: null, readySince: null }
      const hostImages = new Map([[on.id as string, { holds: [], states: [state] }]])
      return stepsOf(planOf(spec, { hosts: [on], builds: [build], images: [settledLine], jobs: [job], hostImages }), 'assign').length
    }
    expect(assigned(true, stale)).toBe(1)
    expect(assigned(true, stale, start)).toBe(0)
    expect(assigned(true, makeMac(1, []))).toBe(0)
    expect(assigned(false, makeMac(1, [build.id]))).toBe(0)
    expect(assigned(false, makeMac(1, [build.id]), start)).toBe(1)
  })

  it('of hosts that have the image ready, the least loaded gets the job, whatever its size', () => {
    const spec = imageSpec()
    const small = makeMac(1, [build.id], { facts: macFacts([build.id], { capacity: { cpu: 4, memoryMiB: 8192, diskMiB: 200_000 } }) })
    const large = makeMac(2, [build.id], {
      facts: macFacts([build.id], {
        capacity: { cpu: 12, memoryMiB: 65_536, diskMiB: 200_000 },
        engines: [makeEngine('tart', { slots: 4 })],
      }),
    })
    const unready = makeMac(3, [])
    const jobs = [1, 2, 3].map((number) => makeJob(number, { spec, wants: { image: 'macos-15', shape: { cpu: 2, memoryMiB: 4096 } } }))
    const plan = planOf(spec, { hosts: [small, large, unready], builds: [build], images: [settledLine], jobs })
    expect(stepsOf(plan, 'assign').map(({ hostId }) => hostId)).toEqual([small.id, large.id, large.id])
  })

  it('never gives a job a build of an image that was not promoted', () => {
    const spec = imageSpec()
    const job = makeJob(1, { spec, wants: { image: 'macos-15' } })
    const candidate = { ...next, state: 'candidate' as const, flakiness: { passedRounds: 2, rounds: 3, passes: {}, promoted: false } }
    const plan = planOf(spec, {
      hosts: [host],
      builds: [candidate],
      images: [makeLine({ recipe: makeRecipe({ identity: 'identity-2' }) })],
      jobs: [job],
    })
    expect(stepsOf(plan, 'assign')).toEqual([])
    expect(stepsOf(plan, 'promoteBuild')).toEqual([])
    expect(codesOf(plan)).toContain('imageFlaky')
    expect(plan.waiting.find(({ code }) => code === 'imageMissing')?.cure).toBe('cidery explain image/macos-15')
  })

  it('a canary takes its share of the jobs, never a job more, never one less than a whole job behind [W-05]', () => {
    const spec = imageSpec({ canary: { share: 0.1 } })
    const wide = makeMac(1, [build.id, next.id], {
      facts: macFacts([build.id, next.id], {
        capacity: { cpu: 100, memoryMiB: 1024 ** 2, diskMiB: 10_000_000 },
        free: { cpu: 100, memoryMiB: 1024 ** 2, diskMiB: 10_000_000 },
        engines: [makeEngine('tart', { slots: 60 })],
      }),
    })
    const jobs = Array.from({ length: 55 }, (_, index) => makeJob(index + 1, { spec, wants: { image: 'macos-15' } }))
    const assigned = stepsOf(planOf(spec, { hosts: [wide], builds: [build, next], images: [canaryLine()], jobs }), 'assign')
    expect(assigned).toHaveLength(55)
    let canary = 0
    for (const [index, { buildId }] of assigned.entries()) {
      if (buildId === next.id) canary += 1
      expect(Math.abs(canary - (index + 1) * 0.1)).toBeLessThanOrEqual(1)
    }
    expect(canary).toBe(5)
  })

  it('all jobs on hosts by name get the canary, and no others [W-05]', () => {
    const spec = imageSpec({ canary: { hosts: ['mini-2'] } })
    const jobs = [1, 2].map((number) => makeJob(number, { spec, wants: { image: 'macos-15', labels: { host: `mini-${number}` } } }))
    const hosts = [1, 2].map((number) => makeMac(number, [build.id, next.id]))
    const assigned = stepsOf(planOf(spec, { hosts, builds: [build, next], images: [canaryLine()], jobs }), 'assign')
    expect(new Map(assigned.map(({ jobId, buildId }) => [jobId, buildId]))).toEqual(
      new Map([
        [jobs[0]?.id, build.id],
        [jobs[1]?.id, next.id],
      ]),
    )
  })

  it('a canary begins before the promotion, ends with it when it is no worse than the control, and is taken back when it is [W-05]', () => {
    const spec = imageSpec({ canary: { share: 0.1, threshold: 0.1, jobs: 5 } })
    const before = makeLine({ promoted: build.id, recipe: makeRecipe({ identity: 'identity-2' }) })
    const kinds = (line: typeof before) =>
      planOf(spec, { hosts: [host], builds: [build, next], images: [line] }).steps.flatMap(({ kind }) =>
        /Canary|promote/.test(kind) ? [kind] : [],
      )
    expect(kinds(before)).toEqual(['startCanary'])
    const ended = (jobs: number, failures: number, control = { jobs: 100, failures: 2 }) =>
      canaryLine({ canary: { jobs, failures }, control })
    expect(kinds(ended(4, 4))).toEqual([])
    expect(kinds(ended(5, 0))).toEqual(['promoteBuild'])
    expect(kinds(ended(10, 1))).toEqual(['promoteBuild'])
    expect(kinds(ended(5, 1))).toEqual(['rollBackCanary'])
    // The others fail as well: it is not the image.
    expect(kinds(ended(5, 1, { jobs: 10, failures: 2 }))).toEqual(['promoteBuild'])
    const step = planOf(spec, { hosts: [host], builds: [build, next], images: [ended(5, 2)] }).steps.find(
      ({ kind }) => kind === 'rollBackCanary',
    )
    expect(step).toMatchObject({
      why: '2 of its 5 attempts failed by a fault of the infrastructure, and 2 of 100 of the others: more than 10 % apart',
    })
  })

  it('does not promote by itself what was taken back, nor build it again [001-25]', () => {
    const retired = { ...next, state: 'retired' as const, reason: 'it failed' }
    const line = makeLine({ promoted: build.id, recipe: makeRecipe({ identity: 'identity-2' }), rejected: [next.id] })
    const plan = planOf(imageSpec(), { hosts: [host], builds: [build, retired], images: [line] })
    expect([...stepsOf(plan, 'promoteBuild'), ...stepsOf(plan, 'startBuild')]).toEqual([])
    expect(codesOf(plan)).toContain('imageRejected')
    // A recipe that was only changed and changed back is another matter.
    expect(
      stepsOf(planOf(imageSpec(), { hosts: [host], builds: [build, retired], images: [{ ...line, rejected: [] }] }), 'promoteBuild'),
    ).toHaveLength(1)
  })

  it('tells once that an image is ready on a host, and once that it is so no longer', () => {
    const told = planOf(imageSpec(), { hosts: [makeMac(1, [build.id])], builds: [build], images: [settledLine] })
    expect(stepsOf(told, 'noteReady')).toMatchObject([{ build: build.id, before: null }])
    expect(stepsOf(planOf(imageSpec(), settled(1)), 'noteReady')).toEqual([])
    const gone = { ...settled(1), hosts: [makeMac(1, [])] }
    expect(stepsOf(planOf(imageSpec(), gone), 'noteReady')).toMatchObject([{ build: null, before: build.id }])
    // Silence proves nothing.
    const silent = { ...settled(1), hosts: [makeMac(1, [], { lastSeenAt: start - 40_000 })] }
    expect(stepsOf(planOf(imageSpec(), silent), 'noteReady')).toEqual([])
  })

  it('has nothing to do or to say where all is as it should be, and for a spec that manages no images', () => {
    const plan = planOf(imageSpec(), settled(3))
    expect(plan.steps).toEqual([])
    expect(plan.waiting).toEqual([])
    const unmanaged = imageSpec({}, { images: { 'macos-15': { engine: 'tart' } } })
    expect(planOf(unmanaged, settled(3)).steps).toEqual([])
  })
})
