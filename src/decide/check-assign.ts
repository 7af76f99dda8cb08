import type { EngineFacts, Host } from '../model/host.ts'
import { isManaged } from '../model/image/managed.ts'
import type { EngineName } from '../model/job.ts'
import type { Step } from '../model/plan.ts'
import type { Shape } from '../model/shape.ts'
import type { Pool, PoolEngine } from '../model/spec.ts'
import type { LiveJob, World } from '../model/world.ts'
import { checkServed, createImageLedger, proofProblem, type ImageLedger } from './images/check-images.ts'
import { labelsOf, poolEngine, poolNameOf, poolOf, poolsOfQueue } from './pools.ts'
import type { Scene } from './scene.ts'
import { heardAt, staleInterval } from './silence.ts'

export type { Scene } from './scene.ts'

/** What hosts and queues hold, with what the plan has added so far. */
export interface Ledger {
  readonly rooms: Map<string, Room>
  readonly running: Map<string, number>
  /** Hosts that have an operation past PENDING. */
  readonly operating: Set<string>
  /** Hosts of which machine or agent is to be restarted. */
  readonly restarting: Set<string>
  /** Hosts whose machine is being restarted, or was by cidery so lately that it may not have come back. */
  readonly rebooting: Set<string>
  readonly images: ImageLedger
}

const noRoom: Shape = { cpu: 0, memoryMiB: 0, diskMiB: 0 }

interface Room {
  cpu: number
  memoryMiB: number
  diskMiB: number
  readonly sandboxes: Partial<Record<EngineName, number>>
}

export function createLedger(scene: Scene): Ledger {
  const { world } = scene
  const ledger: Ledger = {
    rooms: new Map(),
    running: new Map(),
    operating: new Set(),
    restarting: new Set(),
    rebooting: new Set(),
    images: createImageLedger(scene),
  }
  fillRooms(ledger, world)
  for (const { hostId, state, request } of world.operations.values()) {
    if (state !== 'PENDING') ledger.operating.add(hostId)
    if (request.kind === 'reboot' || request.kind === 'restartAgent') ledger.restarting.add(hostId)
    if (request.kind === 'reboot') ledger.rebooting.add(hostId)
  }
  for (const host of world.hosts.values()) if (wasRebooted(host, scene)) ledger.rebooting.add(host.id)
  return ledger
}

/** What runs where when the plan begins. */
function fillRooms(ledger: Ledger, world: World): void {
  for (const live of world.attempts.values()) {
    charge(roomOf(ledger, live.attempt.hostId), live)
    ledger.running.set(live.queue, (ledger.running.get(live.queue) ?? 0) + 1)
  }
  for (const sandbox of world.sandboxes.values()) addSandbox(roomOf(ledger, sandbox.hostId), sandbox.engine)
  for (const { origin, state, engine, image } of world.builds.values()) {
    if (state !== 'building' || origin.kind !== 'built') continue
    charge(roomOf(ledger, origin.hostId), { engine, shape: world.images.get(image)?.recipe?.shape ?? noRoom })
  }
}

function wasRebooted(host: Host, { spec, now }: Scene): boolean {
  const { schedulable, repairedAt, state, facts } = host
  // Here, and as ill as before.
  if (state === 'up' && (facts?.needsReboot ?? []).length > 0) return false
  if (schedulable.kind !== 'quarantined' || (schedulable.repair?.tries ?? 0) === 0 || repairedAt === null) return false
  return now < repairedAt + (poolOf(spec, host)?.repair.rebootEvery ?? 0)
}

function roomOf(ledger: Ledger, hostId: string): Room {
  const room = ledger.rooms.get(hostId) ?? { cpu: 0, memoryMiB: 0, diskMiB: 0, sandboxes: {} }
  ledger.rooms.set(hostId, room)
  return room
}

function charge(room: Room, need: { readonly shape: Shape; readonly engine: EngineName }): void {
  room.cpu += need.shape.cpu
  room.memoryMiB += need.shape.memoryMiB
  room.diskMiB += need.shape.diskMiB
  addSandbox(room, need.engine)
}

function addSandbox(room: Room, engine: EngineName): void {
  room.sandboxes[engine] = (room.sandboxes[engine] ?? 0) + 1
}

type Assign = Extract<Step, { kind: 'assign' }>

/** What is wrong with placing this job on this host, or null; when nothing is, the ledger has it. */
export function checkAssign(step: Assign, scene: Scene, ledger: Ledger): string | null {
  const { world } = scene
  const job = world.jobs.get(step.jobId)
  if (job === undefined) return 'the job has ended'
  const host = world.hosts.get(step.hostId)
  if (host === undefined) return 'the host left the fleet'
  if (ledger.restarting.has(host.id)) return 'the host is about to restart'
  const target = targetOf(host, job.engine, scene)
  if (target === null) return `the host does not offer engine ${job.engine}`
  const room = roomOf(ledger, host.id)
  const fitness =
    jobProblem(step, job, scene) ??
    hostProblem(step, host, scene) ??
    matchProblem(job, target, scene) ??
    imageProblem({ step, job, target }, scene)
  const problem = fitness ?? overCommit(job, target, room) ?? queueProblem(job, scene, ledger)
  if (problem === null) {
    charge(room, job)
    ledger.running.set(job.queue, (ledger.running.get(job.queue) ?? 0) + 1)
  }
  return problem
}

function targetOf(host: Host, engine: EngineName, { spec }: Scene): Target | null {
  const pool = poolOf(spec, host)
  const facts = host.facts?.engines.find((found) => found.name === engine)
  const policy = pool === undefined ? undefined : poolEngine(pool, engine)
  return pool === undefined || policy === undefined || facts === undefined ? null : { host, pool, policy, facts }
}

function jobProblem(step: Assign, job: LiveJob, { now }: Scene): string | null {
  if (job.state !== 'queued') return `the job is ${job.state}`
  if (job.generation !== step.jobGeneration) return `decided under job generation ${step.jobGeneration}, it is ${job.generation} now`
  if (job.attempts.length > 0) return 'the job has an attempt that may be alive'
  if (job.cancelRequested !== null) return 'the job was cancelled'
  return job.notBefore > now ? 'the job waits for its retry' : null
}

function hostProblem(step: Assign, host: Host, { world, spec, now }: Scene): string | null {
  if (host.state !== 'up') return `the host is ${host.state}`
  if (host.generation !== step.hostGeneration) return `decided under host generation ${step.hostGeneration}, it is ${host.generation} now`
  if (host.schedulable.kind !== 'open') return `the host is ${host.schedulable.kind}`
  if (now > heardAt(host, world.lastSeen) + staleInterval(spec.limits)) return 'the host missed a sync'
  return null
}

interface Target {
  readonly host: Host
  readonly pool: Pool
  readonly policy: PoolEngine
  readonly facts: EngineFacts
}

function matchProblem(job: LiveJob, target: Target, { spec }: Scene): string | null {
  const { host, policy, facts } = target
  const queue = spec.queues[job.queue]
  if (queue === undefined || !poolsOfQueue(spec, queue).includes(poolNameOf(spec, host))) return 'the pool does not serve the queue'
  const labels = labelsOf(spec, host)
  const unmatched = Object.entries(job.labels).find(([key, value]) => labels[key] !== value)
  if (unmatched !== undefined) return `the host has no label ${unmatched.join('=')}`
  if (!policy.networks.includes(job.network) || !facts.capabilities.networks.includes(job.network))
    return `the host gives no network ${job.network}`
  return null
}

/** Whether what the job boots is there and proved. */
function imageProblem(
  { step, job, target }: { readonly step: Assign; readonly job: LiveJob; readonly target: Target },
  scene: Scene,
): string | null {
  const { host, pool } = target
  if (job.image !== null && isManaged(scene.spec, job.image)) return checkServed(job.image, { step, host, pool }, scene)
  if (step.buildId !== undefined) return `no build of ${job.image ?? 'nothing'} is managed`
  if (job.image !== null && host.facts?.images.includes(job.image) !== true) return `image ${job.image} is not on the host`
  return proofProblem({ host, pool, engine: job.engine, image: job.image }, scene)
}

function overCommit(job: Pick<LiveJob, 'engine' | 'shape'>, target: Target, room: Room): string | null {
  const { host, policy, facts } = target
  const capacity = host.facts?.capacity
  const slots = Math.min(policy.slots ?? facts.slots, facts.slots)
  if (!facts.ok || (room.sandboxes[job.engine] ?? 0) >= slots) return `the host has no free slot of engine ${job.engine}`
  if (capacity === undefined || room.cpu + job.shape.cpu > capacity.cpu + 1e-6) return 'the host has not enough CPU'
  if (room.memoryMiB + job.shape.memoryMiB > capacity.memoryMiB) return 'the host has not enough memory'
  return room.diskMiB + job.shape.diskMiB > capacity.diskMiB ? 'the host has not enough disk' : null
}

function queueProblem(job: LiveJob, { spec }: Scene, ledger: Ledger): string | null {
  const limit = spec.queues[job.queue]?.maxRunning
  return limit !== undefined && (ledger.running.get(job.queue) ?? 0) >= limit ? `queue ${job.queue} runs as many jobs as it may` : null
}

/** Charges a build that the plan adds; what is wrong with it, or null. */
export function chargeBuild(
  { hostId, shape, engine }: { readonly hostId: string; readonly shape: Shape; readonly engine: EngineName },
  scene: Scene,
  ledger: Ledger,
): string | null {
  const host = scene.world.hosts.get(hostId)
  const target = host === undefined ? null : targetOf(host, engine, scene)
  if (target === null) return `the host does not offer engine ${engine}`
  const room = roomOf(ledger, hostId)
  const problem = overCommit({ shape, engine }, target, room)
  if (problem === null) charge(room, { shape, engine })
  return problem
}
