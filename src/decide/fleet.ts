import type { Host } from '../model/host.ts'
import type { Instant } from '../model/instant.ts'
import type { EngineName } from '../model/job.ts'
import type { Operation } from '../model/operation.ts'
import type { WaitingCode } from '../model/plan.ts'
import type { Shape } from '../model/shape.ts'
import type { Spec } from '../model/spec.ts'
import type { World } from '../model/world.ts'
import type { Horizon } from './horizon.ts'
import { viewOf, type HostView } from './host-view.ts'
import { lostAt, staleInterval } from './silence.ts'
import { compareText } from './sorted-map.ts'

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
  attempts: number
  /** The operation that keeps jobs away, when there is one. */
  operation: Operation | null
  /** Class for which this host is kept free. */
  heldFor: string | null
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
  /** Per queue: attempts under way and the share of the fleet that they take. */
  readonly usage: ReadonlyMap<string, QueueUsage>
  /** Jobs that have an attempt which is not known to be over. */
  readonly busyJobs: ReadonlySet<string>
}

export interface FleetTotals {
  cpu: number
  memoryMiB: number
  readonly slots: Record<EngineName, number>
}

export interface QueueUsage {
  running: number
  share: number
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
  const { usage, busyJobs } = countAttempts(world, places, totals)
  for (const sandbox of world.sandboxes.values()) {
    const place = places.get(sandbox.hostId)
    if (place !== undefined) place.sandboxes[sandbox.engine] += 1
  }
  countStrangers(world, places)
  for (const operation of world.operations.values()) {
    const place = places.get(operation.hostId)
    if (place !== undefined && keepsJobsAway(operation)) place.operation ??= operation
  }
  return { places, groups: groupPlaces(moment, places), totals, usage, busyJobs }
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
  for (const host of world.hosts.values()) {
    if (host.state === 'retired') continue
    const { view, until } = viewOf(host, question)
    horizon.note(until)
    places.set(host.id, {
      ...emptyPlace,
      host,
      view,
      index,
      heardAt: host.lastSeenAt ?? host.enrolledAt,
      sandboxes: { user: 0, qemu: 0, tart: 0 },
    })
    index += 1
    if (view.capacity === null) continue
    totals.cpu += view.capacity.cpu
    totals.memoryMiB += view.capacity.memoryMiB
    for (const [name, engine] of view.engines) totals.slots[name] += engine.slots
  }
  for (const [id, at] of world.lastSeen) {
    const place = places.get(id)
    if (place !== undefined && at > place.heardAt) place.heardAt = at
  }
  return places
}

const emptyPlace = { status: null, cpu: 0, memoryMiB: 0, diskMiB: 0, newDiskMiB: 0, attempts: 0, operation: null, heldFor: null }

/** Keys that some waiting job selects hosts by. */
function selectorKeys(world: World): string[] {
  const keys = new Set<string>()
  for (const { labels } of world.classes.values()) for (const key of Object.keys(labels)) keys.add(key)
  return [...keys].sort(compareText)
}

function countAttempts(world: World, places: ReadonlyMap<string, Place>, totals: FleetTotals) {
  const usage = new Map<string, QueueUsage>()
  const busyJobs = new Set<string>()
  for (const live of world.attempts.values()) {
    const { attempt } = live
    busyJobs.add(attempt.jobId)
    const queue = usage.get(live.queue) ?? { running: 0, share: 0 }
    queue.running += 1
    queue.share += shareOf(live.shape, live.engine, totals)
    usage.set(live.queue, queue)
    const place = places.get(attempt.hostId)
    if (place === undefined) continue
    const isNew = (attempt.times.assigned ?? attempt.receiptAt) > place.view.factsAt
    takeRoom(place, live, isNew)
    place.attempts += 1
  }
  return { usage, busyJobs }
}

/** Charges a job to a host. `isNew`: the host's own account of its free disk does not have it yet. */
export function takeRoom(place: Place, need: { readonly shape: Shape; readonly engine: EngineName }, isNew: boolean): void {
  place.cpu += need.shape.cpu
  place.memoryMiB += need.shape.memoryMiB
  place.diskMiB += need.shape.diskMiB
  if (isNew) place.newDiskMiB += need.shape.diskMiB
  place.sandboxes[need.engine] += 1
}

/** The part of the fleet that a job takes: the largest of its parts of all slots, CPUs and memory. */
export function shareOf(shape: Shape, engine: EngineName, totals: FleetTotals): number {
  return Math.max(part(1, totals.slots[engine]), part(shape.cpu, totals.cpu), part(shape.memoryMiB, totals.memoryMiB))
}

function part(of: number, total: number): number {
  return total > 0 ? of / total : 0
}

/** VMs that the host sees and nobody here knows take a slot all the same: the host would refuse one more. */
function countStrangers(world: World, places: ReadonlyMap<string, Place>): void {
  for (const place of places.values()) {
    for (const sandbox of place.host.facts?.sandboxes ?? []) {
      if (sandbox.engine === 'user' || world.attempts.has(sandbox.id) || world.sandboxes.has(sandbox.id)) continue
      place.sandboxes[sandbox.engine] += 1
    }
  }
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
  if (schedulable.kind === 'cordoned') return 'hostCordoned'
  if (schedulable.kind === 'draining') return 'draining'
  if (schedulable.kind === 'quarantined' || isFailing(place)) return 'hostQuarantined'
  const staleAt = place.heardAt + staleInterval(moment.spec.limits)
  if (host.state === 'enrolled' || host.facts === null || moment.now > staleAt) return 'hostStale'
  moment.horizon.note(staleAt + 1)
  moment.horizon.note(lostAt(place.heardAt, moment.world, moment.spec.limits))
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
