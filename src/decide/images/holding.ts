import type { Host } from '../../model/host.ts'
import type { ImageBuild } from '../../model/image/build.ts'
import type { ImageHold } from '../../model/image/line.ts'
import { hour, minute, type Instant, type Milliseconds } from '../../model/instant.ts'
import type { Step, Waiting } from '../../model/plan.ts'
import type { World } from '../../model/world.ts'
import { listOf, type Fleet, type Moment, type Place } from '../fleet.ts'
import { visit } from '../sorted-map.ts'
import { builderGoneAt } from './building.ts'
import { tellHeldBack, waitingForTurn } from './held-back.ts'
import { isTaken } from './promotion.ts'
import { openFrom } from './schedule.ts'
import { looksAfter } from './serving.ts'
import { indexOf, storedOn } from './stored.ts'
import { compareBuilds, type LineScene } from './survey.ts'

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
  const isMine = (hostId: string): boolean => {
    const place = fleet.places.get(hostId)
    return place === undefined || looksAfter(place.view.pool, scene.name)
  }
  const mine: Mine = { holds: fetches.ofLine.get(scene.name) ?? [], needed: neededOf(scene), isMine }
  const under = endOverdue(scene, mine, moment)
  const turn: Turn = { wishes: [], steps: [...under.steps], low: [], pausing: [], lonely: [] }
  for (const place of scene.places) for (const build of targetsOn(scene, place)) lookAt({ place, build }, turn, moment)
  const waiting: Waiting[] = []
  const granted = grant(scene, { turn, moment, fetches, free: scene.policy.rollout.wave - under.fetching })
  if (granted.waiting !== null) waiting.push(granted.waiting)
  waiting.push(...tellHeldBack(scene, turn, moment))
  return { steps: [...turn.steps, ...granted.steps, ...dropUnneeded(mine, fleet)], waiting }
}

/** Builds that a host is to have: what jobs get there, and what they are about to get. */
function targetsOn(scene: LineScene, place: Place): readonly ImageBuild[] {
  const { promoted, next } = scene
  const builds = promoted === null ? [] : [promoted]
  return next !== null && next.id !== promoted?.id && isTaken(scene, place) ? [...builds, next] : builds
}

function lookAt({ place, build }: Omit<Wish, 'hold'>, turn: Turn, moment: Moment): void {
  const { host } = place
  const hold = indexOf(moment.world.hostImages.get(host.id)).holds.get(build.id)
  if (!storedOn(host.facts).has(build.id)) return lookAtMissing({ place, build, hold }, turn, moment)
  const isNews = hold === undefined || (!hold.fetch && hold.tries > 0)
  if (isNews) turn.steps.push(holdStep({ place, build, hold }, { fetch: false, bandwidth: null, tries: 0 }))
}

function lookAtMissing(wish: Wish, turn: Turn, { now, horizon }: Moment): void {
  const { place, build, hold } = wish
  if (hold?.fetch === true) return
  if (build.reference === null) return void turn.lonely.push(place)
  const readyAt = (hold?.since ?? 0) + pauseAfter(hold?.tries ?? 0)
  horizon.note(readyAt)
  if (now < readyAt) turn.pausing.push(place)
  else if (lacksDisk(place, build)) turn.low.push(place)
  else turn.wishes.push(wish)
}

function pauseAfter(tries: number): Milliseconds {
  return tries === 0 ? 0 : Math.min(longestPause, firstPause * 2 ** Math.min(30, tries - 1))
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

function grant(scene: LineScene, given: Grant): { readonly steps: readonly Step[]; readonly waiting: Waiting | null } {
  const { turn, moment, fetches, free } = given
  const { policy, promoted } = scene
  const opensAt = openFrom(policy.schedule, moment.now)
  moment.horizon.note(opensAt)
  // What jobs get already is brought at any time: a host without it is of no use to them.
  const isAllowed = ({ build }: Wish): boolean => opensAt <= moment.now || build.id === promoted?.id
  const steps: Step[] = []
  const left: Wish[] = []
  for (const wish of inTurn(turn.wishes, promoted)) {
    if (steps.length >= free || fetches.busy.has(wish.place.host.id) || !isAllowed(wish)) {
      left.push(wish)
      continue
    }
    fetches.busy.add(wish.place.host.id)
    steps.push(holdStep(wish, { fetch: true, bandwidth: partOf(scene), tries: wish.hold?.tries ?? 0 }))
  }
  const isShut = !left.some(isAllowed)
  return { steps, waiting: waitingForTurn(scene, left, { moment, opensAt: isShut ? opensAt : moment.now }) }
}

/** What jobs get first; then who has not had a turn; then by host. */
function inTurn(wishes: Wish[], promoted: ImageBuild | null): readonly Wish[] {
  const ofPromoted = ({ build }: Wish): number => (build.id === promoted?.id ? 0 : 1)
  return wishes.sort(
    (a, b) => ofPromoted(a) - ofPromoted(b) || (a.hold?.tries ?? 0) - (b.hold?.tries ?? 0) || a.place.index - b.place.index,
  )
}

/** The same for each of a wave, so that the sum stays within what the line may take whoever begins or ends. */
function partOf({ policy }: LineScene): number | null {
  const { wave, bandwidth } = policy.rollout
  return bandwidth === undefined ? null : Math.max(1, Math.floor(bandwidth / wave))
}

interface Mine {
  readonly holds: readonly ImageHold[]
  /** Ids of builds that some host is to have. */
  readonly needed: ReadonlySet<string>
  /** Whether a host looks after the line, as far as is known: it may have come into another pool. */
  readonly isMine: (hostId: string) => boolean
}

/** Turns that are under way; those that took too long, or whose host is gone for sure, end. */
function endOverdue(
  scene: LineScene,
  { holds, needed, isMine }: Mine,
  moment: Moment,
): { readonly steps: readonly Step[]; readonly fetching: number } {
  const steps: Step[] = []
  let fetching = 0
  for (const hold of holds) {
    if (!hold.fetch) continue
    const host = moment.world.hosts.get(hold.hostId)
    const isThere = storedOn(host?.facts ?? null).has(hold.buildId)
    if (!isThere) fetching += 1
    const tries = isThere ? 0 : triesAfter(hold, scene, { host, moment })
    if (tries !== null && needed.has(hold.buildId) && isMine(hold.hostId)) steps.push(keepStep(hold, tries))
  }
  return { steps, fetching }
}

/** Turns without the build once this one ends now; null: it goes on. */
function triesAfter(hold: ImageHold, scene: LineScene, on: { readonly host: Host | undefined; readonly moment: Moment }): number | null {
  // What nobody is to get any more, but could go back to, is not brought for that.
  const isWanted = scene.promoted?.id === hold.buildId || scene.next?.id === hold.buildId
  if (!isWanted) return hold.tries
  return isOverdue(hold, scene, on) ? hold.tries + 1 : null
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
function dropUnneeded({ holds, needed, isMine }: Mine, fleet: Fleet): readonly Step[] {
  const steps: Step[] = []
  for (const hold of holds) {
    const { hostId, buildId, since } = hold
    if (needed.has(buildId) && isMine(hostId)) continue
    const used = fleet.places.get(hostId)?.load?.attempts.some(({ attempt }) => attempt.buildId === buildId) ?? false
    if (!used) steps.push({ kind: 'dropHold', hostId, buildId, before: since })
    // Its turn is over all the same: were it lost meanwhile, it would be fetched again out of turn.
    else if (hold.fetch && !needed.has(buildId)) steps.push(keepStep(hold, hold.tries))
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
