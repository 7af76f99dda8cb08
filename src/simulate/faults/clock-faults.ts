import { z } from 'zod'
import { formatDuration, hour } from '../../model/instant.ts'
import { Duration, Moment } from '../duration.ts'
import type { SimulatedFleet } from '../fleet-parts.ts'
import { between, wholeBetween } from '../random.ts'
import type { LocalClock } from '../virtual-time.ts'
import type { FaultKind } from './fault-kind.ts'

const at = Moment
/** A host's name, or `controller-1` …. */
const who = z.string()

function clockOf(fleet: SimulatedFleet, name: string): LocalClock {
  return fleet.controllers.find((controller) => controller.name === name)?.clock ?? fleet.host(name).machine.clock
}

const ClockJump = z.strictObject({ kind: z.literal('clockJump'), at, who, ms: z.number() })

export const clockJump: FaultKind<z.infer<typeof ClockJump>> = {
  kind: 'clockJump',
  schema: ClockJump,
  perDay: 0.1,
  per: 'host',
  draw: (random, when, { target, controllers }) => ({
    kind: 'clockJump',
    at: when,
    who: random.fraction() < 0.1 ? `controller-${wholeBetween(random, 1, controllers)}` : target,
    ms: Math.round(between(random, -hour, hour)),
  }),
  words: ({ who: name, ms }) => `the clock of ${name} jumps by ${formatDuration(Math.abs(ms))} ${ms < 0 ? 'back' : 'ahead'}`,
  begin: (fleet, fault) => clockOf(fleet, fault.who).jump(fault.ms),
}

const ClockDrift = z.strictObject({ kind: z.literal('clockDrift'), at, for: Duration, who, partsPerMillion: z.number() })

export const clockDrift: FaultKind<z.infer<typeof ClockDrift>> = {
  kind: 'clockDrift',
  schema: ClockDrift,
  perDay: 0.1,
  per: 'host',
  draw: (random, when, { target }) => ({
    kind: 'clockDrift',
    at: when,
    for: wholeBetween(random, 1, 12) * hour,
    who: target,
    partsPerMillion: Math.round(between(random, -500, 500)),
  }),
  words: ({ who: name, partsPerMillion }) => `the clock of ${name} drifts by ${partsPerMillion} millionths`,
  begin: (fleet, fault) => clockOf(fleet, fault.who).drift(fault.partsPerMillion),
  end: (fleet, fault) => clockOf(fleet, fault.who).drift(0),
}
