import { formatDuration, type Instant } from '../model/instant.ts'
import type { Waiting, WaitingCode } from '../model/plan.ts'
import type { Fleet, Moment, Place } from './fleet.ts'
import type { HostView } from './host-view.ts'
import { judgeRepair, judgeTurn } from './repairs.ts'

/** What stands in the way at one host: said once, for the host itself and for the jobs that wait for it. */
export interface Reason {
  readonly message: string
  readonly cure: string
  readonly since: Instant
}

/** At most this many hosts are listed by id; the count has all. */
export const hostsListed = 20

/** Why nothing new is placed on a host, whatever the job. */
export function closedReason(place: Place, code: WaitingCode, moment: Moment): Reason {
  const { host } = place
  switch (code) {
    case 'hostLost': {
      const cure = `start the agent on ${host.name} or look at its power and network; cidery host retire ${host.name} gives its jobs to others at once`
      return { message: `${host.name} has been silent for ${formatDuration(moment.now - place.heardAt)}`, cure, since: place.heardAt }
    }
    case 'hostQuarantined':
      return quarantineReason(place, moment)
    case 'hostCordoned':
      return cordonReason(place, moment)
    case 'draining':
      return drainReason(place, moment)
    case 'operationBusy':
      return operationReason(place, moment)
    default:
      return staleReason(place)
  }
}

function cordonReason(place: Place, moment: Moment): Reason {
  const { name, schedulable } = place.host
  const note = schedulable.kind === 'cordoned' ? `${schedulable.by}${quoted(schedulable.reason)}` : 'a person'
  const since = schedulable.kind === 'cordoned' ? schedulable.at : moment.now
  return { message: `${name} is cordoned by ${note}`, cure: `cidery host uncordon ${name}`, since }
}

function quarantineReason(place: Place, moment: Moment): Reason {
  const { name, schedulable } = place.host
  if (schedulable.kind !== 'quarantined') return { ...quarantineText(place), since: moment.now }
  const { repair, at, reason } = schedulable
  const message = `${name} is in quarantine: ${reason}`
  const verdict = repair === undefined ? null : judgeRepair(place, repair, moment)
  const next = verdict?.kind === 'reboot' ? judgeTurn(place) : verdict
  if (next?.kind !== 'wait') return { message, cure: schedulable.cure, since: at }
  return { message: `${message}; ${next.message}`, cure: next.cure, since: at }
}

function operationReason(place: Place, moment: Moment): Reason {
  const { operation, host } = place
  const message = `${host.name} takes no jobs until its ${operation?.request.kind ?? 'operation'} is over`
  return { message, cure: `wait for it, or cidery host show ${host.name}`, since: operation?.requestedAt ?? moment.now }
}

/** Attempts on a host that are not known to be over. */
export function attemptsOn(place: Place | undefined): number {
  return place?.load?.attempts.length ?? 0
}

function staleReason(place: Place): Reason {
  const { host } = place
  const cure = `cidery host show ${host.name}; when its agent does not run, start it there`
  if (host.facts === null || host.state === 'enrolled')
    return { message: `${host.name} has not reported what it has`, cure, since: host.enrolledAt }
  return { message: `${host.name} missed a sync`, cure, since: place.heardAt }
}

function drainReason(place: Place, moment: Moment): Reason {
  const { host } = place
  const { schedulable } = host
  const since = schedulable.kind === 'draining' ? schedulable.at : moment.now
  const deadline = schedulable.kind === 'draining' ? schedulable.deadline : null
  const left = deadline === null ? '' : `, at most ${formatDuration(Math.max(0, deadline - moment.now))} more`
  const running = attemptsOn(place) === 0 ? 'nothing runs there any more' : `${counted(attemptsOn(place), 'attempt')} still there${left}`
  return { message: `${host.name} is draining: ${running}`, cure: `cidery host uncordon ${host.name}`, since }
}

/** Why cidery puts a host into quarantine, and how it gets out. */
export function quarantineText(place: Place): { readonly message: string; readonly cure: string } {
  const { host, view } = place
  const [ill] = view.ills
  if (ill !== undefined) {
    const engines = view.ills.map(({ engine }) => engine).join(', ')
    const isAlone = view.pool === undefined || view.pool.repair.reboots === 0
    const who = isAlone ? `cidery host reboot ${host.name}` : 'cidery restarts it once nothing runs there'
    const cure = `${who}; it gets jobs again when ${engines} boots: cidery explain host/${host.name}`
    return { message: `${ill.engine}: ${ill.reason}`, cure }
  }
  const message = `${counted(host.failureStreak, 'attempt')} in a row failed there for a fault of the infrastructure`
  return {
    message,
    cure: `look at the last failures with cidery host show ${host.name}, repair it, then cidery host uncordon ${host.name}`,
  }
}

/** Entries for hosts that take no new jobs, and for hosts that are not ready for anything. */
export function hostWaiting(moment: Moment, fleet: Fleet): Waiting[] {
  const waiting: Waiting[] = []
  for (const group of fleet.groups) {
    for (const [code, places] of group.closed) {
      for (const place of places) waiting.push(hostEntry(place, code, closedReason(place, code, moment)))
    }
    if (isReadyForSomething(group.view)) continue
    for (const place of group.open) waiting.push(unreadyEntry(place))
  }
  return waiting
}

function hostEntry(place: Place, code: WaitingCode, reason: Reason): Waiting {
  return { subject: `host/${place.host.id}`, code, ...pick(reason), hosts: [place.host.id], hostCount: 1, jobCount: attemptsOn(place) }
}

function pick(reason: Reason): Reason {
  return { message: reason.message, cure: reason.cure, since: reason.since }
}

/** Equal for all hosts of a group. */
function isReadyForSomething(view: HostView): boolean {
  for (const engine of view.engines.values()) {
    if (!engine.facts.ok) continue
    for (const verdict of engine.verdicts.values()) if (verdict.state === 'ready') return true
  }
  return false
}

/** A host without one engine that is ready for something is not in use, and says why. */
function unreadyEntry(place: Place): Waiting {
  const { host, view } = place
  const since = view.factsAt
  const cure = `cidery host show ${host.name}`
  if (view.pool === undefined) {
    const message = `${host.name} belongs to pool ${view.poolName}, which is not in the spec`
    return hostEntry(place, 'noMatch', { message, cure: `add pools.${view.poolName} to cidery.yaml and run cidery apply`, since })
  }
  const [first] = view.engines
  if (first === undefined) {
    return hostEntry(place, 'engineUnsupported', { message: `${host.name} has no engine that pool ${view.poolName} offers`, cure, since })
  }
  const [name, engine] = first
  const problem = engineProblem(engine.facts, [...engine.verdicts.values()])
  return hostEntry(place, 'hostNotReady', {
    message: `${host.name} is not ready: ${name}: ${problem}`,
    cure: `cidery host probe ${host.name}`,
    since,
  })
}

function engineProblem(
  facts: { ok: boolean; problems: readonly string[] },
  verdicts: readonly { state: string; reason?: string }[],
): string {
  if (!facts.ok) return facts.problems[0] ?? 'it does not work there'
  return verdicts.find((verdict) => verdict.reason !== undefined)?.reason ?? 'it was never probed'
}

/**
 * A count with its noun.
 *
 * @example counted(2, 'host') // '2 hosts'
 */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}

function quoted(reason: string): string {
  return reason === '' ? '' : ` ("${reason}")`
}
