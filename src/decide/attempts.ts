import type { Host } from '../model/host.ts'
import { formatDuration, type Instant } from '../model/instant.ts'
import type { Attempt, Outcome } from '../model/job.ts'
import type { Step, Waiting } from '../model/plan.ts'
import type { Limits } from '../model/spec.ts'
import type { LiveAttempt, World } from '../model/world.ts'
import type { Fleet, Moment } from './fleet.ts'
import type { Decided } from './placement.ts'
import { heardAt, leaseSlack, lostInterval } from './silence.ts'

/** Drift of a host's clock against ours that a lease allows for: a tenth. */
const leaseDrift = 1 / 10

/**
 * Ends attempts that are known to be over, and asks those to stop whose job was cancelled or whose host is to be empty.
 *
 * Known to be over: the host runs under another boot id, left the fleet, or was silent for longer than a lease can last. Until then
 * a job has no second attempt.
 */
export function decideAttempts(moment: Moment, fleet: Fleet): Decided {
  const steps: Step[] = []
  const waiting: Waiting[] = []
  for (const { hostId, load } of fleet.restless) {
    const host = moment.world.hosts.get(hostId)
    for (const live of load.attempts) {
      const decided = decideAttempt(live, host, moment)
      if (decided.step !== undefined) steps.push(decided.step)
      if (decided.waiting !== undefined) waiting.push(decided.waiting)
    }
  }
  return { steps, waiting }
}

interface AttemptDecision {
  readonly step?: Step
  readonly waiting?: Waiting
}

function decideAttempt(live: LiveAttempt, host: Host | undefined, moment: Moment): AttemptDecision {
  const { attempt } = live
  const over = knownOver(live, host, moment)
  if (over !== null) return { step: endStep(attempt, over) }
  const cancel = cancelStep(live, host, moment)
  if (cancel !== null) return { step: cancel }
  const endsAt = leaseOverAt(live, moment.world, moment.spec.limits)
  moment.horizon.note(endsAt)
  return host?.state === 'up' ? {} : { waiting: leaseWaiting(live, { host, moment, endsAt }) }
}

function endStep(attempt: Attempt, over: Over): Step {
  const { code, message } = over
  const outcome: Outcome = { kind: 'infrastructure', part: 'host', code, message }
  return { kind: 'endAttempt', attemptId: attempt.id, jobId: attempt.jobId, generation: attempt.generation, outcome, why: message }
}

interface Over {
  readonly code: 'HOST_REBOOTED' | 'HOST_RETIRED' | 'LEASE_EXPIRED'
  readonly message: string
}

/** Why an attempt cannot be alive any more, or null while it may be. */
function knownOver(live: LiveAttempt, host: Host | undefined, moment: Moment): Over | null {
  const { attempt } = live
  if (host?.state === 'retired') return { code: 'HOST_RETIRED', message: `${host.name} left the fleet` }
  const booted = host?.bootId ?? ''
  if (host !== undefined && booted !== '' && attempt.hostBootId !== '' && booted !== attempt.hostBootId) {
    return { code: 'HOST_REBOOTED', message: `${host.name} was restarted while the job ran` }
  }
  const endsAt = leaseOverAt(live, moment.world, moment.spec.limits)
  if (moment.now >= endsAt) {
    const name = host?.name ?? attempt.hostId
    return { code: 'LEASE_EXPIRED', message: `${name} was silent for longer than the attempt's lease` }
  }
  return null
}

/**
 * First moment at which silence alone proves that an attempt is over: the lease, a tenth more and a minute, since the last word of
 * its host; and never before this controller listened long enough to have heard of a host that lives.
 */
export function leaseOverAt(live: LiveAttempt, world: Pick<World, 'hosts' | 'lastSeen' | 'listeningSince'>, limits: Limits): Instant {
  const { attempt } = live
  const host = world.hosts.get(attempt.hostId)
  const receiptAt = Math.max(attempt.receiptAt, host === undefined ? 0 : heardAt(host, world.lastSeen))
  // A host that did not hear of a shorter lease yet goes on under the longer one.
  const lease = Math.max(limits.attemptLease, attempt.leaseUntil - attempt.receiptAt)
  return Math.max(receiptAt + lease + Math.ceil(lease * leaseDrift) + leaseSlack, world.listeningSince + lostInterval(limits))
}

/** An attempt that was told to stop is not told again: what the host should look like says so already. */
function cancelStep(live: LiveAttempt, host: Host | undefined, moment: Moment): Step | null {
  const { attempt } = live
  if (attempt.cancelRequested !== null) return null
  const { id, jobId, generation } = attempt
  if (live.jobCancelled !== null) return { kind: 'cancelAttempt', attemptId: id, jobId, generation, by: live.jobCancelled.by }
  if (host?.schedulable.kind !== 'draining' || host.schedulable.deadline === null) return null
  moment.horizon.note(host.schedulable.deadline)
  if (moment.now < host.schedulable.deadline) return null
  return { kind: 'cancelAttempt', attemptId: id, jobId, generation, by: `drain of ${host.name} by ${host.schedulable.by}` }
}

function leaseWaiting(live: LiveAttempt, scene: { host: Host | undefined; moment: Moment; endsAt: Instant }): Waiting {
  const { attempt } = live
  const { host, moment, endsAt } = scene
  const name = host?.name ?? attempt.hostId
  const since = host === undefined ? attempt.receiptAt : heardAt(host, moment.world.lastSeen)
  return {
    subject: `attempt/${attempt.id}`,
    code: 'leaseRunning',
    message: `${name} is silent and may still run the job; it is tried elsewhere in ${formatDuration(endsAt - moment.now)}`,
    cure: `bring ${name} back, or when it is gone for good: cidery host retire ${name}`,
    hosts: [attempt.hostId],
    hostCount: 1,
    jobCount: 1,
    since,
  }
}

/** Cancelled jobs that have no attempt end at once. */
export function decideCancelled(moment: Moment): Step[] {
  const steps: Step[] = []
  for (const jobClass of moment.world.classes.values()) {
    for (const job of jobClass.special.values()) {
      if (job.cancelRequested && !job.isBusy) steps.push({ kind: 'cancelQueued', jobId: job.id, jobGeneration: job.generation })
    }
  }
  return steps
}
