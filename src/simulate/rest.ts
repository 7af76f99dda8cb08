import type { Host } from '../model/host.ts'
import { hostOf, jobOf, type HostRow, type JobRow } from '../record/rows.ts'
import { logName } from '../serve/logs.ts'
import type { FleetHost } from './fleet-parts.ts'
import type { BuiltFleet } from './fleet.ts'
import type { Machine } from './machine.ts'
import { logText, secretValue } from './programs.ts'
import type { Scenario, ScenarioJob } from './scenario.ts'

/** What is not yet at rest in a fleet that nothing disturbs any more; empty: all is. Each a sentence. */
export function unrest(fleet: BuiltFleet, nameOf: (id: string) => string): readonly string[] {
  const jobs = rows(fleet, "select id, state from jobs where state <> 'ended' order by id limit 5") as { id: string; state: string }[]
  const operations = rows(fleet, 'select kind, state from operations where ended_at is null order by id limit 5') as {
    kind: string
    state: string
  }[]
  const people = fleet.people.waiting() > 0 ? [`${fleet.people.waiting()} requests of people are not answered`] : []
  const hosts = (rows(fleet, 'select * from hosts order by name') as HostRow[]).map(hostOf)
  return [
    ...jobs.map(({ id, state }) => `${nameOf(id)} is ${state}`),
    ...operations.map(({ kind, state }) => `an operation (${kind}) is ${state}`),
    ...people,
    ...hosts.flatMap((host) => notReady(host, fleet.host(host.name)) ?? []),
    ...[...fleet.hosts.values()].flatMap(({ machine }) => leftOn(machine) ?? []),
  ]
}

function rows(fleet: BuiltFleet, sql: string, parameters: readonly unknown[] = []): readonly unknown[] {
  return fleet.look()?.(sql, parameters) ?? []
}

/** A host is ready, or says why it is not. */
function notReady({ name, state, schedulable, facts }: Host, { machine }: FleetHost): string | null {
  if (state !== 'up') return `${name} is ${state}`
  // Somebody has to look at it, and it says for what.
  if (schedulable.kind === 'quarantined' && schedulable.repair === undefined && schedulable.reason !== '') return null
  if (schedulable.kind !== 'open') return `${name} is ${schedulable.kind}`
  return notProved(name, facts, machine)
}

function notProved(name: string, facts: Host['facts'], machine: Machine): string | null {
  if (facts === null || facts.readiness.length === 0) return `${name} has no readiness`
  const bad = facts.readiness.find((each) => each.check?.ok !== true || each.boot?.ok !== true)
  if (bad !== undefined) return `${name} is not ready: ${bad.check?.reason ?? 'no check'}; ${bad.boot?.reason ?? 'no boot'}`
  const slots = facts.engines.reduce((sum, engine) => sum + engine.slots, 0)
  const real = [...machine.engines.values()].reduce((sum, engine) => sum + engine.slots(), 0)
  return slots === real ? null : `${name} says that it has ${slots} slots, and has ${real}`
}

function leftOn(machine: Machine): string | null {
  const counts = [
    [[...machine.engines.values()].reduce((sum, engine) => sum + engine.ids().length, 0), 'sandboxes'],
    [machine.supervisors.alive().length, 'commands'],
    [machine.journal.count(), 'records'],
  ] as const
  const left = counts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`)
  return left.length === 0 ? null : `${machine.name} still has ${left.join(', ')}`
}

/** Looks, once all is at rest, at what must be whole then: the log of each job that ended by itself. */
export async function wrongLogs(fleet: BuiltFleet, scenario: Scenario): Promise<readonly string[]> {
  const wrong: string[] = []
  for (const job of scenario.jobs) {
    const id = fleet.people.accepted.get(job.key)
    const [row] = id === undefined ? [] : (rows(fleet, 'select * from jobs where id = ?', [id]) as JobRow[])
    if (row === undefined || jobOf(row).outcome?.kind !== 'exited') continue
    const [attempt] = rows(fleet, 'select id from attempts where job_id = ? order by number desc limit 1', [row.id]) as { id: string }[]
    const problem = wrongLog(job, await textOf(fleet.blobs.read(logName(attempt?.id ?? ''), 0)))
    if (problem !== null) wrong.push(problem)
  }
  return wrong
}

function wrongLog({ key, logBytes, secret }: ScenarioJob, log: string): string | null {
  if (log.includes(secretValue)) return `the log of ${key} shows its secret`
  const whole = logText(logBytes, secret)
  // Where the secret was stands something else, of another length.
  const isWhole = secret ? log.length > 0 : log === whole
  return isWhole ? null : `the log of ${key} has ${log.length} of ${whole.length} bytes`
}

async function textOf(bytes: AsyncIterable<unknown>): Promise<string> {
  const parts: Buffer[] = []
  for await (const part of bytes) parts.push(part as Buffer)
  return Buffer.concat(parts).toString()
}
