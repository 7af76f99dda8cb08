import { z } from 'zod'
import { formatDuration, minute, second } from '../../model/instant.ts'
import { Duration, Moment } from '../duration.ts'
import type { SimulatedFleet } from '../fleet-parts.ts'
import type { LineFaults } from '../line.ts'
import { between, wholeBetween } from '../random.ts'
import type { FaultKind } from './fault-kind.ts'

const at = Moment
const fraction = z.number().min(0).max(1)

const BadLine = z.strictObject({
  kind: z.literal('badLine'),
  at,
  for: Duration,
  host: z.string(),
  lose: fraction,
  double: fraction,
  lateMs: Moment,
})

/** Messages get lost, come twice, come late and overtake each other. */
export const badLine: FaultKind<z.infer<typeof BadLine>> = {
  kind: 'badLine',
  schema: BadLine,
  perDay: 1,
  per: 'host',
  draw: (random, when, { target }) => ({
    kind: 'badLine',
    at: when,
    for: wholeBetween(random, 1, 60) * minute,
    host: target,
    lose: between(random, 0, 0.4),
    double: between(random, 0, 0.3),
    lateMs: random.fraction() < 0.5 ? between(random, 0, 2000) : between(random, 0, 20_000),
  }),
  words: ({ host, lose, double, lateMs }) =>
    `the line of ${host} loses ${percent(lose)} of its messages, doubles ${percent(double)}, delays them by up to ${formatDuration(lateMs)}`,
  begin: (fleet, { host, lose, double, lateMs }) => change(fleet, host, { lose, double, lateMs }),
  end: (fleet, { host }) => change(fleet, host, { lose: 0, double: 0, lateMs: 0 }),
}

const Partition = z.strictObject({
  kind: z.literal('partition'),
  at,
  for: Duration,
  /** Which hosts reach no controller; `all` is every one. */
  hosts: z.union([z.literal('all'), z.array(z.string()).min(1)]),
})

export const partition: FaultKind<z.infer<typeof Partition>> = {
  kind: 'partition',
  schema: Partition,
  perDay: 0.4,
  per: 'host',
  draw: (random, when, { target }) => ({
    kind: 'partition',
    at: when,
    for: random.fraction() < 0.7 ? wholeBetween(random, 5, 600) * second : wholeBetween(random, 10, 120) * minute,
    hosts: random.fraction() < 0.1 ? 'all' : [target],
  }),
  words: ({ hosts }) => `${hosts === 'all' ? 'no host reaches' : `${hosts.join(', ')} cannot reach`} any controller`,
  begin: (fleet, { hosts }) => eachOf(fleet, hosts, true),
  end: (fleet, { hosts }) => eachOf(fleet, hosts, false),
}

function percent(fraction: number): string {
  return `${Math.round(fraction * 100)} %`
}

function eachOf(fleet: SimulatedFleet, hosts: 'all' | readonly string[], cut: boolean): void {
  for (const host of hosts === 'all' ? fleet.hosts.keys() : hosts) change(fleet, host, { cut })
}

function change(fleet: SimulatedFleet, host: string, faults: Partial<LineFaults>): void {
  Object.assign(fleet.host(host).line.faults, faults)
}
