import type { Step } from '../model/plan.ts'
import type { Fleet, Moment, Place } from './fleet.ts'
import { quarantineText } from './host-reasons.ts'
import { isFailing } from './host-view.ts'
import { compareText } from './sorted-map.ts'

/**
 * What becomes of hosts by themselves: silent ones are lost, those that keep failing or need a restart go into quarantine. Both are noticed in the pass
 * that places jobs, so that no job goes there meanwhile.
 */
export function decideHosts(moment: Moment, fleet: Fleet): Step[] {
  const found: { readonly id: string; readonly step: Step }[] = []
  for (const group of fleet.groups) {
    for (const code of ['hostLost', 'hostQuarantined'] as const) {
      for (const place of group.closed.get(code) ?? []) {
        const step = stepOf(place, moment)
        if (step !== null) found.push({ id: place.host.id, step })
      }
    }
  }
  return found.sort((a, b) => compareText(a.id, b.id)).map(({ step }) => step)
}

/** One step per host and pass: each raises the host's generation, so that a second one would be stale. */
function stepOf(place: Place, moment: Moment): Step | null {
  const { host, view } = place
  const at = { hostId: host.id, hostGeneration: host.generation }
  if (place.status === 'hostLost' && view.isUp) return { kind: 'hostLost', ...at, silentMs: moment.now - place.heardAt }
  const isIll = host.schedulable.kind === 'open' && view.ills.length > 0
  if (!isIll && !isFailing(host, view.pool)) return null
  const { message, cure } = quarantineText(place)
  return { kind: 'quarantineHost', ...at, reason: message, cure, repair: isIll ? view.ills.map(({ engine }) => engine) : null }
}
