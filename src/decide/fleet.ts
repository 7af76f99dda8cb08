import type { Host } from '../model/host.ts'
import type { Instant } from '../model/instant.ts'
import type { EngineName } from '../model/job.ts'
import type { Operation } from '../model/operation.ts'
import type { WaitingCode } from '../model/plan.ts'
import type { Shape } from '../model/shape.ts'
import type { Spec } from '../model/spec.ts'
import type { HostLoad, QueueLoad, World } from '../model/world.ts'
import type { Horizon } from './horizon.ts'
import { viewOf, type HostView } from './host-view.ts'
import { assignedAt } from './loads.ts'
import { lostAt, staleInterval } from './silence.ts'
import { compareText, visit } from './sorted-map.ts'

/** One host during one pass: what runs on it, counting what this pass already placed. */
export interface Place {
  readonly host: Host
  readonly view: HostView
  /** Rank by host id: the last word of every order. */
  readonly index: number
  heardAt: Instant
  /** Why nothing new goes there, whatever the job; null: open. */
  status: WaitingCode | null
  cpu: number
  memoryMiB: number
  diskMiB: number
  /** Disk promised since the facts were taken, and so not yet missing from their free disk. */
  newDiskMiB: number
  readonly sandboxes: Record<EngineName, number>
  /** What ran there when the pass began. */
  load: HostLoad | null
  /** The operation that keeps jobs away, when there is one. */
  operation: Operation | null
  /** Class for which this host is kept free. */
  heldFor: string | null
  group: HostGroup | null
}

/** Hosts between which placement sees no difference but load; all of one pool. */
export interface HostGroup {
  readonly view: HostView
  readonly open: Place[]
  readonly closed: Map<WaitingCode, Place[]>
}

export interface Fleet {
  readonly places: ReadonlyMap<string, Place>
  readonly groups: readonly HostGroup[]
  readonly totals: FleetTotals
}

export interface FleetTotals {
  cpu: number
  memoryMiB: number
  readonly slots: Record<EngineName, number>
}

export interface Moment {
  readonly spec: Spec
  readonly world: World
  readonly now: Instant
  readonly horizon: Horizon
}

/** Counts what runs where. Hosts that left the fleet are not in it. */
export function surveyFleet(moment: Moment): Fleet {
  const { world } = moment
  const totals: FleetTotals = { cpu: 0, memoryMiB: 0, slots: { user: 0, qemu: 0, tart: 0 } }
  const places = makePlaces(moment, totals)
  visit(world.hostLoads, (load, hostId) => {
    const place = places.get(hostId)
    if (place !== undefined) addLoad(place, load)
  })
  for (const sandbox of world.sandboxes.values()) {
    const place = places.get(sandbox.hostId)
    if (place !== undefined) place.sandboxes[sandbox.engine] += 1
  }
  for (const operation of world.operations.values()) {
    const place = places.get(operation.hostId)
    if (place !== undefined && keepsJobsAway(operation)) place.operation ??= operation
  }
  return { places, groups: groupPlaces(moment, places), totals }
}

function addLoad(place: Place, load: HostLoad): void {
  place.load = load
  place.cpu = load.cpu
  place.memoryMiB = load.memoryMiB
  place.diskMiB = load.diskMiB
  place.sandboxes.user += load.sandboxes.user
  place.sandboxes.qemu += load.sandboxes.qemu
  place.sandboxes.tart += load.sandboxes.tart
  const { factsAt } = place.view
  if (load.assignedAt <= factsAt) return
  for (const { attempt, shape } of load.attempts) if (assignedAt(attempt) > factsAt) place.newDiskMiB += shape.diskMiB
}

/** A restart of machine or agent waits until the host is idle, so that nothing new may start there. */
function keepsJobsAway(operation: Operation): boolean {
  return operation.request.kind === 'reboot' || operation.request.kind === 'restartAgent'
}

function makePlaces(moment: Moment, totals: FleetTotals): Map<string, Place> {
  const { spec, world, now, horizon } = moment
  const selectors = selectorKeys(world)
  const question = { spec, now, selectors, selectorsKey: selectors.join(',') }
  const places = new Map<string, Place>()
  let index = 0
  visit(world.hosts, (host) => {
    if (host.state === 'retired') return
    const { view, until } = viewOf(host, question)
    horizon.note(until)
    const place = emptyPlace(host, view, index)
    places.set(host.id, place)
    if (view.machines.length > 0) countStrangers(place, world)
    index += 1
    if (view.capacity === null) return
    totals.cpu += view.capacity.cpu
    totals.memoryMiB += view.capacity.memoryMiB
    for (const [name, engine] of view.engines) totals.slots[name] += engine.slots
  })
  visit(world.lastSeen, (at, id) => {
    const place = places.get(id)
    if (place !== undefined && at > place.heardAt) place.heardAt = at
  })
  return places
}

function emptyPlace(host: Host, view: HostView, index: number): Place {
  return {
    host,
    view,
    index,
    heardAt: host.lastSeenAt ?? host.enrolledAt,
    status: null,
    cpu: 0,
    memoryMiB: 0,
    diskMiB: 0,
    newDiskMiB: 0,
    sandboxes: { user: 0, qemu: 0, tart: 0 },
    load: null,
    operation: null,
    heldFor: null,
    group: null,
  }
}

/** VMs that the host sees and nobody here knows take a slot all the same: the host would refuse one more. */
function countStrangers(place: Place, world: World): void {
  for (const { id, engine } of place.view.machines) {
    if (!world.attempts.has(id) && !world.sandboxes.has(id)) place.sandboxes[engine] += 1
  }
}

/** Keys that some waiting job selects hosts by. */
function selectorKeys(world: World): string[] {
  const keys = new Set<string>()
  for (const { labels } of world.classes.values()) for (const key of Object.keys(labels)) keys.add(key)
  return [...keys].sort(compareText)
}

/** Charges a new job to a host: its own account of its free disk does not have it yet. */
export function takeRoom(place: Place, need: { readonly shape: Shape; readonly engine: EngineName }): void {
  place.cpu += need.shape.cpu
  place.memoryMiB += need.shape.memoryMiB
  place.diskMiB += need.shape.diskMiB
  place.newDiskMiB += need.shape.diskMiB
  place.sandboxes[need.engine] += 1
}

/** The part of the fleet that a job takes: the largest of its parts of all slots, CPUs and memory. */
export function shareOf(shape: Shape, engine: EngineName, totals: FleetTotals): number {
  return Math.max(part(1, totals.slots[engine]), part(shape.cpu, totals.cpu), part(shape.memoryMiB, totals.memoryMiB))
}

/** The share of the fleet that a queue's attempts take together. */
export function shareOfQueue(load: QueueLoad | undefined, totals: FleetTotals): number {
  let share = 0
  for (const { shape, engine, count } of load?.parts.values() ?? []) share += count * shareOf(shape, engine, totals)
  return share
}

function part(of: number, total: number): number {
  return total > 0 ? of / total : 0
}

function groupPlaces(moment: Moment, places: ReadonlyMap<string, Place>): HostGroup[] {
  const groups = new Map<string, HostGroup>()
  for (const place of places.values()) {
    place.status = statusOf(place, moment)
    const { view } = place
    let group = groups.get(view.signature)
    if (group === undefined) {
      group = { view, open: [], closed: new Map() }
      groups.set(view.signature, group)
    }
    place.group = group
    if (place.status === null) group.open.push(place)
    else listOf(group.closed, place.status).push(place)
  }
  return [...groups.values()]
}

/** The list under a key, made when it is not there. */
export function listOf<K, V>(lists: Map<K, V[]>, key: K): V[] {
  const known = lists.get(key)
  if (known !== undefined) return known
  const made: V[] = []
  lists.set(key, made)
  return made
}

/** Whether a host is lost, also when this pass is the first to see it. */
export function isLost(place: Place, moment: Moment): boolean {
  const { world, spec, now } = moment
  return place.host.state === 'lost' || (place.host.state === 'up' && now >= lostAt(place.heardAt, world, spec.limits))
}

/** Whether repeated failures put a host into quarantine, also when this pass is the first to see it. */
export function isFailing(place: Place): boolean {
  const limit = place.view.pool?.quarantineAfter
  return place.host.schedulable.kind === 'open' && limit !== undefined && place.host.failureStreak >= limit
}

function statusOf(place: Place, moment: Moment): WaitingCode | null {
  const { host } = place
  const { schedulable } = host
  if (isLost(place, moment)) return 'hostLost'
  const staleAt = place.heardAt + staleInterval(moment.spec.limits)
  moment.horizon.note(staleAt + 1)
  if (host.state === 'up') moment.horizon.note(lostAt(place.heardAt, moment.world, moment.spec.limits))
  if (schedulable.kind === 'cordoned') return 'hostCordoned'
  if (schedulable.kind === 'draining') return 'draining'
  if (schedulable.kind === 'quarantined' || isFailing(place)) return 'hostQuarantined'
  if (host.state === 'enrolled' || host.facts === null || moment.now > staleAt) return 'hostStale'
  return place.operation === null ? null : 'operationBusy'
}

/** What a host lacks for a job, or null when there is room. */
export function lacking(
  place: Place,
  need: { readonly shape: Shape; readonly engine: EngineName },
): 'a slot' | 'CPU' | 'memory' | 'disk' | null {
  const { view } = place
  const { capacity } = view
  const { shape, engine } = need
  if (capacity === null || place.sandboxes[engine] >= (view.engines.get(engine)?.slots ?? 0)) return 'a slot'
  // Shapes may be fractions of a CPU; their sum is not exact.
  if (place.cpu + shape.cpu > capacity.cpu + 1e-6) return 'CPU'
  if (place.memoryMiB + shape.memoryMiB > capacity.memoryMiB) return 'memory'
  const freeDisk = Math.min(capacity.diskMiB - place.diskMiB, view.freeDiskMiB - place.newDiskMiB)
  return shape.diskMiB > freeDisk ? 'disk' : null
}

/** How full a host is, 0…1: the fullest of its slots, CPUs, memory and disk. */
export function loadOf(place: Place, engine: EngineName): number {
  const { capacity } = place.view
  if (capacity === null) return 1
  return Math.max(
    part(place.sandboxes[engine], place.view.engines.get(engine)?.slots ?? 0),
    part(place.cpu, capacity.cpu),
    part(place.memoryMiB, capacity.memoryMiB),
    part(place.diskMiB, capacity.diskMiB),
  )
}
