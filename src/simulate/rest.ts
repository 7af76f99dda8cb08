import type { Job } from '../model/job.ts'
import { hostOf, jobOf, type HostRow, type JobRow } from '../record/rows.ts'
import { logName } from '../serve/logs.ts'
import type { BuiltFleet } from './fleet.ts'
import { logText, secretValue } from './programs.ts'
import type { Scenario } from './scenario.ts'

/** What is not yet at rest in a fleet that nothing disturbs any more; empty: all is. Each a sentence. */
export function unrest(fleet: BuiltFleet, nameOf: (id: string) => string): readonly string[] {
  return [...openJobs(fleet, nameOf), ...unreadyHosts(fleet), ...leftOnHosts(fleet)]
}

function openJobs(fleet: BuiltFleet, nameOf: (id: string) => string): readonly string[] {
  const rows = (fleet.look()?.("select id, state from jobs where state <> 'ended' order by id limit 5") ?? []) as {
    id: string
    state: string
  }[]
  const people = fleet.people.waiting() > 0 ? [`${fleet.people.waiting()} requests of people are not answered`] : []
  return [...rows.map(({ id, state }) => `${nameOf(id)} is ${state}`), ...people]
}

/** A host is ready, or says why it is not. */
function unreadyHosts(fleet: BuiltFleet): readonly string[] {
  const rows = (fleet.look()?.('select * from hosts order by name') ?? []) as HostRow[]
  return rows.flatMap((row) => {
    const { name, state, schedulable, facts } = hostOf(row)
    if (state !== 'up') return [`${name} is ${state}`]
    // Somebody has to look at it, and it says for what.
    if (schedulable.kind === 'quarantined' && schedulable.repair === undefined && schedulable.reason !== '') return []
    if (schedulable.kind !== 'open') return [`${name} is ${schedulable.kind}`]
    const bad = facts?.readiness.find(({ check, boot }) => check?.ok !== true || boot?.ok !== true)
    if (facts === null || facts.readiness.length === 0) return [`${name} has no readiness`]
    if (bad !== undefined) return [`${name} is not ready: ${bad.check?.reason ?? 'no check'}; ${bad.boot?.reason ?? 'no boot'}`]
    const slots = facts.engines.reduce((sum, engine) => sum + engine.slots, 0)
    const real = [...fleet.host(name).machine.engines.values()].reduce((sum, engine) => sum + engine.slots(), 0)
    return slots === real ? [] : [`${name} says that it has ${slots} slots, and has ${real}`]
  })
}

function leftOnHosts(fleet: BuiltFleet): readonly string[] {
  return [...fleet.hosts.values()].flatMap(({ machine }) => {
    const sandboxes = [...machine.engines.values()].reduce((sum, engine) => sum + engine.ids().length, 0)
    const left = [
      sandboxes > 0 ? `${sandboxes} sandboxes` : '',
      machine.supervisors.alive().length > 0 ? `${machine.supervisors.alive().length} commands` : '',
      machine.journal.count() > 0 ? `${machine.journal.count()} records` : '',
    ].filter((text) => text !== '')
    return left.length === 0 ? [] : [`${machine.name} still has ${left.join(', ')}`]
  })
}

/** Looks, once all is at rest, at what must be whole then: the log of each job that ended by itself. */
export async function wrongLogs(fleet: BuiltFleet, scenario: Scenario): Promise<readonly string[]> {
  const wrong: string[] = []
  for (const { key, logBytes, secret } of scenario.jobs) {
    const id = fleet.people.accepted.get(key)
    if (id === undefined) continue
    const [row] = (fleet.look()?.('select * from jobs where id = ?', [id]) ?? []) as JobRow[]
    const job: Job | null = row === undefined ? null : jobOf(row)
    if (job?.outcome?.kind !== 'exited') continue
    const [attempt] = (fleet.look()?.('select id from attempts where job_id = ? order by number desc limit 1', [id]) ?? []) as {
      id: string
    }[]
    const log = await textOf(fleet.blobs.read(logName(attempt?.id ?? ''), 0))
    if (log.includes(secretValue)) wrong.push(`the log of ${key} shows its secret`)
    const whole = logText(logBytes, secret)
    if (secret ? log.length === 0 : log !== whole) wrong.push(`the log of ${key} has ${log.length} of ${whole.length} bytes`)
  }
  return wrong
}

async function textOf(bytes: AsyncIterable<unknown>): Promise<string> {
  const parts: Buffer[] = []
  for await (const part of bytes) parts.push(part as Buffer)
  return Buffer.concat(parts).toString()
}
