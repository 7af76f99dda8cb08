import type { Host } from '../../model/host.ts'
import type { ImageBuild } from '../../model/image/build.ts'
import type { ImageHold } from '../../model/image/line.ts'
import { formatDuration, hour, minute, type Instant, type Milliseconds } from '../../model/instant.ts'
import type { Step, Waiting } from '../../model/plan.ts'
import type { World } from '../../model/world.ts'
import { listOf, type Fleet, type Moment, type Place } from '../fleet.ts'
import { counted } from '../host-reasons.ts'
import { visit } from '../sorted-map.ts'
import { builderGoneAt } from './building.ts'
import { isTaken } from './promotion.ts'
import { openFrom } from './schedule.ts'
import { indexOf, storedOn } from './stored.ts'
import { compareBuilds, type LineScene } from './survey.ts'
import { lineWaiting, namesOf } from './tell.ts'

/** A fetch that takes no longer than this is never given up. */
const leastPatience: Milliseconds = 30 * minute
/** What a fetch may take, as a multiple of what its size and bandwidth say. */
const patienceFactor = 3
/** A host whose fetch was given up gets another turn after this; doubles each time, up to the longest. */
const firstPause: Milliseconds = minute
const longestPause: Milliseconds = hour
const mebibyte = 1024 ** 2

export interface Held {
  readonly steps: readonly Step[]
  readonly waiting: readonly Waiting[]
}

/** What hosts are to have, across the lines of one pass. */
export interface Fetches {
  /** Hosts that fetch something: each one thing at a time. */
  readonly busy: Set<string>
  readonly ofLine: ReadonlyMap<string, readonly ImageHold[]>
}

/** Holds change seldom: they are sorted by line once for as long as they are the same. */
const sorted = new WeakMap<World['hostImages'], ReadonlyMap<string, readonly ImageHold[]>>()

function holdsByLine(hostImages: World['hostImages']): ReadonlyMap<string, readonly ImageHold[]> {
  const known = sorted.get(hostImages)
  if (known !== undefined) return known
  const lists = new Map<string, ImageHold[]>()
  visit(hostImages, ({ holds }) => {
    for (const hold of holds) listOf(lists, hold.image).push(hold)
  })
  sorted.set(hostImages, lists)
  return lists
}

/** Who fetches when the pass begins. */
export function surveyFetches({ world }: Moment): Fetches {
  const ofLine = holdsByLine(world.hostImages)
  const busy = new Set<string>()
  for (const holds of ofLine.values()) {
    for (const { fetch, hostId, buildId } of holds)
      if (fetch && !storedOn(world.hosts.get(hostId)?.facts ?? null).has(buildId)) busy.add(hostId)
  }
  return { busy, ofLine }
}

interface Wish {
  readonly place: Place
  readonly build: ImageBuild
  readonly hold: ImageHold | undefined
}

interface Turn {
  readonly wishes: Wish[]
  readonly steps: Step[]
  readonly low: Place[]
  readonly pausing: Place[]
  readonly lonely: Place[]
}

/**
 * Brings builds to hosts in waves: at most `wave` of them fetch at once, each with its part of the bandwidth; a host fetches one thing at a time. The build that jobs get comes first. What a host
 * has it keeps while jobs get it, could go back to it, or run on it.
 */
export function decideHolds(scene: LineScene, given: { readonly moment: Moment; readonly fleet: Fleet; readonly fetches: Fetches }): Held {
  const { moment, fleet, fetches } = given
  const mine: Mine = { holds: fetches.ofLine.get(scene.name) ?? [], needed: neededOf(scene) }
  const under = endOverdue(scene, mine, given)
  const turn: Turn = { wishes: [], steps: [...under.steps], low: [], pausing: [], lonely: [] }
  for (const place of scene.places) for (const build of targetsOn(scene, place)) lookAt({ place, build }, turn, moment)
  const waiting: Waiting[] = []
  const granted = grant(scene, { turn, moment, fetches, free: scene.policy.rollout.wave - under.fetching })
  if (granted.waiting !== null) waiting.push(granted.waiting)
  waiting.push(...told(scene, turn, moment))
  return { steps: [...turn.steps, ...granted.steps, ...dropUnneeded(mine, fleet)], waiting }
}

/** Builds that a host is to have: what jobs get there, and what they are about to get. */
function targetsOn(scene: LineScene, place: Place): readonly ImageBuild[] {
  const { promoted, next } = scene
  const builds = promoted === null ? [] : [promoted]
  return next !== null && next.id !== promoted?.id && isTaken(scene, place) ? [...builds, next] : builds
}

function lookAt({ place, build }: Omit<Wish, 'hold'>, turn: Turn, { now, world, horizon }: Moment): void {
  const { host } = place
  const hold = indexOf(world.hostImages.get(host.id)).holds.get(build.id)
  if (storedOn(host.facts).has(build.id)) {
    if (hold === undefined || (!hold.fetch && hold.tries > 0))
      turn.steps.push(holdStep({ place, build, hold }, { fetch: false, bandwidth: null, tries: 0 }))
    return
  }
  if (hold?.fetch === true) return
  if (build.reference === null) return void turn.lonely.push(place)
  const pause = hold === undefined || hold.tries === 0 ? 0 : Math.min(longestPause, firstPause * 2 ** (hold.tries - 1))
  const readyAt = (hold?.since ?? 0) + pause
  horizon.note(readyAt)
  if (now < readyAt) return void turn.pausing.push(place)
  if (lacksDisk(place, build)) return void turn.low.push(place)
  turn.wishes.push({ place, build, hold })
}

function holdStep(
  { place, build, hold }: Wish,
  how: { readonly fetch: boolean; readonly bandwidth: number | null; readonly tries: number },
): Step {
  return { kind: 'holdBuild', hostId: place.host.id, buildId: build.id, image: build.image, ...how, before: hold?.since ?? null }
}

/** Whether a build has no room even when all goes that may go. */
export function lacksDisk({ host, view }: Place, { sizeBytes }: ImageBuild): boolean {
  if (sizeBytes === null) return false
  let room = view.freeDiskMiB * mebibyte
  for (const image of host.facts?.storedImages ?? []) if (image.users.length === 0) room += image.sizeBytes
  return room < sizeBytes
}

interface Grant {
  readonly turn: Turn
  readonly moment: Moment
  readonly fetches: Fetches
  readonly free: number
}

function grant(
  scene: LineScene,
  { turn, moment, fetches, free }: Grant,
): { readonly steps: readonly Step[]; readonly waiting: Waiting | null } {
  const { name, policy, promoted } = scene
  const { wave, bandwidth } = policy.rollout
  const opensAt = openFrom(policy.schedule, moment.now)
  moment.horizon.note(opensAt)
  // What jobs get already is brought at any time: a host without it is of no use to them.
  const isAllowed = ({ build }: Wish): boolean => opensAt <= moment.now || build.id === promoted?.id
  const ofPromoted = ({ build }: Wish): number => (build.id === promoted?.id ? 0 : 1)
  const wishes = turn.wishes.sort(
    (a, b) => ofPromoted(a) - ofPromoted(b) || (a.hold?.tries ?? 0) - (b.hold?.tries ?? 0) || a.place.index - b.place.index,
  )
  const steps: Step[] = []
  const left: Wish[] = []
  for (const wish of wishes) {
    if (steps.length >= free || fetches.busy.has(wish.place.host.id) || !isAllowed(wish)) {
      left.push(wish)
      continue
    }
    fetches.busy.add(wish.place.host.id)
    const part = bandwidth === undefined ? null : Math.max(1, Math.floor(bandwidth / wave))
    steps.push(holdStep(wish, { fetch: true, bandwidth: part, tries: wish.hold?.tries ?? 0 }))
  }
  const [first] = left
  if (first === undefined) return { steps, waiting: null }
  const places = left.map(({ place }) => place)
  const why =
    opensAt > moment.now && !left.some(isAllowed)
      ? `its window opens in ${formatDuration(opensAt - moment.now)}`
      : `at most ${wave} fetch it at once`
  const message = `${counted(places.length, 'host')} ${places.length === 1 ? 'waits' : 'wait'} for a turn to fetch ${first.build.name}: ${why}`
  const cure = `wait, or raise images.${name}.rollout.wave in cidery.yaml`
  return { steps, waiting: lineWaiting(name, { code: 'imageRollout', message, cure, since: first.build.endedAt ?? moment.now, places }) }
}

function told({ name, next, promoted }: LineScene, { low, lonely, pausing }: Turn, { now }: Moment): readonly Waiting[] {
  const build = next ?? promoted
  const waiting: Waiting[] = []
  if (low.length > 0 && build !== null) {
    const least = Math.min(...low.map(({ view }) => view.freeDiskMiB))
    const message = `${namesOf(low)} cannot take ${build.name}: it needs ${mebibytes(build.sizeBytes ?? 0)}, and ${Math.round(least)} MiB are free with nothing more to remove`
    const cure = `cidery host clean ${low[0]?.host.name ?? ''}, or give it a larger disk`
    waiting.push(lineWaiting(name, { code: 'imageDiskLow', message, cure, since: now, places: low }))
  }
  if (lonely.length > 0 && build !== null) {
    const message = `${build.name} is on the host that built it alone: it is in no registry${build.pushSkipped === '' ? '' : ` (${build.pushSkipped})`}`
    const cure = `set images.${name}.registry in cidery.yaml, and give its hosts the credentials`
    waiting.push(lineWaiting(name, { code: 'imageNotShared', message, cure, since: build.endedAt ?? now, places: lonely }))
  }
  if (pausing.length > 0 && build !== null) {
    const message = `${namesOf(pausing)} did not get ${build.name} in time; the next turn comes later`
    waiting.push(
      lineWaiting(name, {
        code: 'imageRollout',
        message,
        cure: `cidery host show ${pausing[0]?.host.name ?? ''}`,
        since: now,
        places: pausing,
      }),
    )
  }
  return waiting
}

function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / mebibyte)} MiB`
}

interface Mine {
  readonly holds: readonly ImageHold[]
  /** Ids of builds that some host is to have. */
  readonly needed: ReadonlySet<string>
}

/** Turns that are under way; those that took too long, or whose host is gone for sure, end. */
function endOverdue(
  scene: LineScene,
  { holds, needed }: Mine,
  { moment }: { readonly moment: Moment },
): { readonly steps: readonly Step[]; readonly fetching: number } {
  const steps: Step[] = []
  let fetching = 0
  for (const hold of holds) {
    if (!hold.fetch) continue
    const host = moment.world.hosts.get(hold.hostId)
    const isThere = storedOn(host?.facts ?? null).has(hold.buildId)
    if (!isThere) fetching += 1
    if (!needed.has(hold.buildId)) continue
    // What nobody is to get any more, but could go back to, is not brought for that.
    const isWanted = scene.promoted?.id === hold.buildId || scene.next?.id === hold.buildId
    if (isThere) steps.push(keepStep(hold, 0))
    else if (!isWanted) steps.push(keepStep(hold, hold.tries))
    else if (isOverdue(hold, scene, { host, moment })) steps.push(keepStep(hold, hold.tries + 1))
  }
  return { steps, fetching }
}

function isOverdue(
  hold: ImageHold,
  { builds }: LineScene,
  { host, moment }: { readonly host: Host | undefined; readonly moment: Moment },
): boolean {
  const { world, now, horizon, spec } = moment
  if (host === undefined) return true
  const overAt = patienceEnds(
    hold,
    builds.find(({ id }) => id === hold.buildId),
  )
  const endsAt = host.state === 'up' ? overAt : Math.min(overAt, builderGoneAt(host, world, spec.limits))
  horizon.note(endsAt)
  return now >= endsAt
}

function keepStep({ hostId, buildId, image, since }: ImageHold, tries: number): Step {
  return { kind: 'holdBuild', hostId, buildId, image, fetch: false, bandwidth: null, tries, before: since }
}

function patienceEnds({ since, bandwidth }: ImageHold, build: ImageBuild | undefined): Instant {
  const expected = bandwidth === null ? 0 : ((build?.sizeBytes ?? 0) / bandwidth) * 1000
  return since + Math.max(leastPatience, Math.ceil(patienceFactor * expected))
}

/** What is neither given to jobs nor about to be, nor to be gone back to, nor pinned, nor run on there. */
function dropUnneeded({ holds, needed }: Mine, fleet: Fleet): readonly Step[] {
  const steps: Step[] = []
  for (const hold of holds) {
    const { hostId, buildId, since } = hold
    if (needed.has(buildId)) continue
    const used = fleet.places.get(hostId)?.load?.attempts.some(({ attempt }) => attempt.buildId === buildId) ?? false
    if (!used) steps.push({ kind: 'dropHold', hostId, buildId, before: since })
    // Its turn is over all the same: were it lost meanwhile, it would be fetched again out of turn.
    else if (hold.fetch) steps.push(keepStep(hold, hold.tries))
  }
  return steps
}

function neededOf(scene: LineScene): ReadonlySet<string> {
  return new Set(scene.builds.filter((build) => isNeeded(build, scene)).map(({ id }): string => id))
}

function isNeeded(build: ImageBuild, { promoted, lastGood, next, canary, line }: LineScene): boolean {
  if ([promoted, lastGood, next, canary].some((other) => other?.id === build.id) || build.pinnedBy !== null) return true
  // Also one that waits for a person's word; its host may be the only one that has it.
  const isOpen = build.state === 'candidate' || build.state === 'validated'
  return isOpen && !line.rejected.includes(build.id) && (promoted === null || compareBuilds(promoted, build) < 0)
}
