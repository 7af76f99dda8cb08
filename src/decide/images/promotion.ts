import type { ImageBuild } from '../../model/image/build.ts'
import type { ArmResult, Canary } from '../../model/image/line.ts'
import type { Step, Waiting } from '../../model/plan.ts'
import type { Image } from '../../model/spec.ts'
import type { Moment, Place } from '../fleet.ts'
import type { Decision } from './building.ts'
import { couldHave, readyWith, type LineScene } from './survey.ts'
import { lineWaiting, namesOf } from './tell.ts'

type CanaryPolicy = NonNullable<Image['canary']>

/** A share of hosts is a whole number of them. */
const slack = 1e-9

/** Whether a host is to have the next build by now: while a canary runs on hosts by name, only those. */
export function isTaken(scene: LineScene, { host }: Place): boolean {
  const { policy, line, next, promoted } = scene
  const names = policy.canary?.hosts
  // With nothing to compare with there is no canary.
  if (names === undefined || promoted === null || names.includes(host.name)) return true
  return (
    line.canary !== null &&
    line.canary.buildId === next?.id &&
    policy.canary !== undefined &&
    judgeCanary(line.canary, policy.canary) === 'good'
  )
}

/** Gives jobs the next build once enough hosts have it proved ready, after its canary where there is one; ends a canary that fails more than the control. */
export function decidePromotion(scene: LineScene, moment: Moment): Decision {
  const { next, policy, promoted } = scene
  const bad = rollBackOf(scene)
  if (bad !== null) return { step: bad }
  if (next === null) return {}
  if (policy.required !== undefined && next.recipeVersion !== policy.required) return { waiting: wrongVersion(scene, next) }
  const share = shareOf(scene, next)
  // With nothing to compare with there is no canary.
  if (policy.canary === undefined || promoted === null) return promoteWhenEnough(scene, next, { share, moment, why: share.text })
  return decideCanary(scene, next, { share, moment, policy: policy.canary })
}

interface OnShare {
  readonly share: Share
  readonly moment: Moment
}

function promoteWhenEnough(scene: LineScene, next: ImageBuild, { share, moment, why }: OnShare & { readonly why: string }): Decision {
  if (share.isEnough) return { step: stepOf(scene, next, { kind: 'promoteBuild', why }) }
  return { waiting: notEnough(scene, next, { share, moment }) }
}

function decideCanary(
  scene: LineScene,
  next: ImageBuild,
  { share, moment, policy }: OnShare & { readonly policy: CanaryPolicy },
): Decision {
  const running = scene.canary === null ? null : scene.line.canary
  if (running === null) return startOf(scene, next, { share, policy, moment })
  if (judgeCanary(running, policy) !== 'good') return { waiting: trying(scene, next, { canary: running, policy }) }
  return promoteWhenEnough(scene, next, { share, moment, why: `${results(running)}; ${share.text}` })
}

interface Share {
  readonly isEnough: boolean
  readonly text: string
  readonly ready: readonly Place[]
  readonly lacking: readonly Place[]
}

function shareOf(scene: LineScene, build: ImageBuild): Share {
  const could = couldHave(scene, build)
  const ready = readyWith(scene, build)
  const needed = Math.max(1, Math.ceil(scene.policy.rollout.share * could.length - slack))
  const has = new Set(ready)
  return {
    isEnough: ready.length >= needed,
    text: `${ready.length} of ${could.length} hosts have it, proved ready; ${needed} are enough`,
    ready,
    lacking: could.filter((place) => !has.has(place)),
  }
}

function startOf(
  scene: LineScene,
  next: ImageBuild,
  { share, policy, moment }: { readonly share: Share; readonly policy: CanaryPolicy; readonly moment: Moment },
): Decision {
  const { hosts } = policy
  if (hosts === undefined) {
    const why = `${(policy.share ?? 0) * 100} % of the jobs; ${share.text}`
    return share.isEnough
      ? { step: stepOf(scene, next, { kind: 'startCanary', why }) }
      : { waiting: notEnough(scene, next, { share, moment }) }
  }
  const named = share.ready.filter(({ host }) => hosts.includes(host.name))
  if (named.length > 0) return { step: stepOf(scene, next, { kind: 'startCanary', why: `jobs on ${namesOf(named)}` }) }
  const message = `none of the hosts that try ${next.name} first has it, proved ready: ${hosts.slice(0, 3).join(', ')}`
  const cure = `wait, or name other hosts in images.${scene.name}.canary.hosts`
  return {
    waiting: lineWaiting(scene.name, { code: 'imageCanary', message, cure, since: next.endedAt ?? moment.now, places: share.lacking }),
  }
}

function stepOf(
  { name, line }: LineScene,
  { id, generation }: ImageBuild,
  how: { readonly kind: 'promoteBuild' | 'startCanary' | 'rollBackCanary'; readonly why: string },
): Step {
  return { ...how, image: name, lineGeneration: line.generation, buildId: id, generation }
}

function notEnough(
  { name, promoted }: LineScene,
  next: ImageBuild,
  { share, moment }: { readonly share: Share; readonly moment: Moment },
): Waiting {
  const goOn = promoted === null ? '' : `; jobs go on with ${promoted.name}`
  const message = `${next.name} is not promoted yet: ${share.text}${goOn}`
  const cure = `wait for the roll-out, or cidery image promote ${name} ${next.name}`
  return lineWaiting(name, { code: 'imageRollout', message, cure, since: next.endedAt ?? moment.now, places: share.lacking })
}

function wrongVersion({ name, policy }: LineScene, next: ImageBuild): Waiting {
  const message = `Bootstrap version mismatch: ${next.name} was made by version ${next.recipeVersion ?? 'none'}, and images.${name}.required is ${policy.required ?? ''}`
  const cure = `set images.${name}.required, or the version of the recipe`
  return lineWaiting(name, { code: 'imageRollout', message, cure, since: next.endedAt ?? next.createdAt })
}

function rateOf({ jobs, failures }: ArmResult): number {
  return jobs === 0 ? 0 : failures / jobs
}

/** What the results of a canary say so far. */
export function judgeCanary({ ended }: Canary, policy: Pick<CanaryPolicy, 'threshold' | 'jobs'>): 'early' | 'good' | 'bad' {
  if (ended.canary.jobs < policy.jobs) return 'early'
  return rateOf(ended.canary) - rateOf(ended.control) > policy.threshold + slack ? 'bad' : 'good'
}

function results({ ended }: Canary): string {
  const { canary, control } = ended
  return `${canary.failures} of its ${canary.jobs} attempts failed by a fault of the infrastructure, and ${control.failures} of ${control.jobs} of the others`
}

function rollBackOf(scene: LineScene): Step | null {
  const { line, canary, policy } = scene
  if (line.canary === null || canary === null || canary.state !== 'validated' || policy.canary === undefined) return null
  if (judgeCanary(line.canary, policy.canary) !== 'bad') return null
  const why = `${results(line.canary)}: more than ${policy.canary.threshold * 100} % apart`
  return stepOf(scene, canary, { kind: 'rollBackCanary', why })
}

function trying(
  { name }: LineScene,
  next: ImageBuild,
  { canary, policy }: { readonly canary: Canary; readonly policy: CanaryPolicy },
): Waiting {
  const message = `some jobs try ${next.name}: ${results(canary)}; it is judged after ${policy.jobs}`
  const cure = `wait, cidery image promote ${name} ${next.name}, or cidery image rollback ${name}`
  return lineWaiting(name, { code: 'imageCanary', message, cure, since: canary.startedAt })
}
