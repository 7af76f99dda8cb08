import type { z } from 'zod'
import type { CheckView, DoctorView } from '../model/api.ts'
import type { Host } from '../model/host.ts'
import { formatDuration, minute, second } from '../model/instant.ts'
import { allHosts } from '../record/hosts.ts'
import { countByQueue } from '../record/jobs.ts'
import type { Readiness } from './health.ts'
import { lastHeard } from './host-views.ts'
import type { Services } from './services.ts'

type Check = z.infer<typeof CheckView>

/** A clock that is off by more makes ages and leases hard to read for people. */
const skewLimit = 5 * second

export interface DoctorParts {
  readonly services: Services
  readonly readiness: (signal: AbortSignal) => Promise<Readiness>
  /** A secret is in the open, a certificate ends soon, …: found by whoever wires. */
  readonly more?: () => Promise<readonly Check[]>
}

/** Looks at the controller and at every host; each check says what to do next. */
export async function examine(parts: DoctorParts): Promise<z.infer<typeof DoctorView>> {
  const { services } = parts
  const hosts = await services.recorder.read(allHosts)
  const checks: Check[] = [
    await loopCheck(parts),
    await diskCheck(services),
    fleetCheck(hosts),
    await queueCheck(services),
    ...((await parts.more?.()) ?? []),
    ...hosts.flatMap((host) => hostChecks(services, host)),
  ]
  const worst = (state: Check['state']): boolean => checks.some((check) => check.state === state)
  return { verdict: worst('failed') ? 'failed' : worst('warning') ? 'degraded' : 'healthy', checks }
}

async function loopCheck(parts: DoctorParts): Promise<Check> {
  const found = await parts.readiness(AbortSignal.any([]))
  if (found.ready) return passed('controller loop', 'the loop passes, and the store writes')
  return failed('controller loop', found.reasons.join('; '), "look at the controller's log, and restart it: cidery controller")
}

async function diskCheck(services: Services): Promise<Check> {
  const free = await services.blobs.freeBytes()
  const floor = services.spec().limits.controllerDiskFloor
  const message = `${gibibytes(free)} free, floor ${gibibytes(floor)}`
  const fix = 'free some space, shorten logRetention or artifactRetention, or lower controllerDiskFloor in cidery.yaml'
  if (free < floor) return failed('controller disk', `${message}: new jobs are refused`, fix)
  return free < floor * 2 ? warning('controller disk', message, fix) : passed('controller disk', message)
}

function gibibytes(bytes: number): string {
  return `${(bytes / 1024 ** 3).toFixed(1)} GiB`
}

function fleetCheck(hosts: readonly Host[]): Check {
  const open = hosts.filter(({ state, schedulable }) => state === 'up' && schedulable.kind === 'open').length
  if (hosts.length === 0) return warning('fleet', 'there is no host yet', 'cidery host add')
  if (open === 0) return failed('fleet', `none of ${hosts.length} hosts takes jobs`, 'cidery host ls')
  return passed('fleet', `${open} of ${hosts.length} hosts take jobs`)
}

async function queueCheck(services: Services): Promise<Check> {
  const counts = await services.recorder.read(countByQueue)
  const now = services.clock.now()
  const old = counts.filter(({ oldestQueuedAt }) => oldestQueuedAt !== null && now - oldestQueuedAt > 10 * minute)
  const [first] = old
  if (first === undefined) return passed('queues', 'no job has waited for longer than ten minutes')
  const names = old.map(({ queue }) => queue).join(', ')
  return warning('queues', `jobs have waited for longer than ten minutes: ${names}`, `cidery explain queue/${first.queue}`)
}

function hostChecks(services: Services, host: Host): Check[] {
  const name = `host ${host.name}`
  const state = stateCheck(services, host, name)
  if (host.facts === null || host.state !== 'up') return [state]
  const checks = [state]
  const skew = host.facts.clockSkewMs ?? 0
  if (Math.abs(skew) > skewLimit) {
    checks.push(warning(name, `its clock is off by ${formatDuration(Math.abs(skew))}`, 'switch on time synchronisation on the host'))
  }
  for (const engine of host.facts.engines) {
    const where = `${name}, engine ${engine.name}`
    const why = engine.problems.join('; ')
    if (!engine.ok) checks.push(warning(where, why === '' ? 'it cannot run jobs' : why, `cidery doctor, on ${host.name}`))
    else if (why !== '') checks.push(warning(where, why, `cidery doctor, on ${host.name}`))
  }
  for (const problem of host.facts.problems) checks.push(warning(name, problem, `cidery doctor, on ${host.name}`))
  return checks
}

function stateCheck(services: Services, host: Host, name: string): Check {
  const heard = lastHeard(services, host)
  switch (host.state) {
    case 'enrolled':
      return warning(name, 'it has a key and has not reported yet', `start the agent on ${host.name}: cidery agent`)
    case 'lost':
      return failed(
        name,
        `it has not reported for ${formatDuration(services.clock.now() - (heard ?? host.enrolledAt))}`,
        `look at the machine; when it is gone for good: cidery host retire ${host.name}`,
      )
    case 'up':
    case 'retired':
      return schedulableCheck(host, name)
  }
}

function schedulableCheck(host: Host, name: string): Check {
  const { schedulable } = host
  switch (schedulable.kind) {
    case 'open':
      return passed(name, 'it reports, and takes jobs')
    case 'quarantined':
      return failed(name, `quarantined: ${schedulable.reason}`, schedulable.cure)
    case 'cordoned':
    case 'draining':
      return warning(
        name,
        `${schedulable.kind} by ${schedulable.by}${schedulable.reason === '' ? '' : `: ${schedulable.reason}`}`,
        `cidery host uncordon ${host.name}`,
      )
  }
}

function passed(name: string, message: string): Check {
  return { name, state: 'passed', message, fix: null }
}

function warning(name: string, message: string, fix: string): Check {
  return { name, state: 'warning', message, fix }
}

function failed(name: string, message: string, fix: string): Check {
  return { name, state: 'failed', message, fix }
}
