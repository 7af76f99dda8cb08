import type { WaitingCode } from '../model/plan.ts'
import type { Shape } from '../model/shape.ts'
import type { JobClass } from '../model/world.ts'
import { labelsKey } from './advance-world.ts'
import { sizeOf, type Fleet, type HostGroup, type Moment, type Place } from './fleet.ts'
import type { EngineView } from './host-view.ts'
import { poolsOfQueue } from './pools.ts'

/** Hosts that a job cannot use, and why; for hosts that its pools, engine and labels name. */
export interface Hindrance {
  readonly code: WaitingCode
  readonly groups: readonly HostGroup[]
  /** The hosts, group by group, each list in the order of the hosts' ids. */
  readonly lists: readonly (readonly Place[])[]
}

/** How a class of jobs stands to the hosts of the fleet, load aside. */
export interface Fit {
  /** Groups whose open hosts can run it when they have room. */
  readonly usable: readonly HostGroup[]
  readonly hindrances: readonly Hindrance[]
  /** How far the hosts came: each number is of those that passed all before. */
  readonly inPools: number
  readonly withEngine: number
  readonly withLabels: number
}

type Need = Pick<JobClass, 'queue' | 'engine' | 'image' | 'labels' | 'shape' | 'network'>

/** Matches classes with groups of hosts; classes that differ in queue or priority only share one answer. */
export interface Matcher {
  fit(need: Need): Fit
}

export function createMatcher(moment: Moment, fleet: Fleet): Matcher {
  const fits = new Map<string, Fit>()
  return {
    fit(need) {
      const pools = poolSet(moment, need.queue)
      const { shape } = need
      const size = `${shape.cpu}x${shape.memoryMiB}x${shape.diskMiB}`
      const key = `${[...pools].join(',')}|${need.engine}|${need.image ?? ''}|${need.network}|${size}|${labelsKey(need.labels)}`
      let fit = fits.get(key)
      if (fit === undefined) {
        fit = matchGroups(need, pools, fleet.groups)
        fits.set(key, fit)
      }
      return fit
    },
  }
}

function poolSet(moment: Moment, queueName: string): ReadonlySet<string> {
  const queue = moment.spec.queues[queueName]
  return new Set(queue === undefined ? [] : poolsOfQueue(moment.spec, queue))
}

function matchGroups(need: Need, pools: ReadonlySet<string>, groups: readonly HostGroup[]): Fit {
  const usable: HostGroup[] = []
  const found = new Map<WaitingCode, { groups: HostGroup[]; lists: (readonly Place[])[] }>()
  const passed = { inPools: 0, withEngine: 0, withLabels: 0 }
  for (const group of groups) {
    if (!pools.has(group.view.poolName)) continue
    const size = sizeOf(group)
    passed.inPools += size
    if (!offersEngine(group, need)) continue
    passed.withEngine += size
    if (!hasLabels(group, need)) continue
    passed.withLabels += size
    const engine = group.view.engines.get(need.engine)
    const never = group.view.capacity === null ? null : neverThere(need, engine, group.view.capacity)
    for (const [status, places] of group.closed) hinder(found, never ?? status, { group, places })
    if (group.open.length === 0) continue
    const notNow = never ?? notReady(need, engine, group)
    if (notNow === null) usable.push(group)
    else hinder(found, notNow, { group, places: group.open })
  }
  const hindrances = [...found].map(([code, where]) => ({ code, ...where }))
  return { usable, hindrances, ...passed }
}

function hinder(
  found: Map<WaitingCode, { groups: HostGroup[]; lists: (readonly Place[])[] }>,
  code: WaitingCode,
  where: { group: HostGroup; places: readonly Place[] },
): void {
  let known = found.get(code)
  if (known === undefined) {
    known = { groups: [], lists: [] }
    found.set(code, known)
  }
  known.groups.push(where.group)
  known.lists.push(where.places)
}

/** A host that has not reported yet may turn out to have the engine: it counts, and says that it has not reported. */
function offersEngine(group: HostGroup, need: Need): boolean {
  return group.view.capacity === null || group.view.engines.has(need.engine)
}

function hasLabels(group: HostGroup, need: Need): boolean {
  const { labels } = group.view
  return Object.entries(need.labels).every(([key, value]) => labels[key] === value)
}

/** What only another host or another spec could change. */
function neverThere(need: Need, engine: EngineView | undefined, capacity: Shape): WaitingCode | null {
  if (engine === undefined || (need.image !== null && !engine.facts.capabilities.images)) return 'engineUnsupported'
  if (!engine.networks.includes(need.network)) return 'networkUnsupported'
  if (engine.unenforced.some((part) => part !== 'disk' || need.shape.diskMiB > 0)) return 'limitUnenforceable'
  const { shape } = need
  const fits = shape.cpu <= capacity.cpu && shape.memoryMiB <= capacity.memoryMiB && shape.diskMiB <= capacity.diskMiB
  return fits ? null : 'tooLarge'
}

/** What the host's own care will change: its engine, its image, its proofs. */
function notReady(need: Need, engine: EngineView | undefined, group: HostGroup): WaitingCode | null {
  if (engine === undefined) return 'engineUnsupported'
  if (!engine.facts.ok) return 'hostNotReady'
  if (need.image !== null && !group.view.images.has(need.image)) return 'imageMissing'
  const verdict = engine.verdicts.get(need.image ?? '')
  if (verdict === undefined || verdict.state === 'unknown') return 'readinessUnknown'
  return verdict.state === 'notReady' ? 'hostNotReady' : null
}

/** Values of a label on the hosts of some groups, with their number: what a person meant, perhaps. */
export function otherValues(groups: readonly HostGroup[], key: string): ReadonlyMap<string, number> {
  const values = new Map<string, number>()
  for (const group of groups) {
    const value = group.view.labels[key]
    if (value !== undefined) values.set(value, (values.get(value) ?? 0) + sizeOf(group))
  }
  return values
}
