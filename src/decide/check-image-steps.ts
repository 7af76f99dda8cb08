import type { Host } from '../model/host.ts'
import type { ImageBuild } from '../model/image/build.ts'
import type { EngineName } from '../model/job.ts'
import type { ImageStep } from '../model/plan.ts'
import type { Pool } from '../model/spec.ts'
import { chargeBuild, type Ledger } from './check-assign.ts'
import { buildTimeoutAt, builderGoneAt } from './images/building.ts'
import { countFetch, forcedOn, hasBuild, isManagedImage, proofProblem, type ImageLedger } from './images/check-images.ts'
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
  const line = scene.world.images.get(image)
  const host = scene.world.hosts.get(hostId)
  const stale = staleLine(image, step.lineGeneration, scene)
  if (stale !== null) return stale
  if (!isManagedImage(scene.spec, image) || line?.recipe == null || line.recipe.identity === null)
    return `${image} has no recipe that could be built`
  if (line.recipe.generation !== step.recipeGeneration) return 'another recipe is in force'
  if (ledger.images.building.has(image)) return `${image} is being built already`
  if (host?.state !== 'up' || host.schedulable.kind !== 'open') return 'the host is not open'
  if (host.generation !== step.hostGeneration) return `decided under host generation ${step.hostGeneration}, it is ${host.generation} now`
  const problem = chargeBuild(hostId, line.recipe, scene, ledger)
  if (problem === null) ledger.images.building.add(image)
  return problem
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

/** Never more hosts than the wave, never more than the bandwidth together. */
function checkHold(step: StepOf<'holdBuild'>, { world, spec }: Scene, ledger: ImageLedger): string | null {
  const build = world.builds.get(step.buildId)
  const host = world.hosts.get(step.hostId)
  if (build === undefined || build.state === 'building') return 'there is no such build to hold'
  if (host === undefined || host.state === 'retired') return 'the host left the fleet'
  const before = holdsOf(host, { world }).find(({ buildId }) => buildId === step.buildId)
  if ((before?.since ?? null) !== step.before) return 'the hold is another one by now'
  if (!step.fetch) return null
  if (host.state !== 'up' || host.schedulable.kind !== 'open') return 'the host is not open'
  if (build.reference === null) return 'the build is in no registry'
  const rollout = spec.images[step.image]?.rollout
  const { hosts, bandwidth } = countFetch(ledger, step.image, step.bandwidth)
  if (rollout === undefined || hosts > rollout.wave) return `more than ${rollout?.wave ?? 0} hosts would fetch ${step.image} at once`
  if (rollout.bandwidth !== undefined && (step.bandwidth === null || bandwidth > rollout.bandwidth))
    return `the fetches of ${step.image} would be faster than they may`
  return null
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
  return protectedBy(world.builds.get(buildId), scene)
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

function checkPromotion(step: StepOf<'promoteBuild' | 'startCanary' | 'rollBackCanary'>, scene: Scene): string | null {
  const { world } = scene
  const line = world.images.get(step.image)
  const build = world.builds.get(step.buildId)
  const stale = staleLine(step.image, step.lineGeneration, scene)
  if (stale !== null || line === undefined) return stale ?? 'the line is not known'
  if (build?.generation !== step.generation) return 'the build is another one by now'
  if (step.kind === 'rollBackCanary') return line.canary?.buildId === build.id ? null : 'the build is no canary'
  if (line.rejected.includes(build.id)) return 'only a person may promote the build'
  if (step.kind === 'startCanary') return line.canary === null && build.state === 'validated' ? null : 'no canary can begin'
  if (build.state !== 'validated' && build.state !== 'retired') return `the build is ${build.state}`
  return shareProblem(build, scene)
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

function checkReady(step: StepOf<'noteReady'>, scene: Scene): string | null {
  const { world, spec } = scene
  const host = world.hosts.get(step.hostId)
  const before = world.hostImages.get(step.hostId)?.states.find(({ image }) => image === step.image)?.readyBuild ?? null
  if (before !== step.before || before === step.build) return 'it was told already'
  if (host === undefined || host.state === 'retired') return 'the host left the fleet'
  if (step.build === null) return null
  const line = world.images.get(step.image)
  const engine = spec.images[step.image]?.engine
  const pool = poolOf(spec, host)
  if (step.build !== line?.promoted && step.build !== line?.canary?.buildId) return 'jobs do not get the build'
  if (engine === undefined || pool === undefined || !hasBuild(host, step.build)) return 'the build is not on the host'
  const forced = forcedOn(host, step.image, scene)
  return forced === 'ready'
    ? null
    : forced === 'notReady'
      ? 'it is forced not ready'
      : proofProblem({ host, pool, engine, image: step.build }, scene)
}

function forcedStands({ hostId, image }: StepOf<'expireForced'>, scene: Scene): boolean {
  const host = scene.world.hosts.get(hostId)
  return host === undefined || forcedOn(host, image, scene) !== null
}
