import type { z } from 'zod'
import type { HostView, OperationView } from '../model/api.ts'
import type { Host } from '../model/host.ts'
import type { Instant } from '../model/instant.ts'
import type { Attempt, ResolvedJob } from '../model/job.ts'
import type { Operation } from '../model/operation.ts'
import type { Plan, Waiting } from '../model/plan.ts'
import type { Reader } from '../ports/store.ts'
import { liveAttemptsOfHosts } from '../record/attempts.ts'
import { jobsById } from '../record/jobs.ts'
import { liveOperationsOfHosts } from '../record/operations.ts'
import { readinessOf, slotsOfEngine } from './host-readiness.ts'
import { waitingView } from './job-views.ts'
import type { Services } from './services.ts'

type View = z.infer<typeof HostView>

interface Running {
  readonly attempt: Attempt
  readonly resolved: ResolvedJob
  readonly queue: string
}

/** When a host was last heard of: the row, or what is newer in memory. */
export function lastHeard(services: Pick<Services, 'lastSeen'>, host: Host): Instant | null {
  const seen = services.lastSeen(host.id) ?? null
  if (seen === null) return host.lastSeenAt
  return Math.max(seen, host.lastSeenAt ?? 0)
}

/** Views of some hosts, with what runs on them. */
export async function viewHosts(services: Services, db: Reader, hosts: readonly Host[]): Promise<readonly View[]> {
  const ids = hosts.map(({ id }) => id)
  const attempts = await liveAttemptsOfHosts(db, ids)
  const jobs = await jobsById(
    db,
    attempts.map(({ jobId }) => jobId),
  )
  const operations = await liveOperationsOfHosts(db, ids)
  const running = attempts.flatMap((attempt): Running[] => {
    const job = jobs.get(attempt.jobId)
    return job === undefined ? [] : [{ attempt, resolved: job.resolved, queue: job.queue }]
  })
  return hosts.map((host) =>
    hostView(services, host, {
      running: running.filter(({ attempt }) => attempt.hostId === host.id),
      operation: operations.find(({ hostId }) => hostId === host.id) ?? null,
    }),
  )
}

function hostView(
  services: Services,
  host: Host,
  now: { readonly running: readonly Running[]; readonly operation: Operation | null },
): View {
  const spec = services.spec()
  const lastSeenAt = lastHeard(services, host)
  const pool = services.judgement.poolOf(spec, host)
  return {
    id: host.id,
    name: host.name,
    pool,
    labels: services.judgement.labelsOf(spec, host),
    state: host.state,
    schedulable: host.schedulable,
    generation: host.generation,
    enrolledAt: host.enrolledAt,
    lastSeenAt,
    silentMs: lastSeenAt === null ? null : Math.max(0, services.clock.now() - lastSeenAt),
    bootId: host.bootId,
    facts: host.facts,
    runningJobs: now.running.map(({ attempt, queue }) => ({
      jobId: attempt.jobId,
      attemptId: attempt.id,
      queue,
      since: attempt.times.assigned ?? attempt.receiptAt,
    })),
    used: usedBy(now.running),
    slots: slotsOf(services, host, now.running),
    operation: now.operation === null ? null : operationView(now.operation),
    failureStreak: host.failureStreak,
    readiness: readinessOf(host, spec.pools[pool], services.clock.now()),
    waiting: waitingOfHost(services.plan(), host).map(waitingView),
  }
}

function usedBy(running: readonly Running[]): View['used'] {
  const used = { cpu: 0, memoryMiB: 0, diskMiB: 0 }
  for (const { resolved } of running) {
    used.cpu += resolved.shape.cpu
    used.memoryMiB += resolved.shape.memoryMiB
    used.diskMiB += resolved.shape.diskMiB
  }
  return used
}

function slotsOf(services: Services, host: Host, running: readonly Running[]): View['slots'] {
  const spec = services.spec()
  const pool = spec.pools[services.judgement.poolOf(spec, host)]
  const slots: View['slots'] = {}
  for (const engine of host.facts?.engines ?? []) {
    const used = running.filter(({ resolved }) => resolved.engine === engine.name).length
    slots[engine.name] = { used, total: slotsOfEngine(engine, pool) }
  }
  return slots
}

function waitingOfHost(plan: Plan, host: Host): readonly Waiting[] {
  return plan.waiting.filter(({ subject }) => subject === `host/${host.id}` || subject === `host/${host.name}`)
}

/** An operation as people see it. */
export function operationView(operation: Operation): z.infer<typeof OperationView> {
  return {
    id: operation.id,
    hostId: operation.hostId,
    request: operation.request,
    state: operation.state,
    generation: operation.generation,
    requestedBy: operation.requestedBy,
    requestedAt: operation.requestedAt,
    startedAt: operation.startedAt,
    endedAt: operation.endedAt,
    limits: operation.limits,
    deadline: operation.deadline,
    killRequested: operation.killRequested,
    exitCode: operation.exitCode,
    pid: operation.pid,
    outputTail: operation.outputTail,
    reason: operation.reason,
  }
}
