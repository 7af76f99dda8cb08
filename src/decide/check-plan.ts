import type { Plan, Step } from '../model/plan.ts'
import { sandboxCan, type SandboxState } from '../model/sandbox.ts'
import { leaseOverAt } from './attempts.ts'
import { checkAssign, createLedger, type Ledger, type Scene } from './check-assign.ts'
import { checkImageStep, checkStartBuild, subjectOfImageStep } from './check-image-steps.ts'
import { checkRepair } from './check-repair.ts'
import { mayMove } from './move-operation.ts'
import { heardAt, lostAt } from './silence.ts'

/** A step that must not be carried out, and why. */
export interface PlanFault {
  readonly step: Step
  /** Its place in the plan. */
  readonly index: number
  readonly problem: string
}

/**
 * Looks for steps that would do harm: decided under another generation, on a thing that is gone, twice, against a state table, or
 * beyond what a host holds. Counts by itself instead of asking the code that made the plan. An empty list: nothing found.
 *
 * @example checkPlan(decide(spec, world, now), { spec, world, now }) // []
 */
export function checkPlan(plan: Plan, scene: Scene): PlanFault[] {
  const ledger = createLedger(scene)
  const seen = new Set<string>()
  const faults: PlanFault[] = []
  for (const [index, step] of plan.steps.entries()) {
    const subject = subjectOf(step)
    const problem = seen.has(subject) ? `a second step for ${subject}` : checkStep(step, scene, ledger)
    seen.add(subject)
    if (problem !== null) faults.push({ step, index, problem })
  }
  return faults
}

type HostStep = Extract<Step, { kind: 'hostLost' | 'quarantineHost' | 'rebootHost' | 'returnHost' }>

function isOfHost(step: Step): step is HostStep {
  return 'hostGeneration' in step && step.kind !== 'assign' && step.kind !== 'startBuild'
}

/** What a step may do only once in a plan. A sandbox may be warned of and removed in one plan. */
function subjectOf(step: Step): string {
  if (isOfHost(step)) return `host ${step.hostId}`
  switch (step.kind) {
    case 'assign':
    case 'cancelQueued':
      return `job ${step.jobId}`
    case 'endAttempt':
    case 'cancelAttempt':
      return `attempt ${step.attemptId}`
    case 'moveOperation':
    case 'killOperation':
      return `operation ${step.operationId}`
    case 'warnSandbox':
    case 'removeSandbox':
      return `${step.kind} ${step.sandboxId}`
    default:
      return subjectOfImageStep(step)
  }
}

function checkHostStep(step: HostStep, scene: Scene, ledger: Ledger): string | null {
  return step.kind === 'rebootHost' || step.kind === 'returnHost' ? checkRepair(step, scene, ledger) : checkHost(step, scene)
}

function checkStep(step: Step, scene: Scene, ledger: Ledger): string | null {
  if (isOfHost(step)) return checkHostStep(step, scene, ledger)
  switch (step.kind) {
    case 'assign':
      return checkAssign(step, scene, ledger)
    case 'cancelQueued':
      return checkCancelQueued(step, scene)
    case 'endAttempt':
    case 'cancelAttempt':
      return checkAttempt(step, scene)
    case 'moveOperation':
    case 'killOperation':
      return checkOperation(step, scene, ledger)
    case 'warnSandbox':
    case 'removeSandbox':
      return checkSandbox(step, scene)
    default:
      return step.kind === 'startBuild' ? checkStartBuild(step, scene, ledger) : checkImageStep(step, scene, ledger.images)
  }
}

function staleness(found: number, decided: number): string | null {
  return found === decided ? null : `decided under generation ${decided}, it is ${found} now`
}

function checkCancelQueued(step: Extract<Step, { kind: 'cancelQueued' }>, { world }: Scene): string | null {
  const job = world.jobs.get(step.jobId)
  if (job === undefined || job.state !== 'queued') return 'the job is not queued'
  if (job.cancelRequested === null) return 'nobody cancelled the job'
  if (job.attempts.length > 0) return 'the job has an attempt that may be alive'
  return staleness(job.generation, step.jobGeneration)
}

function checkAttempt(step: Extract<Step, { kind: 'endAttempt' | 'cancelAttempt' }>, scene: Scene): string | null {
  const { world, spec, now } = scene
  const live = world.attempts.get(step.attemptId)
  if (live === undefined) return 'the attempt has ended'
  const stale = staleness(live.attempt.generation, step.generation)
  if (stale !== null || step.kind === 'cancelAttempt') return stale
  const host = world.hosts.get(live.attempt.hostId)
  if (host?.state === 'retired') return null
  const isRebooted = host !== undefined && host.bootId !== null && live.attempt.hostBootId !== '' && host.bootId !== live.attempt.hostBootId
  return isRebooted || now >= leaseOverAt(live, world, spec.limits) ? null : 'the attempt may still be alive'
}

function checkHost(step: Extract<Step, { kind: 'hostLost' | 'quarantineHost' }>, scene: Scene): string | null {
  const { world, spec, now } = scene
  const host = world.hosts.get(step.hostId)
  if (host === undefined || host.state === 'retired') return 'the host left the fleet'
  const stale = staleness(host.generation, step.hostGeneration)
  if (stale !== null) return stale
  if (step.kind === 'quarantineHost') return host.schedulable.kind === 'open' ? null : `the host is ${host.schedulable.kind} already`
  if (host.state !== 'up') return `the host is ${host.state} already`
  return now >= lostAt(heardAt(host, world.lastSeen), world, spec.limits) ? null : 'the host was heard of lately'
}

function checkOperation(step: Extract<Step, { kind: 'moveOperation' | 'killOperation' }>, { world }: Scene, ledger: Ledger): string | null {
  const operation = world.operations.get(step.operationId)
  if (operation === undefined) return 'the operation has ended'
  const stale = staleness(operation.generation, step.generation)
  if (stale !== null) return stale
  const to = step.kind === 'killOperation' ? 'KILLING' : step.to
  if (!mayMove(operation.state, to)) return `no operation goes from ${operation.state} to ${to}`
  if (operation.state !== 'PENDING' || to !== 'VALIDATING') return null
  if (ledger.operating.has(operation.hostId)) return 'the host has another operation'
  ledger.operating.add(operation.hostId)
  return null
}

function checkSandbox(step: Extract<Step, { kind: 'warnSandbox' | 'removeSandbox' }>, { world }: Scene): string | null {
  const sandbox = world.sandboxes.get(step.sandboxId)
  if (sandbox === undefined) return 'the sandbox is gone'
  if (!(sandboxCan.remove as readonly SandboxState[]).includes(sandbox.state)) return `the sandbox is ${sandbox.state} already`
  return staleness(sandbox.generation, step.generation)
}
