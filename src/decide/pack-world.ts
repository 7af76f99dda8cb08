import type { Host } from '../model/host.ts'
import type { Instant } from '../model/instant.ts'
import type { Operation } from '../model/operation.ts'
import type { Sandbox } from '../model/sandbox.ts'
import type { JobClass, LiveAttempt, LiveJob, QueuedJob, World } from '../model/world.ts'
import { isSpecial, lineKey, queuedJob } from './advance-world.ts'
import { listOf } from './fleet.ts'
import { withLoads } from './loads.ts'
import { emptySorted, sortedFrom } from './sorted-map.ts'

/** A world as plain data, to hand it to another thread: the indexes are made anew there. */
export interface PackedWorld {
  readonly hosts: readonly Host[]
  readonly jobs: readonly LiveJob[]
  readonly attempts: readonly LiveAttempt[]
  readonly operations: readonly Operation[]
  readonly sandboxes: readonly Sandbox[]
  readonly listeningSince: Instant
  readonly lastSeen: readonly (readonly [string, Instant])[]
}

/** Everything of a world that cannot be computed again. */
export function packWorld(world: World): PackedWorld {
  return {
    hosts: [...world.hosts.values()],
    jobs: [...world.jobs.values()],
    attempts: [...world.attempts.values()],
    operations: [...world.operations.values()],
    sandboxes: [...world.sandboxes.values()],
    listeningSince: world.listeningSince,
    lastSeen: [...world.lastSeen],
  }
}

/** The world that was packed: `unpackWorld(packWorld(world))` decides as `world` does. */
export function unpackWorld(packed: PackedWorld): World {
  const world: World = {
    hosts: sortedFrom(packed.hosts.map((host) => [host.id, host])),
    jobs: sortedFrom(packed.jobs.map((job) => [job.id, job])),
    classes: sortedFrom(classesOf(packed.jobs).map((jobClass) => [jobClass.key, jobClass])),
    attempts: sortedFrom(packed.attempts.map((live) => [live.attempt.id, live])),
    hostLoads: emptySorted(),
    queueLoads: emptySorted(),
    operations: sortedFrom(packed.operations.map((operation) => [operation.id, operation])),
    sandboxes: sortedFrom(packed.sandboxes.map((sandbox) => [sandbox.id, sandbox])),
    listeningSince: packed.listeningSince,
    lastSeen: sortedFrom(packed.lastSeen),
  }
  return packed.attempts.reduce((next, live) => withLoads(next, undefined, live), world)
}

function classesOf(jobs: readonly LiveJob[]): JobClass[] {
  const byClass = new Map<string, LiveJob[]>()
  for (const job of jobs) if (job.state === 'queued') listOf(byClass, job.classKey).push(job)
  return [...byClass].map(([key, members]) => classOf(key, members))
}

function classOf(key: string, members: readonly LiveJob[]): JobClass {
  const { queue, engine, image, labels, shape, network, priority } = members[0] as LiveJob
  const entry = (job: LiveJob): readonly [string, QueuedJob] => [lineKey(job), queuedJob(job)]
  const jobs = sortedFrom(members.map(entry))
  return { key, queue, engine, image, labels, shape, network, priority, jobs, special: sortedFrom(members.filter(isSpecial).map(entry)) }
}
