import type { Host } from '../../model/host.ts'
import type { ImageBuild } from '../../model/image/build.ts'
import type { LineFailure, RecipeHead } from '../../model/image/line.ts'
import { formatDuration, hour, minute, type Instant, type Milliseconds } from '../../model/instant.ts'
import type { Step, Waiting } from '../../model/plan.ts'
import type { Limits } from '../../model/spec.ts'
import type { World } from '../../model/world.ts'
import { lacking, loadOf, takeBuildRoom, type HostGroup, type Moment, type Place } from '../fleet.ts'
import { counted } from '../host-reasons.ts'
import { heardAt, leaseSlack, lostInterval } from '../silence.ts'
import { dueAfter } from './schedule.ts'
import { isObtainable, type LineScene } from './survey.ts'
import { lineWaiting } from './tell.ts'

/** Wait after the first failure of a build; doubles with each, up to the longest. */
const firstRetry: Milliseconds = 5 * minute
const longestRetry: Milliseconds = 6 * hour

export interface Decision {
  readonly step?: Step
  readonly waiting?: Waiting
}

/** Who builds what: at most one build of a line at a time, lines beside each other, and only where a slot is left that no job has or waits for. */
export function decideBuild(scene: LineScene, moment: Moment, wanted: ReadonlySet<HostGroup>): Decision {
  const { underWay } = scene
  if (underWay !== null) return judgeUnderWay(underWay, scene, moment)
  if (scene.policy.recipe === undefined) return {}
  const { recipe } = scene.line
  if (recipe === null) return { waiting: noRecipe(scene, moment) }
  if (recipe.identity === null) return { waiting: noBase(scene, recipe, moment) }
  const reason = reasonToBuild(scene, recipe, moment)
  if (!('why' in reason)) return reason
  const held = heldBack(scene, recipe, { reason, moment })
  return held === null ? startOn(scene, recipe, { reason, moment, wanted }) : { waiting: held }
}

function noRecipe({ name, policy }: LineScene, { now }: Moment): Waiting {
  const message = `the recipe of ${name} (${policy.recipe ?? ''}) has not been sent to the controller`
  return lineWaiting(name, { code: 'imageNoRecipe', message, cure: 'cidery apply, in the folder of cidery.yaml', since: now })
}

function noBase({ name }: LineScene, { baseImage }: RecipeHead, { now }: Moment): Waiting {
  const message = `${name} starts from ${baseImage ?? 'an image'}, of which no build is promoted`
  return lineWaiting(name, { code: 'imageNoRecipe', message, cure: `cidery explain image/${baseImage ?? ''}`, since: now })
}

interface Reason {
  readonly why: string
  readonly fromBase: boolean
  /** It answers to the schedule. */
  readonly dueAt: Instant | null
  readonly isAsked: boolean
}

/** Why a build is to be made now, or what is done or told in its place. */
function reasonToBuild(scene: LineScene, recipe: RecipeHead, moment: Moment): Reason | Decision {
  const { line, promoted, name } = scene
  const { asked } = line
  const isDue = scheduledBefore(scene, moment)
  const dueAt = isDue ? moment.now : null
  if (asked !== null) return { why: `asked for by ${asked.by}`, fromBase: asked.fromBase, dueAt, isAsked: true }
  const made = scene.builds.findLast((build) => build.identity === recipe.identity && isObtainable(build, moment))
  if (made === undefined) {
    const why =
      promoted === null
        ? 'there is no build of it'
        : promoted.identity === recipe.identity
          ? 'its build is nowhere any more'
          : 'its recipe or base changed'
    return { why, fromBase: false, dueAt, isAsked: false }
  }
  if (isDue) {
    if (recipe.baseFloats) return { why: 'scheduled; nobody can tell whether its base changed', fromBase: true, dueAt, isAsked: false }
    const why = 'recipe and base are unchanged'
    return { step: { kind: 'skipBuild', image: name, lineGeneration: line.generation, dueAt: moment.now, why } }
  }
  if (made.state === 'candidate') return { waiting: flaky(scene, made) }
  if (made.state !== 'promoted' && line.rejected.includes(made.id)) return { waiting: rejected(scene, made) }
  return {}
}

/** Whether a scheduled build is due. What was missed while nobody was here is made up for once. */
function scheduledBefore({ policy, line, builds }: LineScene, { now, horizon }: Moment): boolean {
  const since = line.scheduledAt ?? builds.at(-1)?.createdAt
  const due = since === undefined ? null : dueAfter(policy.schedule, since)
  if (due === null) return false
  horizon.note(due)
  return due <= now
}

function flaky({ name }: LineScene, build: ImageBuild): Waiting {
  const { passedRounds = 0, rounds = 0 } = build.flakiness ?? {}
  const message = `${build.name} is not promoted: its checks passed whole in ${passedRounds} of ${rounds} rounds`
  const cure = `look at its log, then cidery image promote ${name} ${build.name}, or change the recipe`
  return lineWaiting(name, { code: 'imageFlaky', message, cure, since: build.endedAt ?? build.createdAt })
}

function rejected({ name }: LineScene, build: ImageBuild): Waiting {
  const message = `${build.name} is what the recipe makes, and is not promoted by itself: ${build.reason}`
  const cure = `change the recipe, cidery image build ${name}, or cidery image promote ${name} ${build.name}`
  return lineWaiting(name, { code: 'imageRejected', message, cure, since: build.endedAt ?? build.createdAt })
}

/** A failure of the same recipe holds the next try back; longer with each. */
function heldBack(
  { line, name }: LineScene,
  recipe: RecipeHead,
  { reason, moment }: { readonly reason: Reason; readonly moment: Moment },
): Waiting | null {
  const { failure } = line
  if (failure === null || failure.identity !== recipe.identity || reason.isAsked) return null
  const since = failure.at
  if (failure.retry === 'never') {
    if (reason.dueAt !== null) return null
    const cure = `change the recipe, or cidery image build ${name}`
    return lineWaiting(name, { code: 'imageBuildFailed', message: `VM build failed: ${failure.reason}`, cure, since })
  }
  const at = retryAt(failure)
  moment.horizon.note(at)
  if (moment.now >= at) return null
  const message = `VM build failed ${counted(failure.count, 'time')}, the next try is in ${formatDuration(at - moment.now)}: ${failure.reason}`
  return lineWaiting(name, { code: 'retryDelay', message, cure: `wait, or cidery image build ${name}`, since })
}

/** When a build that failed is tried again by itself. */
export function retryAt({ at, count }: LineFailure): Instant {
  return at + Math.min(longestRetry, firstRetry * 2 ** Math.min(30, Math.max(0, count - 1)))
}

interface Start {
  readonly reason: Reason
  readonly moment: Moment
  readonly wanted: ReadonlySet<HostGroup>
}

function startOn(scene: LineScene, recipe: RecipeHead, { reason, moment, wanted }: Start): Decision {
  const { name, places, line } = scene
  const need = { shape: recipe.shape, engine: recipe.engine }
  const roomy = places.filter((place) => place.heldFor === null && lacking(place, need) === null)
  const free = roomy.filter(({ group }) => group === null || !wanted.has(group))
  const [place] = free.sort((a, b) => compareBuilders(a, b, scene))
  if (place === undefined) return { waiting: noHost(scene, { roomy: roomy.length, moment }) }
  takeBuildRoom(place, recipe.engine, recipe.shape)
  const { host } = place
  const step: Step = {
    kind: 'startBuild',
    image: name,
    lineGeneration: line.generation,
    recipeGeneration: recipe.generation,
    hostId: host.id,
    hostGeneration: host.generation,
    fromBase: reason.fromBase,
    dueAt: reason.dueAt,
    why: reason.why,
  }
  return { step }
}

/** Not where it failed last; then where most slots are left; then the least loaded. */
function compareBuilders(a: Place, b: Place, { line, policy }: LineScene): number {
  const failed = (place: Place): number => (line.failure !== null && line.failure.hostId === place.host.id ? 1 : 0)
  const free = ({ view, sandboxes }: Place): number => (view.engines.get(policy.engine)?.slots ?? 0) - sandboxes[policy.engine]
  return failed(a) - failed(b) || free(b) - free(a) || loadOf(a, policy.engine) - loadOf(b, policy.engine) || a.index - b.index
}

function noHost({ name, places, policy }: LineScene, { roomy, moment }: { readonly roomy: number; readonly moment: Moment }): Waiting {
  const cure = roomy > 0 ? 'wait for the jobs, or add a host' : 'wait for running jobs and builds, or add a host: cidery host add'
  const message =
    places.length === 0
      ? `no open host has a working engine ${policy.engine} that could build ${name}`
      : roomy > 0
        ? `jobs wait for the slots of ${counted(roomy, 'host')} that could build ${name}`
        : `${counted(places.length, 'host')} that could build ${name} ${places.length === 1 ? 'has' : 'have'} no room for it`
  return lineWaiting(name, { code: 'imageNoHost', message, cure, since: moment.now, places })
}

function judgeUnderWay(build: ImageBuild, { name }: LineScene, moment: Moment): Decision {
  const host = build.origin.kind === 'built' ? moment.world.hosts.get(build.origin.hostId) : undefined
  const over = buildOver(build, host, moment)
  if (over !== null) return { step: { kind: 'endBuild', buildId: build.id, generation: build.generation, reason: over } }
  const phase = build.phases.findLast(({ endedAt }) => endedAt === null)
  const at = phase === undefined ? '' : `: ${phase.phase}${phase.at === '' ? '' : `, ${phase.at}`}`
  const message = `${build.name} is being built on ${host?.name ?? 'a host'} for ${formatDuration(moment.now - build.createdAt)}${at}`
  return {
    waiting: lineWaiting(name, {
      code: 'imageBuilding',
      message,
      cure: `cidery image logs ${build.name} --follow`,
      since: build.createdAt,
    }),
  }
}

/** Why a build cannot be alive any more, or has taken too long; null while it may go on. */
function buildOver(build: ImageBuild, host: Host | undefined, moment: Moment): string | null {
  const { world, spec, now, horizon } = moment
  const name = host?.name ?? 'its host'
  if (host === undefined || host.state === 'retired') return `${name} left the fleet`
  if (build.origin.kind === 'built' && host.bootId !== null && host.bootId !== build.origin.hostBootId)
    return `${name} was restarted while it was built`
  const timeoutAt = buildTimeoutAt(build)
  const goneAt = builderGoneAt(host, world, spec.limits)
  if (now >= goneAt) return `${name} was silent for longer than the lease of a build`
  if (now >= timeoutAt) return `build_failed: timeout: it took longer than ${formatDuration(build.timeoutMs)}`
  horizon.note(timeoutAt)
  if (host.state !== 'up') horizon.note(goneAt)
  return null
}

/** The host ends a build that takes too long; when it does not say so a while later, the controller does. */
export function buildTimeoutAt({ createdAt, timeoutMs }: ImageBuild): Instant {
  return createdAt + timeoutMs + Math.ceil(timeoutMs / 10) + leaseSlack
}

/** First moment at which silence alone proves that a host is at nothing any more: as for the attempts of jobs. */
export function builderGoneAt(host: Host, world: Pick<World, 'lastSeen' | 'listeningSince'>, limits: Limits): Instant {
  const lease = limits.attemptLease
  return Math.max(heardAt(host, world.lastSeen) + lease + Math.ceil(lease / 10) + leaseSlack, world.listeningSince + lostInterval(limits))
}
