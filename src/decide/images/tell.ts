import type { Instant } from '../../model/instant.ts'
import type { Waiting, WaitingCode } from '../../model/plan.ts'
import type { Place } from '../fleet.ts'
import { hostsListed } from '../host-reasons.ts'

export interface Told {
  readonly code: WaitingCode
  readonly message: string
  readonly cure: string
  readonly since: Instant
  readonly places?: readonly Place[]
}

/** Why something of a line does not happen. */
export function lineWaiting(image: string, { places = [], ...told }: Told): Waiting {
  const hosts = places.slice(0, hostsListed).map(({ host }) => host.id)
  return { subject: `image/${image}`, ...told, hosts, hostCount: places.length, jobCount: 0 }
}

/** Names of some hosts in a sentence, at most three. */
export function namesOf(places: readonly Place[]): string {
  const shown = places.slice(0, 3).map(({ host }) => host.name)
  return `${shown.join(', ')}${places.length > 3 ? ` and ${places.length - 3} more` : ''}`
}
