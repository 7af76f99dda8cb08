import type { Host } from '../model/host.ts'
import type { ImageBuild } from '../model/image/build.ts'
import type { ImageLine } from '../model/image/line.ts'
import { isManaged } from '../model/image/managed.ts'
import type { EngineName } from '../model/job.ts'
import type { ImageStep } from '../model/plan.ts'
import type { Pool } from '../model/spec.ts'
import { chargeBuild, type Ledger } from './check-assign.ts'
import { buildTimeoutAt, builderGoneAt } from './images/building.ts'
import { countFetch, forcedOn, hasBuild, isServed, proofProblem, readyProblem, type ImageLedger } from './images/check-images.ts'
import { poolEngine, poolOf } from './pools.ts'
import type { Scene } from './scene.ts'
import { heardAt, staleInterval } from './silence.ts'

/** What a step of images may do only once in a plan. */
export function subjectOfImageStep(step: ImageStep): string {
  switch (step.kind) {
    case 'startBuild':
    case 'skipBuild':
    case 'promoteBuild':
    case 'startCanary':
    case 'rollBackCanary':
      return `image ${step.image}`
    case 'endBuild':
    case 'removeBuild':
      return `build ${step.buildId}`
    case 'holdBuild':
    case 'dropHold':
      return `hold ${step.hostId} ${step.buildId}`
    case 'noteReady':
    case 'expireForced':
      return `${step.kind} ${step.hostId} ${step.image}`
  }
}

type StepOf<K extends ImageStep['kind']> = Extract<ImageStep, { kind: K }>

function staleLine(image: string, generation: number, { world }: Scene): string | null {
  const found = world.images.get(image)?.generation ?? 0
  return found === generation ? null : `decided under generation ${generation} of ${image}, it is ${found} now`
}

/** Never two builds of a line, never on a host that is closed, never in the slot of a job. */
export function checkStartBuild(step: StepOf<'startBuild'>, scene: Scene, ledger: Ledger): string | null {
  const { image, hostId } = step
  const recipe = scene.world.images.get(image)?.recipe ?? null
  const stale = staleLine(image, step.lineGeneration, scene) ?? staleBuilder(step, scene)
  if (stale !== null) return stale
  if (!isManaged(scene.spec, image) || recipe === null || recipe.identity === null) return `${image} has no recipe that could be built`
  if (recipe.generation !== step.recipeGeneration) return 'another recipe is in force'
  if (ledger.images.building.has(image)) return `${image} is being built already`
  const problem = chargeBuild({ hostId, shape: recipe.shape, engine: recipe.engine }, scene, ledger)
  if (problem === null) ledger.images.building.add(image)
  return problem
}

function staleBuilder({ hostId, hostGeneration }: StepOf<'startBuild'>, { world }: Scene): string | null {
  const host = world.hosts.get(hostId)
  if (host?.state !== 'up' || host.schedulable.kind !== 'open') return 'the host is not open'
  return host.generation === hostGeneration ? null : `decided under host generation ${hostGeneration}, it is ${host.generation} now`
}

export function checkImageStep(step: Exclude<ImageStep, { kind: 'startBuild' }>, scene: Scene, ledger: ImageLedger): string | null {
  switch (step.kind) {
    case 'skipBuild':
      return staleLine(step.image, step.lineGeneration, scene)
    case 'endBuild':
      return checkEndBuild(step, scene)
    case 'holdBuild':
      return checkHold(step, scene, ledger)
    case 'dropHold':
      return checkDrop(step, scene)
    case 'promoteBuild':
    case 'startCanary':
    case 'rollBackCanary':
      return checkPromotion(step, scene)
    case 'noteReady':
      return checkReady(step, scene)
    case 'expireForced':
      return forcedStands(step, scene) ? 'what was forced still holds' : null
    case 'removeBuild':
      return checkRemove(step, scene)
  }
}

function checkEndBuild({ buildId, generation }: StepOf<'endBuild'>, { world, spec, now }: Scene): string | null {
  const build = world.builds.get(buildId)
  if (build?.state !== 'building' || build.origin.kind !== 'built') return 'the build is not under way'
  if (build.generation !== generation) return `decided under generation ${generation}, it is ${build.generation} now`
  const host = world.hosts.get(build.origin.hostId)
  if (host === undefined || host.state === 'retired') return null
  const isRebooted = host.bootId !== null && host.bootId !== build.origin.hostBootId
  return isRebooted || now >= builderGoneAt(host, world, spec.limits) || now >= buildTimeoutAt(build) ? null : 'the build may still go on'
}

function checkHold(step: StepOf<'holdBuild'>, scene: Scene, ledger: ImageLedger): string | null {
  const { world } = scene
  const build = world.builds.get(step.buildId)
  const host = world.hosts.get(step.hostId)
  if (build === undefined || build.state === 'building') return 'there is no such build to hold'
  if (host === undefined || host.state === 'retired') return 'the host left the fleet'
  const before = holdsOf(host, scene).find(({ buildId }) => buildId === step.buildId)
  if ((before?.since ?? null) !== step.before) return 'the hold is another one by now'
  if (!step.fetch) return null
  if (host.state !== 'up' || host.schedulable.kind !== 'open') return 'the host is not open'
  return build.reference === null ? 'the build is in no registry' : waveProblem(step, scene, ledger)
}

/** Never more hosts than the wave, never more than the bandwidth together. */
function waveProblem({ image, bandwidth }: StepOf<'holdBuild'>, { spec }: Scene, ledger: ImageLedger): string | null {
  const rollout = spec.images[image]?.rollout
  const sum = countFetch(ledger, image, bandwidth)
  if (rollout === undefined || sum.hosts > rollout.wave) return `more than ${rollout?.wave ?? 0} hosts would fetch ${image} at once`
  const isFast = rollout.bandwidth !== undefined && (bandwidth === null || sum.bandwidth > rollout.bandwidth)
  return isFast ? `the fetches of ${image} would be faster than they may` : null
}

function holdsOf(host: Host, { world }: Pick<Scene, 'world'>) {
  return world.hostImages.get(host.id)?.holds ?? []
}

/** What nobody may take away: what jobs get, could go back to or try, what a person pinned, what something runs on. */
function protectedBy(build: ImageBuild | undefined, { world }: Scene): string | null {
  if (build === undefined) return null
  const line = world.images.get(build.image)
  if (line?.promoted === build.id) return 'jobs get the build'
  if (line?.lastGood === build.id) return 'it is the last good build'
  if (line?.canary?.buildId === build.id) return 'it is a canary'
  return build.pinnedBy === null ? null : 'it is pinned'
}

function checkDrop({ hostId, buildId, before }: StepOf<'dropHold'>, scene: Scene): string | null {
  const { world } = scene
  const hold = world.hostImages.get(hostId)?.holds.find((known) => known.buildId === buildId)
  if (hold?.since !== before) return 'the hold is another one by now'
  for (const { attempt } of world.attempts.values())
    if (attempt.hostId === hostId && attempt.buildId === buildId) return 'a job runs on the build there'
  return isStrange(hostId, world.builds.get(buildId), scene) ? null : protectedBy(world.builds.get(buildId), scene)
}

/** Whether a host does not look after the line of a build. */
function isStrange(hostId: string, build: ImageBuild | undefined, { world, spec }: Scene): boolean {
  const host = world.hosts.get(hostId)
  const images = host === undefined ? undefined : poolOf(spec, host)?.images
  return build !== undefined && images !== undefined && !images.includes(build.image)
}

function checkRemove({ buildId, generation }: StepOf<'removeBuild'>, scene: Scene): string | null {
  const { world } = scene
  const build = world.builds.get(buildId)
  if (build === undefined || build.state === 'building' || build.state === 'promoted') return 'the build is not to be removed'
  if (build.generation !== generation) return `decided under generation ${generation}, it is ${build.generation} now`
  for (const { attempt } of world.attempts.values()) if (attempt.buildId === buildId) return 'a job runs on the build'
  for (const host of world.hosts.values()) {
    if (host.facts?.storedImages?.some(({ id, users }) => id === buildId && users.length > 0) === true)
      return 'a sandbox is a clone of the build'
  }
  return protectedBy(build, scene)
}

type PromotionStep = StepOf<'promoteBuild' | 'startCanary' | 'rollBackCanary'>

function checkPromotion(step: PromotionStep, scene: Scene): string | null {
  const line = scene.world.images.get(step.image)
  const build = scene.world.builds.get(step.buildId)
  const stale = staleLine(step.image, step.lineGeneration, scene)
  if (stale !== null || line === undefined) return stale ?? 'the line is not known'
  if (build?.generation !== step.generation) return 'the build is another one by now'
  if (step.kind === 'rollBackCanary') return line.canary?.buildId === build.id ? null : 'the build is no canary'
  if (line.rejected.includes(build.id)) return 'only a person may promote the build'
  return step.kind === 'startCanary' ? canaryProblem(line, build) : promotionProblem(build, scene)
}

function canaryProblem(line: ImageLine, build: ImageBuild): string | null {
  return line.canary === null && build.state === 'validated' ? null : 'no canary can begin'
}

function promotionProblem(build: ImageBuild, scene: Scene): string | null {
  return build.state === 'validated' || build.state === 'retired' ? shareProblem(build, scene) : `the build is ${build.state}`
}

/** Whether enough hosts have a build, proved ready, for jobs to get it. */
function shareProblem(build: ImageBuild, scene: Scene): string | null {
  const { spec, world } = scene
  const policy = spec.images[build.image]
  let could = 0
  let ready = 0
  for (const host of world.hosts.values()) {
    const pool = poolOf(spec, host)
    if (policy === undefined || pool === undefined || !couldRun(host, scene, { pool, engine: policy.engine, image: build.image })) continue
    const isThere = hasBuild(host, build.id)
    if (build.reference !== null || isThere) could += 1
    if (isThere && proofProblem({ host, pool, engine: policy.engine, image: build.id }, scene) === null) ready += 1
  }
  const needed = Math.max(1, Math.ceil((policy?.rollout.share ?? 1) * could - 1e-9))
  return ready >= needed ? null : `only ${ready} of ${could} hosts have the build, proved ready`
}

interface Wanted {
  readonly pool: Pool
  readonly engine: EngineName
  readonly image: string
}

/** A host that is open, looks after the image, and has an engine for it. */
function couldRun(host: Host, scene: Scene, { pool, engine, image }: Wanted): boolean {
  const facts = host.facts?.engines.find(({ name }) => name === engine)
  if (!isOpen(host, pool, scene) || host.facts?.storedImages === undefined || facts?.ok !== true || !facts.capabilities.images) return false
  return poolEngine(pool, engine) !== undefined && (pool.images?.includes(image) ?? true)
}

function isOpen(host: Host, pool: Pool, { world, spec, now }: Scene): boolean {
  if (host.state !== 'up' || host.schedulable.kind !== 'open' || host.failureStreak >= pool.quarantineAfter) return false
  if (host.facts?.needsReboot?.some(({ engine }) => poolEngine(pool, engine) !== undefined) === true) return false
  for (const { hostId, request } of world.operations.values())
    if (hostId === host.id && (request.kind === 'reboot' || request.kind === 'restartAgent')) return false
  return now <= heardAt(host, world.lastSeen) + staleInterval(spec.limits)
}

function checkReady({ hostId, image, build, before }: StepOf<'noteReady'>, scene: Scene): string | null {
  const host = scene.world.hosts.get(hostId)
  const told = scene.world.hostImages.get(hostId)?.states.find((state) => state.image === image)?.readyBuild ?? null
  if (told !== before || told === build) return 'it was told already'
  if (host === undefined || host.state === 'retired') return 'the host left the fleet'
  if (build === null) return null
  return isServed(image, build, scene)
    ? readyProblem({ host, pool: poolOf(scene.spec, host), image, build }, scene)
    : 'jobs do not get the build'
}

function forcedStands({ hostId, image }: StepOf<'expireForced'>, scene: Scene): boolean {
  const host = scene.world.hosts.get(hostId)
  return host === undefined || forcedOn(host, image, scene) !== null
}
