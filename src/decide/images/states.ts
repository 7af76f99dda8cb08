import type { ImageBuild } from '../../model/image/build.ts'
import { forcedAt, type ImageLine } from '../../model/image/line.ts'
import type { ImageState, ImageStateCode } from '../../model/image/state.ts'
import type { Instant } from '../../model/instant.ts'
import type { ReadinessVerdict } from '../../model/readiness.ts'
import type { Spec } from '../../model/spec.ts'
import type { World } from '../../model/world.ts'
import { surveyFleet, type Moment, type Place } from '../fleet.ts'
import { createHorizon } from '../horizon.ts'
import { skewOf } from '../host-view.ts'
import { lacksDisk } from './holding.ts'
import { managedLines } from './managed.ts'
import { looksAfter } from './serving.ts'
import { indexOf } from './stored.ts'
import { surveyImages, type LineScene } from './survey.ts'

/** Checks older than this many intervals say nothing. */
const missedChecks = 3

/** Every managed image on every host that looks after it, by image and then host: the same judgement that placement goes by. */
export function imageStates(spec: Spec, world: World, now: Instant): readonly ImageState[] {
  if (managedLines(spec).length === 0) return []
  const moment = { spec, world, now, horizon: createHorizon(now) }
  const fleet = surveyFleet(moment)
  const scenes = surveyImages(moment, fleet).toSorted((a, b) => (a.name < b.name ? -1 : 1))
  return scenes.flatMap((scene) =>
    [...fleet.places.values()]
      .filter(({ view }) => looksAfter(view.pool, scene.name) && view.engines.has(scene.policy.engine))
      .map((place) => stateOn(scene, place, moment)),
  )
}

interface Seen {
  readonly build: ImageBuild | null
  readonly isThere: boolean
  readonly verdict: ReadinessVerdict | undefined
  readonly checkedAt: Instant | null
}

function stateOn(scene: LineScene, place: Place, moment: Moment): ImageState {
  const { host, view } = place
  const served = view.builds.get(scene.name)
  const build = scene.builds.find(({ id }) => id === served) ?? scene.promoted
  const verdict = served === undefined ? undefined : view.engines.get(scene.policy.engine)?.verdicts.get(scene.name)
  const seen: Seen = { build, isThere: served !== undefined, verdict, checkedAt: checkedAt(place, build) }
  return {
    hostId: host.id,
    hostName: host.name,
    image: scene.name,
    ...judge(scene, { place, seen, moment }),
    ...aboutBuild(build),
    checkedAt: seen.checkedAt,
    ...decisionOf(scene, seen),
  }
}

const noBuild = { build: null, buildName: null, reference: null, recipeVersion: null, productVersion: null, builtAt: null }

function aboutBuild(build: ImageBuild | null): Pick<ImageState, keyof typeof noBuild> {
  if (build === null) return noBuild
  const { id, name, reference, recipeVersion, metadata, endedAt } = build
  const productVersion = metadata?.productVersion ?? null
  return { build: id, buildName: name, reference, recipeVersion, productVersion, builtAt: metadata?.builtAt ?? endedAt }
}

/** When the host looked last: at the build itself, else at what it has at all. */
function checkedAt({ host, view }: Place, build: ImageBuild | null): Instant | null {
  if (host.facts === null) return null
  const check = host.facts.readiness.find(({ image }) => image === build?.id)?.check ?? null
  return check === null ? view.factsAt : check.at - skewOf(host)
}

interface Judged {
  readonly ready: boolean
  readonly code: ImageStateCode
  readonly reason: string
}

interface Question {
  readonly place: Place
  readonly seen: Seen
  readonly moment: Moment
}

function judge(scene: LineScene, question: Question): Judged {
  const { place, seen, moment } = question
  const forced = forcedAt(indexOf(moment.world.hostImages.get(place.host.id)).states.get(scene.name), moment.now)
  if (forced !== null) return { ready: forced.ready && seen.isThere, code: 'forced', reason: forced.reason }
  const silent = silence(question)
  if (silent !== null) return { ready: false, code: 'unknown', reason: silent }
  const isReady = seen.verdict?.state === 'ready'
  const { underWay } = scene
  if (underWay?.origin.kind === 'built' && underWay.origin.hostId === place.host.id)
    return { ready: isReady, code: 'building', reason: 'Building VM image' }
  return seen.isThere ? judgeThere(scene, seen) : judgeAbsent(scene, question)
}

/** Why nothing is known of the host; null: it was looked at lately. */
function silence({ place, seen, moment }: Question): string | null {
  const { host, status, view } = place
  if (!view.isUp || status === 'hostLost' || status === 'hostStale') return `${host.name} is silent`
  const interval = view.pool?.readiness.checkInterval ?? 0
  const oldest = Math.max(missedChecks * interval, view.pool?.readiness.checkMaxAge ?? 0)
  return seen.checkedAt === null || moment.now - seen.checkedAt > oldest ? `${host.name} did not look for it lately` : null
}

function judgeThere({ line }: LineScene, { build, verdict }: Seen): Judged {
  if (verdict?.state !== 'ready') return { ready: false, code: 'unknown', reason: verdict === undefined ? 'never probed' : verdict.reason }
  const isStale = line.recipe !== null && line.recipe.identity !== null && line.recipe.identity !== build?.identity
  return isStale
    ? { ready: true, code: 'stale', reason: 'Bootstrap version mismatch - rebuilding VM' }
    : { ready: true, code: 'ready', reason: 'VM image available with correct bootstrap version' }
}

function judgeAbsent(scene: LineScene, { place, seen }: Question): Judged {
  const { build } = seen
  const failed = scene.underWay === null ? judgeFailure(scene.line, build) : null
  if (failed !== null) return failed
  if (build !== null && lacksDisk(place, build)) return { ready: false, code: 'disk_low', reason: 'the disk has no room for the VM image' }
  const wasBuiltHere = build?.origin.kind === 'built' && build.origin.hostId === place.host.id
  const reason = wasBuiltHere ? 'VM build completed but image not found' : 'VM image not found locally - building VM'
  return { ready: false, code: 'missing', reason }
}

/** What came of the last try to build what the recipe makes, when that is not the build that jobs get. */
function judgeFailure({ failure, recipe }: ImageLine, build: ImageBuild | null): Judged | null {
  if (failure === null || failure.identity !== recipe?.identity || build?.identity === failure.identity) return null
  return { ready: false, code: failure.retry === 'never' ? 'build_failed' : 'retrying', reason: `VM build failed: ${failure.reason}` }
}

function decisionOf({ line, builds }: LineScene, { build, isThere }: Seen): Pick<ImageState, 'decision' | 'why'> {
  if (build !== null && isThere) return { decision: 'use_local', why: `${build.name} is there` }
  if (build !== null && build.reference !== null) return { decision: 'use_remote', why: `${build.name} is in the registry` }
  const earlier = builds.findLast(({ recipeGeneration }) => recipeGeneration !== null)
  if (earlier !== undefined && line.recipe?.baseFloats === false)
    return { decision: 'build_incremental', why: `layers of ${earlier.name} are used where they are the same` }
  return { decision: 'build_new', why: 'there is nothing to start from but the base' }
}
