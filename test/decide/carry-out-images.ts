import type { HostId } from '../../src/model/id.ts'
import type { ImageBuild } from '../../src/model/image/build.ts'
import { forcedAt, emptyLine, type HostImages, type ImageHold, type ImageLine } from '../../src/model/image/line.ts'
import type { ImageStep } from '../../src/model/plan.ts'
import type { Spec } from '../../src/model/spec.ts'
import type { Change, World } from '../../src/model/world.ts'
import { makeBuild } from './build-images.ts'
import { idOf } from './build-world.ts'

interface Scene {
  readonly spec: Spec
  readonly world: World
  readonly now: number
  readonly made: number
}

type StepOf<K extends ImageStep['kind']> = Extract<ImageStep, { kind: K }>

/** What the record makes of a step of images, as changes of the world. */
export function imageChanges(scene: Scene, step: ImageStep): Change[] {
  switch (step.kind) {
    case 'startBuild':
      return startBuild(scene, step)
    case 'endBuild': {
      const build = known(scene.world.builds.get(step.buildId), step)
      return failBuild(scene, build, { reason: step.reason, retry: 'soon' })
    }
    case 'skipBuild':
      return [lineChange(scene, step.image, { scheduledAt: step.dueAt })]
    case 'holdBuild':
    case 'dropHold':
      return [holdChange(scene, step)]
    case 'promoteBuild':
      return promote(scene, step)
    case 'startCanary': {
      const none = { jobs: 0, failures: 0 }
      const buildId = known(scene.world.builds.get(step.buildId), step).id
      const ended = { canary: none, control: none }
      return [lineChange(scene, step.image, { canary: { buildId, startedAt: scene.now, assigned: { canary: 0, control: 0 }, ended } })]
    }
    case 'rollBackCanary': {
      const build = known(scene.world.builds.get(step.buildId), step)
      const { rejected } = lineOf(scene, step.image)
      return [
        buildChange({ ...build, state: 'retired', reason: step.why }),
        lineChange(scene, step.image, { canary: null, rejected: [...rejected, build.id] }),
      ]
    }
    case 'noteReady':
    case 'expireForced':
      return [stateChange(scene, step)]
    case 'removeBuild':
      return [{ of: 'build', id: step.buildId, build: null }]
  }
}

function known<T>(thing: T | undefined, step: ImageStep): T {
  if (thing === undefined) throw new Error(`${step.kind} of a thing that is not there: ${JSON.stringify(step)}`)
  return thing
}

function lineOf({ world }: Scene, image: string): ImageLine {
  return world.images.get(image) ?? emptyLine(image)
}

function lineChange(scene: Scene, image: string, change: Partial<ImageLine>): Change {
  const line = lineOf(scene, image)
  return { of: 'image', id: image, line: { ...line, ...change, generation: line.generation + 1 } }
}

function buildChange(build: ImageBuild): Change {
  return { of: 'build', id: build.id, build: { ...build, generation: build.generation + 1 } }
}

function startBuild(scene: Scene, step: StepOf<'startBuild'>): Change[] {
  const { world, now, made } = scene
  if ([...world.builds.values()].some(({ image, state }) => image === step.image && state === 'building'))
    throw new Error(`a second build of ${step.image}`)
  const line = lineOf(scene, step.image)
  const host = world.hosts.get(step.hostId)
  const build = makeBuild(1000 + made, {
    id: idOf('bld', 1000 + made),
    image: step.image,
    state: 'building',
    origin: { kind: 'built', hostId: step.hostId as HostId, hostBootId: host?.bootId ?? '' },
    identity: line.recipe?.identity ?? null,
    fromBase: step.fromBase,
    createdAt: now,
    endedAt: null,
    generation: 0,
  })
  const scheduled = step.dueAt === null ? {} : { scheduledAt: step.dueAt }
  return [buildChange(build), lineChange(scene, step.image, { asked: null, ...scheduled })]
}

/** The end of a build that did not work, as its host or a plan tells it. */
export function failBuild(scene: Scene, build: ImageBuild, why: { reason: string; retry: 'soon' | 'never' }): Change[] {
  const { failure } = lineOf(scene, build.image)
  const count = (failure?.identity === build.identity ? failure.count : 0) + 1
  const hostId = build.origin.kind === 'built' ? build.origin.hostId : null
  const after = { count, at: scene.now, reason: why.reason, identity: build.identity, hostId, retry: why.retry }
  return [
    buildChange({ ...build, state: 'failed', reason: why.reason, endedAt: scene.now }),
    lineChange(scene, build.image, { failure: after }),
  ]
}

/** The end of a build that worked, as its host tells it: with its bytes in the registry when there is one. */
export function finishBuild(scene: Scene, build: ImageBuild, reference: string | null): Change[] {
  const built = { ...build, state: 'validated' as const, reference, endedAt: scene.now, sizeBytes: 1024 ** 3 }
  const changes: Change[] = [buildChange(built), lineChange(scene, build.image, { failure: null })]
  if (build.origin.kind !== 'built') return changes
  const hold = {
    hostId: build.origin.hostId,
    buildId: build.id,
    image: build.image,
    fetch: false,
    bandwidth: null,
    since: scene.now,
    tries: 0,
  }
  return [...changes, withHold(scene, hold)]
}

function imagesOf({ world }: Scene, hostId: string): HostImages {
  return world.hostImages.get(hostId) ?? { holds: [], states: [] }
}

function withHold(scene: Scene, hold: ImageHold): Change {
  const images = imagesOf(scene, hold.hostId)
  const others = images.holds.filter(({ buildId }) => buildId !== hold.buildId)
  return { of: 'hostImages', id: hold.hostId, images: { ...images, holds: [...others, hold] } }
}

function holdChange(scene: Scene, step: StepOf<'holdBuild' | 'dropHold'>): Change {
  const images = imagesOf(scene, step.hostId)
  const before = images.holds.find(({ buildId }) => buildId === step.buildId)
  if ((before?.since ?? null) !== step.before) throw new Error(`a stale ${step.kind}: ${JSON.stringify(step)}`)
  if (step.kind === 'dropHold') {
    const holds = images.holds.filter(({ buildId }) => buildId !== step.buildId)
    return { of: 'hostImages', id: step.hostId, images: { ...images, holds } }
  }
  const build = known(scene.world.builds.get(step.buildId), step)
  const { image, fetch, bandwidth, tries } = step
  const since = Math.max(scene.now, (before?.since ?? 0) + 1)
  return withHold(scene, { hostId: step.hostId as HostId, buildId: build.id, image, fetch, bandwidth, tries, since })
}

function promote(scene: Scene, step: Extract<ImageStep, { kind: 'promoteBuild' | 'startCanary' | 'rollBackCanary' }>): Change[] {
  const build = known(scene.world.builds.get(step.buildId), step)
  const line = lineOf(scene, step.image)
  const before = scene.world.builds.get(line.promoted ?? '')
  const promoted: ImageBuild = { ...build, state: 'promoted', reason: step.why, promotedAt: scene.now }
  const change = { promoted: build.id, lastGood: line.promoted, canary: null }
  const retired = before === undefined ? [] : [buildChange({ ...before, state: 'retired' })]
  return [...retired, buildChange(promoted), lineChange(scene, step.image, change)]
}

function stateChange(scene: Scene, step: StepOf<'noteReady' | 'expireForced'>): Change {
  const images = imagesOf(scene, step.hostId)
  const none = { hostId: step.hostId as HostId, image: step.image, forced: null, readyBuild: null, readySince: null }
  const before = images.states.find(({ image }) => image === step.image) ?? none
  const forced = step.kind === 'expireForced' ? forcedAt(before, scene.now) : before.forced
  const after = step.kind === 'noteReady' ? { ...before, readyBuild: step.build, readySince: scene.now } : { ...before, forced }
  return { of: 'hostImages', id: step.hostId, images: { ...images, states: [...images.states.filter((state) => state !== before), after] } }
}

/** A job that got a build while a canary runs counts for one of the two. */
export function countAssigned(world: World, image: string | null, build: string | undefined): Change[] {
  const line = world.images.get(image ?? '')
  if (image === null || build === undefined || line === undefined || line.canary === null) return []
  const { assigned } = line.canary
  const arm = build === line.canary.buildId ? 'canary' : 'control'
  const canary = { ...line.canary, assigned: { ...assigned, [arm]: assigned[arm] + 1 } }
  return [{ of: 'image', id: image, line: { ...line, canary } }]
}
