import type { Host } from '../model/host.ts'
import type { Instant } from '../model/instant.ts'
import type { Attempt, Job } from '../model/job.ts'
import { isTerminalOperation } from '../model/operation.ts'
import type { Labels } from '../model/shape.ts'
import type { Spec } from '../model/spec.ts'
import type { Change, JobClass, LiveAttempt, LiveJob, QueuedJob, World } from '../model/world.ts'
import { withLoads } from './loads.ts'
import { compareText, emptySorted, withEntry, withoutEntry } from './sorted-map.ts'

/** A world in which nothing was seen yet, by a controller that listens since `now`. */
export function emptyWorld(now: Instant): World {
  return {
    hosts: emptySorted(),
    jobs: emptySorted(),
    classes: emptySorted(),
    attempts: emptySorted(),
    hostLoads: emptySorted(),
    queueLoads: emptySorted(),
    operations: emptySorted(),
    sandboxes: emptySorted(),
    builds: emptySorted(),
    images: emptySorted(),
    hostImages: emptySorted(),
    listeningSince: now,
    lastSeen: emptySorted(),
  }
}

/**
 * The world after committed changes, in commit order. A job has to come in the same list as its first attempt or before it.
 * Costs a few microseconds per change whatever the size of the world: all that did not change is shared.
 *
 * @example advanceWorld(world, [{ of: 'host', id: host.id, host }], spec)
 */
export function advanceWorld(world: World, changes: readonly Change[], _spec?: Spec): World {
  let next = world
  // Jobs first: an attempt takes shape and queue from its job, and one transaction may write them in either order.
  for (const change of changes) if (change.of === 'job') next = withJob(next, change.id, change.job)
  for (const change of changes) if (change.of !== 'job') next = isOfImages(change) ? withImages(next, change) : withChange(next, change)
  return next
}

function withChange(world: World, change: Exclude<Change, { of: 'job' } | ImageChange>): World {
  switch (change.of) {
    case 'attempt':
      return withAttempt(world, change.id, change.attempt)
    case 'host':
      return withHost(world, change.id, change.host)
    case 'operation': {
      const { operation } = change
      const gone = operation === null || isTerminalOperation(operation.state)
      const operations = gone ? withoutEntry(world.operations, change.id) : withEntry(world.operations, change.id, operation)
      return { ...world, operations }
    }
    case 'sandbox': {
      const { sandbox } = change
      const gone = sandbox === null || sandbox.state === 'gone'
      return { ...world, sandboxes: gone ? withoutEntry(world.sandboxes, change.id) : withEntry(world.sandboxes, change.id, sandbox) }
    }
    case 'lastSeen': {
      const before = world.lastSeen.get(change.id)
      if (before !== undefined && before >= change.at) return world
      return { ...world, lastSeen: withEntry(world.lastSeen, change.id, change.at) }
    }
  }
}

type ImageChange = Extract<Change, { of: 'build' | 'image' | 'hostImages' }>

function isOfImages(change: Change): change is ImageChange {
  return change.of === 'build' || change.of === 'image' || change.of === 'hostImages'
}

function withImages(world: World, change: ImageChange): World {
  switch (change.of) {
    case 'build': {
      const gone = change.build === null || change.build.state === 'failed'
      return { ...world, builds: gone ? withoutEntry(world.builds, change.id) : withEntry(world.builds, change.id, change.build) }
    }
    case 'image':
      return {
        ...world,
        images: change.line === null ? withoutEntry(world.images, change.id) : withEntry(world.images, change.id, change.line),
      }
    case 'hostImages': {
      const { images } = change
      const gone = images === null || (images.holds.length === 0 && images.states.length === 0)
      return { ...world, hostImages: gone ? withoutEntry(world.hostImages, change.id) : withEntry(world.hostImages, change.id, images) }
    }
  }
}

/** A retired host stays: it proves that its attempts are over. Only a removed row leaves. */
function withHost(world: World, id: string, host: Host | null): World {
  if (host !== null) return { ...world, hosts: withEntry(world.hosts, id, host) }
  return { ...world, hosts: withoutEntry(world.hosts, id), lastSeen: withoutEntry(world.lastSeen, id) }
}

function withAttempt(world: World, id: string, attempt: Attempt | null): World {
  const before = world.attempts.get(id)
  const jobId = attempt?.jobId ?? before?.attempt.jobId
  const job = jobId === undefined ? undefined : world.jobs.get(jobId)
  const isOver = attempt === null || attempt.state === 'ended'
  const live = isOver ? undefined : liveAttempt(attempt, job, before)
  const attempts = live === undefined ? withoutEntry(world.attempts, id) : withEntry(world.attempts, id, live)
  const next = withLoads({ ...world, attempts }, before, live)
  if (job === undefined || job.attempts.includes(id) === (live !== undefined)) return next
  const ids = live === undefined ? job.attempts.filter((other) => other !== id) : [...job.attempts, id]
  return withLiveJob(next, job, { ...job, attempts: ids })
}

/** An attempt whose job left keeps what was known of it: it still takes room on its host. */
function liveAttempt(attempt: Attempt, job: LiveJob | undefined, before: LiveAttempt | undefined): LiveAttempt {
  if (job !== undefined) return ofJob(attempt, job)
  if (before !== undefined) return { ...before, attempt }
  const nothing = { cpu: 0, memoryMiB: 0, diskMiB: 0 }
  return { attempt, queue: '', engine: 'user', shape: nothing, jobGeneration: attempt.generation, jobCancelled: null }
}

function ofJob(attempt: Attempt, job: LiveJob): LiveAttempt {
  const { queue, engine, shape } = job
  return { attempt, queue, engine, shape, jobGeneration: job.generation, jobCancelled: job.cancelRequested }
}

function withJob(world: World, id: string, job: Job | null): World {
  const before = world.jobs.get(id)
  const after = job === null || job.state === 'ended' ? undefined : liveJob(job, before)
  let next = withLiveJob(world, before, after)
  for (const attemptId of after?.attempts ?? []) {
    const live = next.attempts.get(attemptId)
    if (live === undefined || after === undefined) continue
    const told = ofJob(live.attempt, after)
    next = withLoads({ ...next, attempts: withEntry(next.attempts, attemptId, told) }, live, told)
  }
  return next
}

/** Jobs and classes after a job changed; at least one of the two is given. */
function withLiveJob(world: World, before: LiveJob | undefined, after: LiveJob | undefined): World {
  let { classes } = world
  if (before?.state === 'queued') classes = withoutQueued(classes, before)
  if (after?.state === 'queued') classes = withQueued(classes, after)
  const id = after?.id ?? before?.id ?? ''
  return { ...world, classes, jobs: after === undefined ? withoutEntry(world.jobs, id) : withEntry(world.jobs, id, after) }
}

function liveJob(job: Job, before: LiveJob | undefined): LiveJob {
  const { resolved } = job
  const parts = {
    queue: job.queue,
    engine: resolved.engine,
    image: resolved.image,
    labels: resolved.spec.labels,
    shape: resolved.shape,
    network: resolved.network,
    priority: resolved.spec.priority,
  }
  return {
    ...parts,
    id: job.id,
    state: job.state === 'ended' ? 'running' : job.state,
    classKey: classKey(parts),
    submittedAt: job.submittedAt,
    generation: job.generation,
    notBefore: job.notBefore,
    avoidHosts: job.avoidHosts,
    cancelRequested: job.cancelRequested,
    attempts: before?.attempts ?? [],
  }
}

/**
 * The name of a class: jobs that are equal in all that placement looks at.
 *
 * @example classKey({ queue: 'ci', engine: 'user', image: null, labels: {}, shape: { cpu: 1, memoryMiB: 1024, diskMiB: 0 }, network: 'nat', priority: 0 })
 * // 'ci/user/-/1x1024x0/nat/0/'
 */
export function classKey(parts: Pick<JobClass, 'queue' | 'engine' | 'image' | 'labels' | 'shape' | 'network' | 'priority'>): string {
  const { shape } = parts
  const size = `${shape.cpu}x${shape.memoryMiB}x${shape.diskMiB}`
  return `${parts.queue}/${parts.engine}/${parts.image ?? '-'}/${size}/${parts.network}/${parts.priority}/${labelsKey(parts.labels)}`
}

/** Labels in one line, in the order of their keys, with nothing that could be read in two ways. */
export function labelsKey(labels: Labels): string {
  const keys = Object.keys(labels).sort(compareText)
  return keys.map((key) => `${key}=${encodeURIComponent(labels[key] ?? '')}`).join(',')
}

/** Sorts jobs by submission, then id: sixteen digits hold every safe integer. */
function lineKey(job: { readonly id: string; readonly submittedAt: Instant }): string {
  return `${String(Math.max(0, Math.floor(job.submittedAt))).padStart(16, '0')}/${job.id}`
}

/** Whether a pass has to look at this job by itself before it may place it. */
function isSpecial(job: LiveJob): boolean {
  return job.cancelRequested !== null || job.notBefore > job.submittedAt || job.attempts.length > 0
}

/** What a class keeps of a job that waits in it. */
function queuedJob(job: LiveJob): QueuedJob {
  const { id, submittedAt, generation, notBefore, avoidHosts } = job
  return {
    id,
    submittedAt,
    generation,
    notBefore,
    avoidHosts,
    cancelRequested: job.cancelRequested !== null,
    isBusy: job.attempts.length > 0,
  }
}

function withQueued(classes: World['classes'], job: LiveJob): World['classes'] {
  const { classKey: key, queue, engine, image, labels, shape, network, priority } = job
  const none = emptySorted<QueuedJob>()
  const before = classes.get(key) ?? { key, queue, engine, image, labels, shape, network, priority, jobs: none, special: none }
  const queued = queuedJob(job)
  const line = lineKey(job)
  const special = isSpecial(job) ? withEntry(before.special, line, queued) : before.special
  return withEntry(classes, key, { ...before, jobs: withEntry(before.jobs, line, queued), special })
}

function withoutQueued(classes: World['classes'], job: LiveJob): World['classes'] {
  const before = classes.get(job.classKey)
  if (before === undefined) return classes
  const line = lineKey(job)
  const jobs = withoutEntry(before.jobs, line)
  if (jobs.size === 0) return withoutEntry(classes, job.classKey)
  return withEntry(classes, job.classKey, { ...before, jobs, special: withoutEntry(before.special, line) })
}
