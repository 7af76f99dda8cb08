import type { Host } from '../model/host.ts'
import type { ImageBuild } from '../model/image/build.ts'
import type { Instant, Milliseconds } from '../model/instant.ts'
import type { EngineName } from '../model/job.ts'
import type { Operation } from '../model/operation.ts'
import type { WaitingCode } from '../model/plan.ts'
import type { Shape } from '../model/shape.ts'
import type { Spec } from '../model/spec.ts'
import type { HostLoad, QueueLoad, World } from '../model/world.ts'
import type { Horizon } from './horizon.ts'
import { viewOf, type HostView } from './host-view.ts'
import { servingOf } from './images/serving.ts'
import { assignedAt } from './loads.ts'
import { leaseSlack, lostInterval, staleInterval } from './silence.ts'
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
  /** Replaced and never changed: it is shared with the world. */
  sandboxes: Readonly<Record<EngineName, number>>
  /** What ran there when the pass began. */
  load: HostLoad | null
  /** Builds of images that it is at. */
  builds: readonly ImageBuild[]
  /** The operation that keeps jobs away, when there is one. */
  operation: Operation | null
  /** Class for which this host is kept free. */
  heldFor: string | null
  /** Names of the hosts whose restart keeps it from its own. */
  restartsFirst: readonly string[]
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
  /** What runs on hosts where an attempt may have to be ended or stopped. */
  readonly restless: readonly Restless[]
}

export interface Restless {
  readonly hostId: string
  readonly load: HostLoad
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
  const places = makePlaces(moment)
  const restless: Restless[] = []
  visit(world.hostLoads, (load, hostId) => {
    const place = places.get(hostId)
    if (place !== undefined) addLoad(place, load)
    if (place === undefined || !isQuiet(load, place, moment.now)) restless.push({ hostId, load })
  })
  for (const sandbox of world.sandboxes.values()) {
    const place = places.get(sandbox.hostId)
    if (place !== undefined) addSandbox(place, sandbox.engine)
  }
  addBuilds(places, world)
  for (const place of places.values()) if (place.view.machines.length > 0) countStrangers(place, world)
  for (const operation of world.operations.values()) {
    const place = places.get(operation.hostId)
    if (place !== undefined && keepsJobsAway(operation)) place.operation ??= operation
  }
  const groups = groupPlaces(moment, places)
  return { places, groups, totals: totalsOf(groups), restless }
}

/** Whether nothing can be due on a host, so that its attempts need not be looked at one by one: nearly all hosts, nearly always. */
function isQuiet(load: HostLoad, place: Place, now: Instant): boolean {
  const { view } = place
  return view.isUp && view.closed !== 'draining' && view.bootId === load.bootId && !load.isCancelling && now < place.heardAt + leaseSlack
}

function addLoad(place: Place, load: HostLoad): void {
  place.load = load
  place.cpu = load.cpu
  place.memoryMiB = load.memoryMiB
  place.diskMiB = load.diskMiB
  place.sandboxes = load.sandboxes
  const { factsAt } = place.view
  if (load.assignedAt <= factsAt) return
  for (const { attempt, shape } of load.attempts) if (assignedAt(attempt) > factsAt) place.newDiskMiB += shape.diskMiB
}

function addSandbox(place: Place, engine: EngineName): void {
  place.sandboxes = { ...place.sandboxes, [engine]: place.sandboxes[engine] + 1 }
}

/** Hosts of a group have the same capacity and slots. */
function totalsOf(groups: readonly HostGroup[]): FleetTotals {
  const totals: FleetTotals = { cpu: 0, memoryMiB: 0, slots: { user: 0, qemu: 0, tart: 0 } }
  for (const group of groups) {
    const { capacity, engines } = group.view
    const hosts = sizeOf(group)
    if (capacity === null) continue
    totals.cpu += hosts * capacity.cpu
    totals.memoryMiB += hosts * capacity.memoryMiB
    for (const [name, engine] of engines) totals.slots[name] += hosts * engine.slots
  }
  return totals
}

/** How many hosts a group has, open or not. */
export function sizeOf(group: HostGroup): number {
  let size = group.open.length
  for (const places of group.closed.values()) size += places.length
  return size
}

/** A restart of machine or agent waits until the host is idle, so that nothing new may start there. */
function keepsJobsAway(operation: Operation): boolean {
  return operation.request.kind === 'reboot' || operation.request.kind === 'restartAgent'
}

function makePlaces(moment: Moment): Map<string, Place> {
  const { spec, world, now, horizon } = moment
  const selectors = selectorKeys(world)
  const question = { spec, now, selectors, selectorsKey: selectors.join(','), serving: servingOf(spec, world) }
  const { hostImages } = world
  const places = new Map<string, Place>()
  let index = 0
  visit(world.hosts, (host) => {
    if (host.state === 'retired') return
    const { view, until } = viewOf(host, hostImages.size === 0 ? question : { ...question, hostImages: hostImages.get(host.id) })
    horizon.note(until)
    places.set(host.id, emptyPlace(host, view, index))
    index += 1
  })
  visit(world.lastSeen, (at, id) => {
    const place = places.get(id)
    if (place !== undefined && at > place.heardAt) place.heardAt = at
  })
  return places
}

const noBuilds: readonly ImageBuild[] = []
const noSandboxes = { user: 0, qemu: 0, tart: 0 }

function emptyPlace(host: Host, view: HostView, index: number): Place {
  return {
    host,
    view,
    index,
    heardAt: view.heardAt,
    status: null,
    cpu: 0,
    memoryMiB: 0,
    diskMiB: 0,
    newDiskMiB: 0,
    sandboxes: noSandboxes,
    load: null,
    builds: noBuilds,
    operation: null,
    heldFor: null,
    restartsFirst: [],
    group: null,
  }
}

/** VMs that the host sees and nobody here knows take a slot all the same: the host would refuse one more. */
function countStrangers(place: Place, world: World): void {
  // The machines of builds are known to their hosts only, and counted with the builds.
  const ofBuilds = new Map<EngineName, number>()
  for (const { engine } of place.builds) ofBuilds.set(engine, (ofBuilds.get(engine) ?? 0) + 1)
  for (const { id, engine } of place.view.machines) {
    if (world.attempts.has(id) || world.sandboxes.has(id)) continue
    const left = ofBuilds.get(engine) ?? 0
    if (left > 0) ofBuilds.set(engine, left - 1)
    else addSandbox(place, engine)
  }
}

/** A build takes a slot and room of its host until it is over, also between two machines. */
function addBuilds(places: ReadonlyMap<string, Place>, world: World): void {
  for (const build of world.builds.values()) {
    if (build.state !== 'building' || build.origin.kind !== 'built') continue
    const place = places.get(build.origin.hostId)
    if (place === undefined) continue
    place.builds = [...place.builds, build]
    takeBuildRoom(place, build.engine, world.images.get(build.image)?.recipe?.shape)
  }
}

/** Charges a build to its host. What it has on the disk by now is missing from the free disk already, and not all of it is written. */
export function takeBuildRoom(place: Place, engine: EngineName, shape: Shape | undefined): void {
  place.cpu += shape?.cpu ?? 0
  place.memoryMiB += shape?.memoryMiB ?? 0
  place.diskMiB += shape?.diskMiB ?? 0
  addSandbox(place, engine)
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
  addSandbox(place, need.engine)
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
  const waits = { stale: staleInterval(moment.spec.limits), lost: lostInterval(moment.spec.limits) }
  for (const place of places.values()) {
    place.status = statusOf(place, moment, waits)
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

/** The first of what keeps new jobs away: silence, then people's orders and failures, then a missed sync, then a restart to come. */
function statusOf(place: Place, moment: Moment, waits: { readonly stale: Milliseconds; readonly lost: Milliseconds }): WaitingCode | null {
  const { view, heardAt } = place
  if (view.isUp) {
    const lostAt = Math.max(heardAt, moment.world.listeningSince) + waits.lost
    if (moment.now >= lostAt) return 'hostLost'
    moment.horizon.note(lostAt)
  }
  if (view.closed !== null) return view.closed
  const staleAt = heardAt + waits.stale
  if (moment.now > staleAt) return 'hostStale'
  moment.horizon.note(staleAt + 1)
  return place.operation === null ? null : 'operationBusy'
}

/** What a host lacks for a job, or null when there is room. */
export function lacking(
  place: Place,
  need: { readonly shape: Shape; readonly engine: EngineName },
): 'a slot' | 'CPU' | 'memory' | 'disk' | null {
  const { capacity, engines } = sharedView(place)
  const { shape, engine } = need
  if (capacity === null || place.sandboxes[engine] >= (engines.get(engine)?.slots ?? 0)) return 'a slot'
  // Shapes may be fractions of a CPU; their sum is not exact.
  if (place.cpu + shape.cpu > capacity.cpu + 1e-6) return 'CPU'
  if (place.memoryMiB + shape.memoryMiB > capacity.memoryMiB) return 'memory'
  const freeDisk = Math.min(capacity.diskMiB - place.diskMiB, place.view.freeDiskMiB - place.newDiskMiB)
  return shape.diskMiB > freeDisk ? 'disk' : null
}

/** How full a host is, 0…1: the fullest of its slots, CPUs, memory and disk. */
export function loadOf(place: Place, engine: EngineName): number {
  const { capacity, engines } = sharedView(place)
  if (capacity === null) return 1
  return Math.max(
    part(place.sandboxes[engine], engines.get(engine)?.slots ?? 0),
    part(place.cpu, capacity.cpu),
    part(place.memoryMiB, capacity.memoryMiB),
    part(place.diskMiB, capacity.diskMiB),
  )
}

/** Capacity and slots are equal in a group; its one view stays in the processor's cache where 10,000 would not. */
function sharedView(place: Place): Pick<HostView, 'capacity' | 'engines'> {
  return place.group?.view ?? place.view
}
