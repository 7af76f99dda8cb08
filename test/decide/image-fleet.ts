import fc from 'fast-check'
import { advanceWorld, emptyWorld } from '../../src/decide/advance-world.ts'
import type { Host } from '../../src/model/host.ts'
import type { ImageBuild } from '../../src/model/image/build.ts'
import { emptyLine, type ImageLine } from '../../src/model/image/line.ts'
import { hour, minute } from '../../src/model/instant.ts'
import type { Job } from '../../src/model/job.ts'
import type { Change } from '../../src/model/world.ts'
import { the } from '../doubles/the.ts'
import { imageSpec, linePolicy, macFacts, makeBuild, makeHostImages, makeMac, makeRecipe, storedImage } from './build-images.ts'
import { changesOf, idOf, makeJob, provenReady, start } from './build-world.ts'
import { failBuild, finishBuild } from './carry-out-images.ts'
import type { Scene } from './carry-out.ts'

export const lineNames = ['macos-13', 'macos-14', 'macos-15'] as const
const hostCount = 5

/** What chance does to a fleet between two passes. */
export interface Turn {
  /** Hosts that get what they fetch. */
  readonly arrives: readonly boolean[]
  readonly builds: 'goOn' | 'succeed' | 'fail' | 'flaky'
  /** A host that loses a build behind everybody's back. */
  readonly loses: number | null
  /** A host that is restarted. */
  readonly reboots: number | null
  readonly minutes: number
}

export const someTurn: fc.Arbitrary<Turn> = fc.record({
  arrives: fc.array(fc.boolean(), { minLength: hostCount, maxLength: hostCount }),
  builds: fc.constantFrom<Turn['builds'][]>('goOn', 'succeed', 'succeed', 'fail', 'flaky'),
  loses: fc.option(fc.nat({ max: hostCount - 1 }), { freq: 3 }),
  reboots: fc.option(fc.nat({ max: hostCount - 1 }), { freq: 5 }),
  minutes: fc.constantFrom(0, 1, 31, 400),
})

/** Nothing goes wrong any more. */
export const calm: Turn = {
  arrives: Array.from({ length: hostCount }, () => true),
  builds: 'succeed',
  loses: null,
  reboots: null,
  minutes: 31,
}

interface LineStart {
  readonly state: 'missing' | 'ready' | 'stale' | 'rolling'
  readonly hasGood: boolean
  readonly asked: boolean
  readonly where: readonly boolean[]
}

const someLine: fc.Arbitrary<LineStart> = fc.record({
  state: fc.constantFrom<LineStart['state'][]>('missing', 'ready', 'stale', 'rolling'),
  hasGood: fc.boolean(),
  asked: fc.boolean(),
  where: fc.array(fc.boolean(), { minLength: hostCount, maxLength: hostCount }),
})

const somePolicy = fc.record({
  wave: fc.constantFrom(1, 2),
  bandwidth: fc.constantFrom(undefined, '100MiB'),
  share: fc.constantFrom(0.3, 0.5, 1),
  canary: fc.constantFrom(undefined, undefined, { share: 0.1, jobs: 2 }, { hosts: ['mini-1'], jobs: 1 }),
})

function policyOf({ wave, bandwidth, share, canary }: { wave: number; bandwidth: string | undefined; share: number; canary: unknown }) {
  return linePolicy({
    rollout: { wave, share, ...(bandwidth === undefined ? {} : { bandwidth }) },
    ...(canary === undefined ? {} : { canary }),
    retention: { age: '1d', count: 1 },
  })
}

/** A fleet of Macs with three lines, each in some state on each host, and some jobs. */
export const someFleet: fc.Arbitrary<Scene> = fc
  .record({
    policies: fc.tuple(somePolicy, somePolicy, somePolicy),
    lines: fc.tuple(someLine, someLine, someLine),
    slots: fc.constantFrom(1, 2),
    jobs: fc.array(fc.constantFrom(...lineNames), { maxLength: 6 }),
    cordoned: fc.option(fc.integer({ min: 1, max: hostCount - 1 })),
  })
  .map(({ policies, lines, slots, jobs, cordoned }) => {
    const images = Object.fromEntries(lineNames.map((name, index) => [name, policyOf(policies[index] as never)]))
    const engines = { tart: { limits: 'advisory', slots } }
    const pools = { default: { engines, prefer: ['macos-14'] } }
    const spec = imageSpec({}, { images, pools })
    const made = lineNames.map((name, index) => startOf(name, index * 10, the(lines[index])))
    const hosts = Array.from({ length: hostCount }, (_, index) => {
      const builds = made.flatMap(({ builds: ofLine, start: { where } }) => (where[index] ? ofLine : []))
      const host = makeMac(
        index + 1,
        builds.map(({ id }) => id),
      )
      return index === cordoned ? { ...host, schedulable: { kind: 'cordoned' as const, by: 'user:alice', at: start, reason: '' } } : host
    })
    const hostImages = new Map(
      hosts.map((host, index) => [
        host.id as string,
        makeHostImages(
          host,
          made.flatMap(({ builds, start: { where } }) => (where[index] ? builds : [])),
        ),
      ]),
    )
    const queued = jobs.map((image, index) => makeJob(index + 1, { spec, wants: { image, shape: { cpu: 1 } } }))
    const things = { hosts, jobs: queued, builds: made.flatMap(({ builds }) => builds), images: made.map(({ line }) => line), hostImages }
    const world = advanceWorld(emptyWorld(start - hour), changesOf(things), spec)
    return { spec, world, jobs: new Map(queued.map((job): [string, Job] => [job.id, job])), now: start, made: 0 }
  })

function startOf(name: string, from: number, state: LineStart): { line: ImageLine; builds: ImageBuild[]; start: LineStart } {
  const wanted = `${name}-wanted`
  const builds: ImageBuild[] = []
  const add = (changes: Partial<ImageBuild>): ImageBuild => {
    const number = from + builds.length + 1
    const build = makeBuild(number, { image: name, identity: wanted, ...changes, id: idOf('bld', number) })
    builds.push(build)
    return build
  }
  const good = state.hasGood ? add({ state: 'retired', identity: 'ancient' }) : null
  const promoted = state.state === 'missing' ? null : add({ identity: state.state === 'ready' ? wanted : 'older' })
  if (state.state === 'rolling') add({ state: 'validated' })
  const asked = state.asked ? { by: 'user:alice', at: start, fromBase: true } : null
  const recipe = makeRecipe({ identity: wanted })
  const line = {
    ...emptyLine(name),
    generation: 1,
    recipe,
    promoted: promoted?.id ?? null,
    lastGood: promoted === null ? null : (good?.id ?? null),
    asked,
  }
  return { line, builds, start: state }
}

/** What hosts do and chance does, as the world hears of it. */
export function passTime(scene: Scene, turn: Turn): Scene {
  const now = scene.now + turn.minutes * minute
  let next: Scene = { ...scene, now }
  for (const build of next.world.builds.values()) next = advance(next, moveBuild(next, build, turn))
  next = advance(next, endJobs(next))
  for (const [index, host] of [...next.world.hosts.values()].entries()) next = advance(next, report(next, host, { index, turn }))
  return next
}

function advance(scene: Scene, changes: readonly Change[]): Scene {
  const jobs = new Map(scene.jobs)
  for (const change of changes) if (change.of === 'job' && change.job !== null) jobs.set(change.id, change.job)
  return { ...scene, jobs, world: advanceWorld(scene.world, changes, scene.spec) }
}

function moveBuild(scene: Scene, build: ImageBuild, { builds }: Turn): Change[] {
  if (build.state !== 'building' || builds === 'goOn') return []
  if (builds === 'fail') return failBuild(scene, build, { reason: 'no network', retry: 'soon' })
  const number = build.id.slice(-4)
  const done = finishBuild(scene, build, `registry.test/acme/macos@sha256:${number.padStart(64, '0')}`)
  if (builds === 'succeed') return done
  return done.map((change) =>
    change.of === 'build' && change.build !== null ? { ...change, build: { ...change.build, state: 'candidate' as const } } : change,
  )
}

/** Jobs end with the next turn; those that tried a canary count for it. */
function endJobs(scene: Scene): Change[] {
  return [...scene.world.attempts.values()].flatMap(({ attempt }): Change[] => {
    const job = scene.jobs.get(attempt.jobId)
    if (job === undefined) return []
    const outcome = { kind: 'exited' as const, code: 0 }
    return [
      { of: 'attempt', id: attempt.id, attempt: { ...attempt, state: 'ended', outcome } },
      { of: 'job', id: job.id, job: { ...job, state: 'ended', outcome, endedAt: scene.now } },
      ...countEnded(scene, job.resolved.image, attempt.buildId),
    ]
  })
}

function countEnded({ world }: Scene, image: string | null, build: string | null): Change[] {
  const line = world.images.get(image ?? '')
  if (image === null || line === undefined || line.canary === null) return []
  const arm = build === line.canary.buildId ? 'canary' : 'control'
  const { ended } = line.canary
  const canary = { ...line.canary, ended: { ...ended, [arm]: { jobs: ended[arm].jobs + 1, failures: 0 } } }
  return [{ of: 'image', id: image, line: { ...line, canary } }]
}

function report(scene: Scene, host: Host, { index, turn }: { readonly index: number; readonly turn: Turn }): Change[] {
  const holds = scene.world.hostImages.get(host.id)?.holds ?? []
  const had = host.facts?.storedImages?.map(({ id }) => id) ?? []
  const built = [...scene.world.builds.values()].filter(({ state, origin, endedAt }) => {
    return state !== 'building' && endedAt === scene.now && origin.kind === 'built' && origin.hostId === host.id
  })
  const fetched = turn.arrives[index] ? holds.filter(({ fetch }) => fetch).map(({ buildId }) => buildId) : []
  const all = new Set<string>([...had, ...built.map(({ id }) => id), ...fetched])
  if (turn.loses === index) for (const id of [...all].slice(0, 1)) all.delete(id)
  const ids = [...all].toSorted()
  const facts = macFacts(ids, {
    at: scene.now,
    hostname: host.name,
    storedImages: ids.map((id) => storedImage(id)),
    readiness: [provenReady('user', null, scene.now), ...ids.map((id) => provenReady('tart', id, scene.now))],
  })
  const bootId = turn.reboots === index ? `boot-${scene.now}` : host.bootId
  return [{ of: 'host', id: host.id, host: { ...host, bootId, lastSeenAt: scene.now, facts } }]
}

/** Jobs that come, so that a canary can be judged; in another order each round, so that each gets to each host. */
export function moreJobs(scene: Scene, round: number): Scene {
  const changes = { submittedAt: scene.now, notBefore: scene.now }
  const jobs = lineNames.map((image, index) => {
    const number = 10_000 + round * 10 + ((index + round) % lineNames.length)
    return makeJob(number, { spec: scene.spec, wants: { image, shape: { cpu: 1 } }, changes })
  })
  return advance(
    scene,
    jobs.map((job): Change => ({ of: 'job', id: job.id, job })),
  )
}
