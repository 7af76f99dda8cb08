import type { ImageBuild } from '../../model/image/build.ts'
import { emptyLine, type ImageLine } from '../../model/image/line.ts'
import type { Image } from '../../model/spec.ts'
import { listOf, type Fleet, type HostGroup, type Moment, type Place } from '../fleet.ts'
import { compareText } from '../sorted-map.ts'
import { managedLines } from './managed.ts'
import { preferenceOf } from './preference.ts'
import { looksAfter } from './serving.ts'
import { storedOn } from './stored.ts'

/** One managed line during one pass. */
export interface LineScene {
  readonly name: string
  readonly policy: Image
  readonly line: ImageLine
  /** Builds that did not fail, the oldest first. */
  readonly builds: readonly ImageBuild[]
  readonly promoted: ImageBuild | null
  readonly lastGood: ImageBuild | null
  readonly canary: ImageBuild | null
  readonly underWay: ImageBuild | null
  /** The build that is brought to hosts, to be promoted. */
  readonly next: ImageBuild | null
  /** Groups of hosts that look after the line and have its engine. */
  readonly groups: readonly HostGroup[]
  /** Of them, the hosts that could run it now. */
  readonly places: readonly Place[]
}

/** The managed lines of a pass, those that some pool prefers first. */
export function surveyImages(moment: Moment, fleet: Fleet): readonly LineScene[] {
  const lines = managedLines(moment.spec)
  if (lines.length === 0) return []
  const byImage = new Map<string, ImageBuild[]>()
  for (const build of moment.world.builds.values()) listOf(byImage, build.image).push(build)
  const scenes = lines.map(({ name, policy }) => makeScene({ name, policy, builds: byImage.get(name) ?? [] }, moment, fleet))
  const ranks = new Map(scenes.map(({ name, groups }) => [name, Math.min(...groups.map(({ view }) => preferenceOf(view.pool, name)))]))
  return scenes.sort((a, b) => (ranks.get(a.name) ?? 0) - (ranks.get(b.name) ?? 0) || compareText(a.name, b.name))
}

function makeScene(given: Pick<LineScene, 'name' | 'policy' | 'builds'>, { world }: Moment, fleet: Fleet): LineScene {
  const { name, policy } = given
  const line = world.images.get(name) ?? emptyLine(name)
  const builds = [...given.builds].sort(compareBuilds)
  const find = (id: string | null | undefined): ImageBuild | null => builds.find((build) => build.id === id) ?? null
  const promoted = find(line.promoted)
  const canary = find(line.canary?.buildId)
  const groups = fleet.groups.filter(
    ({ view }) => looksAfter(view.pool, name) && view.engines.get(policy.engine)?.facts.capabilities.images === true,
  )
  const places = groups
    .filter(({ view }) => view.engines.get(policy.engine)?.facts.ok === true)
    .flatMap(({ open }) => open.filter(keepsImages))
  return {
    ...given,
    line,
    builds,
    promoted,
    lastGood: find(line.lastGood),
    canary,
    underWay: builds.find(({ state }) => state === 'building') ?? null,
    next: canary?.state === 'validated' ? canary : nextOf({ line, builds, promoted }),
    groups,
    places: places.sort((a, b) => a.index - b.index),
  }
}

/** Agents before 0.2 know nothing of builds. */
function keepsImages({ host }: Place): boolean {
  return host.facts?.storedImages !== undefined
}

/** By age, then id. */
export function compareBuilds(a: ImageBuild, b: ImageBuild): number {
  return a.createdAt - b.createdAt || compareText(a.id, b.id)
}

/** The newest sound build that is newer than the promoted one; else an older one that is what the recipe makes, when it was changed back. */
function nextOf({ line, builds, promoted }: Pick<LineScene, 'line' | 'builds' | 'promoted'>): ImageBuild | null {
  const free = builds.filter(({ id }) => !line.rejected.includes(id))
  const fresh = free.findLast((build) => build.state === 'validated' && (promoted === null || compareBuilds(promoted, build) < 0))
  if (fresh !== undefined) return fresh
  const wanted = line.recipe?.identity ?? null
  if (wanted === null || promoted?.identity === wanted) return null
  return free.findLast(({ state, identity }) => (state === 'retired' || state === 'validated') && identity === wanted) ?? null
}

/** Whether a build can still be had: from a registry, or from a host that has it. */
export function isObtainable(build: ImageBuild, { world }: Moment): boolean {
  if (build.reference !== null) return true
  for (const host of world.hosts.values()) if (host.state !== 'retired' && storedOn(host.facts).has(build.id)) return true
  return false
}

/** Hosts that could have a build: all that could run it, or those that hold it when it is in no registry. */
export function couldHave({ places }: LineScene, build: ImageBuild): readonly Place[] {
  return build.reference === null ? places.filter(({ host }) => storedOn(host.facts).has(build.id)) : places
}

/** Hosts that have a build, proved ready under its own id. */
export function readyWith({ places, policy }: LineScene, build: ImageBuild): readonly Place[] {
  return places.filter(
    ({ host, view }) => storedOn(host.facts).has(build.id) && view.engines.get(policy.engine)?.verdicts.get(build.id)?.state === 'ready',
  )
}
