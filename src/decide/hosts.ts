import type { Step } from '../model/plan.ts'
import { isFailing, type Fleet, type Moment, type Place } from './fleet.ts'
import { quarantineText, lossOf } from './host-reasons.ts'

/**
 * What becomes of hosts by themselves: silent ones are lost, those that keep failing go into quarantine. Both are noticed in the pass
 * that places jobs, so that no job goes there meanwhile.
 */
export function decideHosts(moment: Moment, fleet: Fleet): Step[] {
  const steps: Step[] = []
  for (const place of fleet.places.values()) {
    const step = stepOf(place, moment)
    if (step !== null) steps.push(step)
  }
  return steps
}

/** One step per host and pass: each raises the host's generation, so that a second one would be stale. */
function stepOf(place: Place, moment: Moment): Step | null {
  const { host } = place
  const at = { hostId: host.id, hostGeneration: host.generation }
  if (host.state === 'up' && lossOf(place, moment).lost) return { kind: 'hostLost', ...at, silentMs: moment.now - place.heardAt }
  if (!isFailing(place)) return null
  const { message, cure } = quarantineText(place)
  return { kind: 'quarantineHost', ...at, reason: message, cure }
}
