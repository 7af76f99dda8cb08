import type { Host } from '../model/host.ts'
import { day, formatDuration, minute, second, type Instant, type Milliseconds } from '../model/instant.ts'
import type { Operation, OperationState } from '../model/operation.ts'
import type { Step, Waiting } from '../model/plan.ts'
import type { Limits } from '../model/spec.ts'
import { listOf, type Fleet, type Moment, type Place } from './fleet.ts'
import { attemptsOn, counted } from './host-reasons.ts'
import { skewOf } from './host-view.ts'
import type { Decided } from './placement.ts'
import { lostInterval } from './silence.ts'

/** An operation that no host took: cleared after the larger of 120 times five seconds and five minutes. */
export const pendingLimit: Milliseconds = Math.max(5 * second * 120, 5 * minute)
/** An operation that waits for jobs to end may wait longer, but not for ever. */
export const blockedLimit: Milliseconds = day
/** From the hard limit to the kill: time for a person to give more. */
export const extensionWindow: Milliseconds = 90 * second

/**
 * Moves each operation along its table of states. At most one per host is past PENDING; each ends by itself whatever host and agent do.
 */
export function decideOperations(moment: Moment, fleet: Fleet): Decided {
  const steps: Step[] = []
  const waiting: Waiting[] = []
  const byHost = new Map<string, Operation[]>()
  for (const operation of moment.world.operations.values()) listOf(byHost, operation.hostId).push(operation)
  for (const [hostId, operations] of byHost) {
    const scene = { moment, host: moment.world.hosts.get(hostId), place: fleet.places.get(hostId) }
    const active = operations.find((operation) => operation.state !== 'PENDING')
    const queue = operations.filter((operation) => operation.state === 'PENDING').sort(compareRequests)
    for (const operation of operations) if (operation.state !== 'PENDING') push(steps, advanceActive(operation, scene))
    for (const operation of queue) {
      const decided = decidePending(operation, { ...scene, before: active ?? queue[0] })
      push(steps, decided.step)
      if (decided.waiting !== undefined) waiting.push(decided.waiting)
    }
  }
  return { steps, waiting }
}

function push(steps: Step[], step: Step | null | undefined): void {
  if (step !== null && step !== undefined) steps.push(step)
}

function compareRequests(a: Operation, b: Operation): number {
  return a.requestedAt - b.requestedAt || (a.id < b.id ? -1 : 1)
}

interface Scene {
  readonly moment: Moment
  readonly host: Host | undefined
  readonly place: Place | undefined
}

function move(operation: Operation, to: OperationState, reason: string): Step {
  return { kind: 'moveOperation', operationId: operation.id, generation: operation.generation, to, reason }
}

/** Whether `limit` has passed since `since`; if not, the moment is noted. */
function isOver(moment: Moment, since: Instant, limit: Milliseconds): boolean {
  moment.horizon.note(since + limit)
  return moment.now >= since + limit
}

interface PendingScene extends Scene {
  /** The active operation of the host, else the one that is next. */
  readonly before: Operation | undefined
}

function decidePending(operation: Operation, scene: PendingScene): { step?: Step; waiting?: Waiting } {
  const { moment, host, before } = scene
  if (operation.killRequested) return { step: move(operation, 'KILLED', 'cancelled before it started') }
  if (host === undefined || host.state === 'retired') return { step: move(operation, 'SKIPPED', 'the host left the fleet') }
  if (host.state !== 'up') {
    if (isOver(moment, operation.requestedAt, pendingLimit))
      return { step: move(operation, 'SKIPPED', `the host did not report for ${formatDuration(pendingLimit)}`) }
    return {
      waiting: pendingWaiting(operation, {
        code: 'hostLost',
        message: `${host.name} does not report`,
        cure: `start the agent on ${host.name}`,
      }),
    }
  }
  const hold = heldBy(operation, { ...scene, host }, before)
  if (hold === null) return { step: move(operation, 'VALIDATING', 'handed to the host') }
  if (isOver(moment, operation.requestedAt, blockedLimit))
    return { step: move(operation, 'TIMEOUT', `waited ${formatDuration(blockedLimit)}: ${hold.message}`) }
  return { waiting: pendingWaiting(operation, hold) }
}

interface Hold {
  readonly code: 'operationBusy' | 'draining' | 'hostLost'
  readonly message: string
  readonly cure: string
}

function heldBy(operation: Operation, scene: PendingScene & { host: Host }, before: Operation | undefined): Hold | null {
  const { host, place } = scene
  if (before !== undefined && before.id !== operation.id) {
    const pid = before.pid === null ? '' : `, pid ${before.pid}`
    const message = `${host.name} does one operation at a time: ${before.request.kind} ${before.id} is ${before.state}${pid}`
    return { code: 'operationBusy', message, cure: `wait for it, or cidery operation kill ${before.id}` }
  }
  const attempts = attemptsOn(place)
  const builds = place?.builds.length ?? 0
  if (attempts + builds === 0 || !waitsForJobs(operation)) return null
  const what = builds === 0 ? counted(attempts, 'attempt') : `${counted(attempts, 'attempt')} and ${counted(builds, 'build')}`
  const message = `${what} still on ${host.name}; nothing new is placed there`
  return { code: 'draining', message, cure: `wait for the jobs, cancel them, or cidery operation kill ${operation.id}` }
}

/** A machine is not restarted under a job; an agent may be, since sandboxes outlive it. */
function waitsForJobs(operation: Operation): boolean {
  const { request } = operation
  return request.kind === 'reboot' || (request.kind === 'restartAgent' && request.drain)
}

function pendingWaiting(operation: Operation, hold: Hold): Waiting {
  const { id, hostId, requestedAt } = operation
  return { subject: `operation/${id}`, ...hold, hosts: [hostId], hostCount: 1, jobCount: 0, since: requestedAt }
}

/** When the operation has to be over: its own limit, or as a person extended it. */
export function deadlineOf(operation: Operation): Instant {
  return operation.deadline ?? startOf(operation) + operation.limits.hard
}

function startOf(operation: Operation): Instant {
  return operation.startedAt ?? operation.requestedAt
}

function advanceActive(operation: Operation, scene: Scene): Step | null {
  const { host } = scene
  if (host === undefined || host.state === 'retired') return giveUp(operation, 'the host left the fleet')
  return endByFacts(operation, { ...scene, host }) ?? advanceByTime(operation, { ...scene, host })
}

/** Ends what can never be reported any more, in one of the ends that its state allows. */
function giveUp(operation: Operation, reason: string): Step {
  switch (operation.state) {
    case 'VALIDATING':
    case 'BLOCKED':
      return move(operation, 'SKIPPED', reason)
    default:
      return move(operation, 'ERROR', reason)
  }
}

interface HostScene extends Scene {
  readonly host: Host
}

/** Success counts only when the host told what it has after the operation was done: an exit code of 0 alone proves nothing. */
function endByFacts(operation: Operation, scene: HostScene): Step | null {
  const { host, moment } = scene
  const doneAt = doneMoment(operation, host)
  if (doneAt === null) return null
  if (operation.exitCode !== null && operation.exitCode !== 0) return failed(operation)
  if (factsAt(host) > doneAt) return move(operation, 'SUCCESS', 'done, and seen in newer facts of the host')
  if (!isOver(moment, doneAt, lostInterval(moment.spec.limits) + 2 * second)) return null
  const end = operation.state === 'TIMEOUT_PENDING' || operation.state === 'KILLING' ? 'PARTIAL' : 'SUSPICIOUS'
  return move(operation, end, 'it reported success, and no newer facts of the host came')
}

function failed(operation: Operation): Step {
  return move(operation, 'ERROR', `it ended with code ${operation.exitCode ?? 0}`)
}

/**
 * When an operation was done as far as anybody can tell: as its agent said; else, for a restart of the machine, when it was seen under a new boot id, and
 * for an upgrade, when the host's facts name it as what brought the release that runs there.
 */
function doneMoment(operation: Operation, host: Host): Instant | null {
  if (!hasStarted(operation)) return null
  if (operation.completedAt !== null) return operation.completedAt
  if (operation.request.kind === 'upgradeAgent') return host.facts?.agentRelease?.operation === operation.id ? operation.changedAt : null
  if (operation.request.kind !== 'reboot' || operation.startedBootId === null) return null
  return host.bootId !== null && host.bootId !== operation.startedBootId ? operation.changedAt : null
}

function hasStarted(operation: Operation): boolean {
  return operation.state !== 'VALIDATING' && operation.state !== 'BLOCKED'
}

/** When a host's facts were taken, on the controller's clock. */
function factsAt(host: Host): Instant {
  return host.facts === null ? Number.NEGATIVE_INFINITY : host.facts.at - skewOf(host)
}

function advanceByTime(operation: Operation, scene: HostScene): Step | null {
  const { moment } = scene
  switch (operation.state) {
    case 'VALIDATING':
    case 'BLOCKED':
      if (operation.killRequested) return move(operation, 'KILLED', 'cancelled before it started')
      return isOver(moment, deadlineOf(operation), 0) ? move(operation, 'TIMEOUT', 'the host did not start it in time') : null
    case 'EXECUTING':
    case 'RUNNING_WARNING':
      return advanceRunning(operation, scene)
    case 'TIMEOUT_PENDING':
      return advanceOverdue(operation, moment)
    case 'AWAITING_RECONNECT':
      if (operation.killRequested) return move(operation, 'KILLED', 'given up while the host was away')
      return isOver(moment, operation.changedAt, operation.limits.reconnect)
        ? move(operation, 'TIMEOUT', 'the host did not come back in time')
        : null
    case 'KILLING':
      return advanceKilling(operation, moment)
    default:
      return null
  }
}

function advanceRunning(operation: Operation, scene: HostScene): Step | null {
  const { moment, host } = scene
  if (operation.killRequested) return kill(operation, 'a person asked for it')
  if (isOver(moment, deadlineOf(operation), 0)) {
    const reason = `over its limit; it is killed in ${formatDuration(extensionWindow)} unless it gets more time`
    return move(operation, 'TIMEOUT_PENDING', reason)
  }
  if (host.state === 'lost' && goesAway(operation)) return move(operation, 'AWAITING_RECONNECT', 'the host went away, as it has to')
  if (operation.state === 'RUNNING_WARNING') return null
  const { warning } = operation.limits
  return isOver(moment, startOf(operation), warning)
    ? move(operation, 'RUNNING_WARNING', `runs for longer than ${formatDuration(warning)}`)
    : null
}

function goesAway(operation: Operation): boolean {
  return operation.request.kind === 'reboot' || operation.request.kind === 'restartAgent' || operation.request.kind === 'upgradeAgent'
}

function advanceOverdue(operation: Operation, moment: Moment): Step | null {
  if (operation.killRequested) return kill(operation, 'a person asked for it')
  if (moment.now < deadlineOf(operation)) {
    moment.horizon.note(deadlineOf(operation))
    return move(operation, 'RUNNING_WARNING', 'it got more time')
  }
  return isOver(moment, operation.changedAt, extensionWindow) ? kill(operation, 'over its limit') : null
}

function kill(operation: Operation, reason: string): Step {
  return { kind: 'killOperation', operationId: operation.id, generation: operation.generation, reason }
}

/** The agent has its grace and a lost interval to say that it is dead; then it counts as dead, whatever the agent does. */
function advanceKilling(operation: Operation, moment: Moment): Step | null {
  const patience = killPatience(moment.spec.limits)
  if (!isOver(moment, operation.changedAt, patience)) return null
  const end = operation.killRequested ? 'KILLED' : 'TIMEOUT'
  return move(operation, end, `its end was not reported within ${formatDuration(patience)}`)
}

export function killPatience(limits: Limits): Milliseconds {
  return limits.operationGrace + lostInterval(limits)
}
