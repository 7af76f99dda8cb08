import { advanceWorld } from '../../src/decide/advance-world.ts'
import { moveOperation } from '../../src/decide/move-operation.ts'
import type { Host } from '../../src/model/host.ts'
import { minute } from '../../src/model/instant.ts'
import type { Attempt, Job, Outcome } from '../../src/model/job.ts'
import type { ImageStep, Plan, Step } from '../../src/model/plan.ts'
import type { Spec } from '../../src/model/spec.ts'
import type { Change, World } from '../../src/model/world.ts'
import { idOf, makeOperation } from './build-world.ts'
import { countAssigned, imageChanges } from './carry-out-images.ts'

/** A world with the whole jobs beside it, as the store has them: what carrying out a plan needs to know. */
export interface Scene {
  readonly spec: Spec
  readonly world: World
  readonly jobs: ReadonlyMap<string, Job>
  readonly now: number
  /** Attempts made so far: numbers their ids. */
  readonly made: number
}

/** Commits every step of a plan as the controller would, and refuses none: a plan has to be right as it is. */
export function carryOut(scene: Scene, plan: Plan): Scene {
  let next = scene
  for (const step of plan.steps) next = commit(next, step)
  return next
}

function advance(scene: Scene, changes: readonly Change[]): Scene {
  const jobs = new Map(scene.jobs)
  for (const change of changes) if (change.of === 'job' && change.job !== null) jobs.set(change.id, change.job)
  return { ...scene, jobs, world: advanceWorld(scene.world, changes, scene.spec) }
}

function commit(scene: Scene, step: Step): Scene {
  switch (step.kind) {
    case 'assign':
      return assign(scene, step)
    case 'cancelQueued':
      return cancelQueued(scene, step)
    case 'endAttempt':
    case 'cancelAttempt':
      return commitAttempt(scene, step)
    case 'hostLost':
    case 'quarantineHost':
    case 'rebootHost':
    case 'returnHost':
      return commitHost(scene, step)
    default:
      return commitOther(scene, step)
  }
}

type OtherStep = StepOf<'moveOperation' | 'killOperation' | 'warnSandbox' | 'removeSandbox'> | ImageStep

function commitOther(scene: Scene, step: OtherStep): Scene {
  switch (step.kind) {
    case 'moveOperation':
    case 'killOperation':
      return commitOperation(scene, step)
    case 'warnSandbox':
    case 'removeSandbox':
      return commitSandbox(scene, step)
    default:
      return { ...advance(scene, imageChanges(scene, step)), made: scene.made + 1 }
  }
}

type StepOf<K extends Step['kind']> = Extract<Step, { kind: K }>

function cancelQueued(scene: Scene, step: StepOf<'cancelQueued'>): Scene {
  const job = known(scene.jobs.get(step.jobId), step)
  const outcome = { kind: 'cancelled' as const, by: job.cancelRequested?.by ?? '' }
  return advance(scene, [jobChange({ ...job, state: 'ended', generation: job.generation + 1, outcome, endedAt: scene.now })])
}

function commitAttempt(scene: Scene, step: StepOf<'endAttempt' | 'cancelAttempt'>): Scene {
  const { attempt } = known(scene.world.attempts.get(step.attemptId), step)
  if (step.kind === 'endAttempt') return endAttempt(scene, attempt, step.outcome)
  return advance(scene, [attemptChange({ ...attempt, cancelRequested: { by: step.by, at: scene.now } })])
}

function commitHost(scene: Scene, step: StepOf<'hostLost' | 'quarantineHost' | 'rebootHost' | 'returnHost'>): Scene {
  if (step.kind === 'rebootHost' || step.kind === 'returnHost') return commitRepair(scene, step)
  const host = known(scene.world.hosts.get(step.hostId), step)
  const next = { ...host, generation: host.generation + 1 }
  if (step.kind === 'hostLost') return advance(scene, [hostChange({ ...next, state: 'lost' })])
  const { reason, cure } = step
  const quarantine = { kind: 'quarantined' as const, at: scene.now, reason, cure }
  const schedulable = step.repair === null ? quarantine : { ...quarantine, repair: { engines: [...step.repair], tries: 0 } }
  return advance(scene, [hostChange({ ...next, schedulable })])
}

function commitRepair(scene: Scene, step: StepOf<'rebootHost' | 'returnHost'>): Scene {
  const host = known(scene.world.hosts.get(step.hostId), step)
  const next = { ...host, generation: host.generation + 1 }
  if (step.kind === 'returnHost') return advance(scene, [hostChange({ ...next, schedulable: { kind: 'open' }, failureStreak: 0 })])
  const { schedulable } = host
  if (schedulable.kind !== 'quarantined' || schedulable.repair === undefined) throw new Error('it is not in repair')
  const repair = { ...schedulable.repair, tries: schedulable.repair.tries + 1 }
  const made = scene.made + 1
  const operation = makeOperation(1_000_000 + made, host, { request: { kind: 'reboot' }, requestedAt: scene.now, changedAt: scene.now })
  const change = hostChange({ ...next, schedulable: { ...schedulable, repair }, repairedAt: scene.now })
  return { ...advance(scene, [change, { of: 'operation', id: operation.id, operation }]), made }
}

function commitOperation(scene: Scene, step: StepOf<'moveOperation' | 'killOperation'>): Scene {
  const operation = known(scene.world.operations.get(step.operationId), step)
  const bootId = scene.world.hosts.get(operation.hostId)?.bootId ?? null
  const to = step.kind === 'killOperation' ? 'KILLING' : step.to
  const moved = moveOperation(operation, { to, at: scene.now, reason: step.reason, bootId })
  return advance(scene, [{ of: 'operation', id: moved.id, operation: moved }])
}

function commitSandbox(scene: Scene, step: StepOf<'warnSandbox' | 'removeSandbox'>): Scene {
  const sandbox = known(scene.world.sandboxes.get(step.sandboxId), step)
  const next =
    step.kind === 'warnSandbox'
      ? { ...sandbox, warnedAt: scene.now }
      : { ...sandbox, state: 'removing' as const, generation: sandbox.generation + 1 }
  return advance(scene, [{ of: 'sandbox', id: sandbox.id, sandbox: next }])
}

function assign(scene: Scene, step: Extract<Step, { kind: 'assign' }>): Scene {
  const job = known(scene.jobs.get(step.jobId), step)
  const host = known(scene.world.hosts.get(step.hostId), step)
  const generation = job.generation + 1
  const made = scene.made + 1
  const attempt: Attempt = {
    id: idOf('att', 1_000_000 + made),
    jobId: job.id,
    number: job.attempts + 1,
    hostId: host.id,
    hostBootId: host.bootId ?? '',
    buildId: step.buildId ?? null,
    state: 'assigned',
    generation,
    cancelRequested: null,
    receiptAt: scene.now,
    leaseUntil: scene.now + scene.spec.limits.attemptLease,
    times: { assigned: scene.now },
    outcome: null,
    isolation: null,
    logBytes: 0,
    logComplete: false,
    artifacts: [],
    artifactFailures: [],
    notes: [],
  }
  const trial = countAssigned(scene.world, job.resolved.image, step.buildId)
  const assigned: Job = { ...job, state: 'assigned', generation, attempts: job.attempts + 1 }
  return { ...advance(scene, [jobChange(assigned), attemptChange(attempt), ...trial]), made }
}

/** The end of an attempt, as its host or a plan tells it. */
export function endAttempt(scene: Scene, attempt: Attempt, outcome: NonNullable<Attempt['outcome']>): Scene {
  const job = scene.jobs.get(attempt.jobId)
  const changes: Change[] = [attemptChange({ ...attempt, state: 'ended', outcome })]
  if (job !== undefined) changes.push(jobChange(jobAfterAttempt(job, attempt, { outcome, limits: scene.spec.limits, now: scene.now })))
  return advance(scene, changes)
}

function known<T>(thing: T | undefined, step: Step): T {
  if (thing === undefined) throw new Error(`${step.kind} of a thing that is not there: ${JSON.stringify(step)}`)
  return thing
}

function jobChange(job: Job): Change {
  return { of: 'job', id: job.id, job }
}

function attemptChange(attempt: Attempt): Change {
  return { of: 'attempt', id: attempt.id, attempt }
}

function hostChange(host: Host): Change {
  return { of: 'host', id: host.id, host }
}

/** What the controller makes of a job when its attempt ended: a fault of the infrastructure is tried again elsewhere, later each time. */
function jobAfterAttempt(job: Job, attempt: Attempt, ended: { outcome: Outcome; limits: Spec['limits']; now: number }): Job {
  const { outcome, limits, now } = ended
  const isFault = outcome.kind === 'infrastructure'
  const infrastructureFailures = job.infrastructureFailures + (isFault ? 1 : 0)
  const next = { ...job, infrastructureFailures, generation: job.generation + 1 }
  if (!isFault || job.cancelRequested !== null || infrastructureFailures > job.resolved.retries) {
    return { ...next, state: 'ended', outcome, endedAt: now }
  }
  const notBefore = now + Math.min(10 * minute, limits.retryDelay * 2 ** (infrastructureFailures - 1))
  return { ...next, state: 'queued', notBefore, avoidHosts: [...job.avoidHosts, attempt.hostId] }
}
