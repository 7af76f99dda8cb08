import type { Host, Repair } from '../model/host.ts'
import { formatDuration } from '../model/instant.ts'
import type { Step } from '../model/plan.ts'
import type { Pool } from '../model/spec.ts'
import { listOf, type Fleet, type Moment, type Place } from './fleet.ts'
import { staleInterval } from './silence.ts'
import { compareText } from './sorted-map.ts'

/** Restarts of a machine for one ill; what they do not cure needs a person. */
export const mostReboots = 3

/** What a host waits for in a quarantine that cidery ends itself. */
type Verdict =
  | { readonly kind: 'return' }
  /** It may be restarted as soon as it is its turn in the pool. */
  | { readonly kind: 'reboot' }
  | { readonly kind: 'wait'; readonly message: string; readonly cure: string }

type RepairStep = Extract<Step, { kind: 'rebootHost' | 'returnHost' }>

/** The repair that cidery does on a host; null: none. */
export function repairOf(host: Host): Repair | null {
  return host.schedulable.kind === 'quarantined' ? (host.schedulable.repair ?? null) : null
}

/**
 * Restarts machines with an ill that nothing else cures, and gives them jobs again when their engines have booted since. A machine is restarted when nothing
 * runs there any more (a quarantine brings no new jobs), not more often than its pool says, and only so many of a pool are away at once: when restarts do
 * harm, they do it to few. Notes in the places of the others who is restarted first.
 */
export function decideRepairs(moment: Moment, fleet: Fleet): RepairStep[] {
  const steps: RepairStep[] = []
  const waiting = new Map<string, Place[]>()
  for (const group of fleet.groups) {
    for (const place of group.closed.get('hostQuarantined') ?? []) {
      const repair = repairOf(place.host)
      if (repair === null) continue
      const { kind } = judgeRepair(place, repair, moment)
      if (kind === 'return') steps.push(returnStep(place, repair))
      if (kind === 'reboot') listOf(waiting, place.view.poolName).push(place)
    }
  }
  for (const [name, places] of waiting) {
    const away = awayOf(name, moment, fleet)
    const turns = Math.max(0, (moment.spec.pools[name]?.repair.reboots ?? 0) - away.length)
    const inTurn = places.toSorted(compareTurns)
    const next = inTurn.slice(0, turns)
    steps.push(...next.map(rebootStep))
    const restartsFirst = [...away, ...next].map(({ host }) => host.name)
    for (const place of inTurn.slice(turns)) place.restartsFirst = restartsFirst
  }
  return steps.sort((a, b) => compareText(a.hostId, b.hostId))
}

function returnStep({ host }: Place, { engines }: Repair): RepairStep {
  const why = `${engines.join(', ')} booted, and needs no restart any more`
  return { kind: 'returnHost', hostId: host.id, hostGeneration: host.generation, why }
}

function rebootStep({ host, view }: Place): RepairStep {
  const reason = view.ills.map((ill) => `${ill.engine}: ${ill.reason}`).join('; ')
  return { kind: 'rebootHost', hostId: host.id, hostGeneration: host.generation, reason }
}

/** Who has waited longest is next. */
function compareTurns(a: Place, b: Place): number {
  return quarantinedAt(a.host) - quarantinedAt(b.host) || compareText(a.host.id, b.host.id)
}

function quarantinedAt({ schedulable }: Host): number {
  return schedulable.kind === 'quarantined' ? schedulable.at : 0
}

/** Hosts of a pool that are being restarted, by anybody, or were by cidery and have not returned: a machine that stays away keeps its turn for a while. */
function awayOf(pool: string, moment: Moment, fleet: Fleet): Place[] {
  const rebooting = new Set<string>()
  for (const { request, hostId } of moment.world.operations.values()) if (request.kind === 'reboot') rebooting.add(hostId)
  const isCounted = ({ host, view }: Place): boolean =>
    view.poolName === pool && (rebooting.has(host.id) || isAway(host, view.pool, moment))
  return [...fleet.places.values()].filter(isCounted)
}

/** One that is here and as ill as before is not away: its restart was refused or cured nothing, and no other host has to wait for it. */
function isAway(host: Host, pool: Pool | undefined, moment: Moment): boolean {
  const isHere = host.state === 'up' && (host.facts?.needsReboot ?? []).length > 0
  return !isHere && (repairOf(host)?.tries ?? 0) > 0 && isTooEarly(host, pool, moment)
}

/** Whether the last restart was so lately that there may be no other yet. */
function isTooEarly({ repairedAt }: Host, pool: Pool | undefined, { now, horizon }: Moment): boolean {
  if (repairedAt === null || pool === undefined) return false
  const next = repairedAt + pool.repair.rebootEvery
  horizon.note(next)
  return now < next
}

/** Looks at one host, apart from its pool. */
export function judgeRepair(place: Place, repair: Repair, moment: Moment): Verdict {
  const { host, view } = place
  const staleAt = place.heardAt + staleInterval(moment.spec.limits)
  if (!view.isUp || moment.now > staleAt) return wait(`${host.name} does not report`, `start the agent on ${host.name}`)
  moment.horizon.note(staleAt + 1)
  return view.ills.length === 0 ? afterRestart(place, repair) : beforeRestart(place, repair, moment)
}

/** Why a host that may be restarted is not yet; null: it is its turn. */
export function judgeTurn({ host, view, restartsFirst }: Place): Extract<Verdict, { kind: 'wait' }> | null {
  if (restartsFirst.length === 0) return null
  const { poolName, pool } = view
  const shown = restartsFirst.slice(0, 3).join(', ')
  const more = restartsFirst.length > 3 ? ` and ${restartsFirst.length - 3} more` : ''
  const others = `${shown}${more} ${restartsFirst.length === 1 ? 'is' : 'are'} being restarted`
  const message = `waits for its turn: ${others} (pools.${poolName}.repair.reboots is ${pool?.repair.reboots ?? 0})`
  return { kind: 'wait', message, cure: `wait for it; ${rebootByHand(host)}` }
}

function rebootByHand(host: Host): string {
  return `cidery host reboot ${host.name}, or restart it by hand`
}

function wait(message: string, cure: string): Verdict {
  return { kind: 'wait', message, cure }
}

/** An engine is proved by a boot that it did since the quarantine began: while it was ill it could not. */
function afterRestart({ host, view }: Place, repair: Repair): Verdict {
  const unproved = repair.engines.filter((name) => {
    const engine = view.engines.get(name)
    if (engine?.facts.ok !== true) return true
    return ![...engine.bootedAt].some(([image, at]) => at > quarantinedAt(host) && engine.verdicts.get(image)?.state === 'ready')
  })
  if (unproved.length === 0) return { kind: 'return' }
  return wait(`${unproved.join(', ')} has not booted since`, `cidery host probe ${host.name}, or cidery host uncordon ${host.name}`)
}

function beforeRestart(place: Place, repair: Repair, moment: Moment): Verdict {
  const { host, view } = place
  const byHand = rebootByHand(host)
  if (view.pool === undefined || view.pool.repair.reboots === 0)
    return wait(`pools.${view.poolName}.repair.reboots is 0, so that cidery restarts no machine`, byHand)
  if (host.facts?.mayReboot === false)
    return wait(
      'its agent may not restart it',
      `restart ${host.name} by hand; to leave that to cidery, start its agent with --allow-reboot`,
    )
  for (const { id, hostId, request, state } of moment.world.operations.values())
    if (hostId === host.id) return wait(`its ${request.kind} ${id} is ${state}`, `wait for it, or cidery operation kill ${id}`)
  if (repair.tries >= mostReboots)
    return wait(
      `it was asked to restart ${mostReboots} times, which did not cure it`,
      `look at the machine; cidery host show ${host.name} has what its restarts said`,
    )
  if (isTooEarly(host, view.pool, moment)) {
    const ago = formatDuration(moment.now - (host.repairedAt ?? 0))
    const again = formatDuration((host.repairedAt ?? 0) + view.pool.repair.rebootEvery - moment.now)
    return wait(
      `it was asked to restart ${ago} ago, and may be again in ${again}`,
      `cidery host show ${host.name} has what that said; ${byHand}`,
    )
  }
  return isIdle(place, moment)
    ? { kind: 'reboot' }
    : wait('its jobs and sandboxes have not ended', 'wait for them, or cancel and remove them')
}

function isIdle({ host, load, builds }: Place, { world }: Moment): boolean {
  if ((load?.attempts.length ?? 0) > 0) return false
  if (builds.length > 0) return false
  for (const { hostId, state } of world.sandboxes.values()) if (hostId === host.id && state !== 'failed') return false
  return true
}
