import type { Selectable } from 'kysely'
import type { Host, HostState } from '../model/host.ts'
import type { AttemptId, HostId, JobId, OperationId, SandboxId } from '../model/id.ts'
import type { Attempt, AttemptState, Job, JobState } from '../model/job.ts'
import type { Operation, OperationState } from '../model/operation.ts'
import type { Sandbox, SandboxState } from '../model/sandbox.ts'
import type { Tables } from '../ports/store.ts'

export type JobRow = Selectable<Tables['jobs']>
export type AttemptRow = Selectable<Tables['attempts']>
export type HostRow = Selectable<Tables['hosts']>
export type OperationRow = Selectable<Tables['operations']>
export type SandboxRow = Selectable<Tables['sandboxes']>

type JobDoc = Pick<
  Job,
  'resolved' | 'submittedBy' | 'attempts' | 'infrastructureFailures' | 'notBefore' | 'avoidHosts' | 'cancelRequested' | 'outcome'
>

export function jobOf(row: JobRow): Job {
  const doc = JSON.parse(row.doc) as JobDoc
  return {
    ...doc,
    id: row.id as JobId,
    queue: row.queue,
    state: row.state as JobState,
    submittedAt: row.submitted_at,
    generation: row.generation,
    endedAt: row.ended_at,
  }
}

export function jobRow(job: Job): JobRow {
  const { id, queue, state, submittedAt, generation, endedAt, ...doc } = job
  return {
    id,
    queue,
    state,
    generation,
    priority: job.resolved.spec.priority,
    submitted_at: submittedAt,
    ended_at: endedAt,
    outcome: job.outcome?.kind ?? null,
    doc: JSON.stringify(doc satisfies JobDoc),
  }
}

type AttemptDoc = Omit<Attempt, 'id' | 'jobId' | 'number' | 'hostId' | 'state' | 'generation' | 'receiptAt' | 'leaseUntil' | 'buildId'> & {
  readonly leaseMs: number
  /** Left out where there is none. */
  readonly buildId?: string
}

/** The lease runs from the last receipt, so that one batch of receipts renews all leases without reading a row. */
export function attemptOf(row: AttemptRow): Attempt {
  const { leaseMs, ...doc } = JSON.parse(row.doc) as AttemptDoc
  return {
    ...doc,
    buildId: doc.buildId ?? null,
    id: row.id as AttemptId,
    jobId: row.job_id as JobId,
    number: row.number,
    hostId: row.host_id as HostId,
    state: row.state as AttemptState,
    generation: row.generation,
    receiptAt: row.receipt_at,
    leaseUntil: row.receipt_at + leaseMs,
  }
}

export function attemptRow(attempt: Attempt, about: { readonly revision: number; readonly endedAt: number | null }): AttemptRow {
  const { id, jobId, number, hostId, state, generation, receiptAt, leaseUntil, buildId, ...rest } = attempt
  const doc = buildId === null ? rest : { ...rest, buildId }
  return {
    id,
    number,
    state,
    generation,
    job_id: jobId,
    host_id: hostId,
    revision: about.revision,
    receipt_at: receiptAt,
    ended_at: about.endedAt,
    doc: JSON.stringify({ ...doc, leaseMs: leaseUntil - receiptAt } satisfies AttemptDoc),
  }
}

type HostDoc = Pick<Host, 'labels' | 'schedulable' | 'facts' | 'failureStreak' | 'repairedAt'>

/** Reads a host; a fresh row may carry an empty `doc`. */
export function hostOf(row: HostRow): Host {
  const doc = JSON.parse(row.doc) as Partial<HostDoc>
  return {
    id: row.id as HostId,
    name: row.name,
    pool: row.pool,
    labels: doc.labels ?? {},
    state: row.state as HostState,
    schedulable: doc.schedulable ?? { kind: 'open' },
    generation: row.generation,
    desiredGeneration: row.desired_generation,
    bootId: row.boot_id,
    enrolledAt: row.enrolled_at,
    lastSeenAt: row.last_seen_at,
    facts: doc.facts ?? null,
    failureStreak: doc.failureStreak ?? 0,
    repairedAt: doc.repairedAt ?? null,
  }
}

/** All that a host's row keeps of it in its `doc`, in one place: who writes only a part of it loses the rest. */
export function hostDocOf({ labels, schedulable, facts, failureStreak, repairedAt }: HostDoc): HostDoc {
  return { labels, schedulable, facts, failureStreak, repairedAt }
}

export function hostDoc(host: HostDoc): string {
  return JSON.stringify(hostDocOf(host))
}

type OperationDoc = Omit<Operation, 'id' | 'hostId' | 'state' | 'generation' | 'requestedAt' | 'endedAt'> & { readonly revision?: number }

export function operationOf(row: OperationRow): Operation {
  const { revision: _revision, ...doc } = JSON.parse(row.doc) as OperationDoc
  return {
    ...doc,
    id: row.id as OperationId,
    hostId: row.host_id as HostId,
    state: row.state as OperationState,
    generation: row.generation,
    requestedAt: row.requested_at,
    endedAt: row.ended_at,
  }
}

/** Revision of the last report that was stored of an operation; −1 before the first. */
export function operationRevision(row: OperationRow): number {
  return (JSON.parse(row.doc) as OperationDoc).revision ?? -1
}

export function operationRow(operation: Operation, revision: number): OperationRow {
  const { id, hostId, state, generation, requestedAt, endedAt, ...doc } = operation
  return {
    id,
    state,
    generation,
    host_id: hostId,
    kind: operation.request.kind,
    requested_at: requestedAt,
    ended_at: endedAt,
    doc: JSON.stringify({ ...doc, revision } satisfies OperationDoc),
  }
}

type SandboxDoc = Omit<Sandbox, 'id' | 'name' | 'hostId' | 'state' | 'generation' | 'createdAt'>

export function sandboxOf(row: SandboxRow): Sandbox {
  const doc = JSON.parse(row.doc) as SandboxDoc
  return {
    ...doc,
    id: row.id as SandboxId,
    name: row.name,
    hostId: row.host_id as HostId,
    state: row.state as SandboxState,
    generation: row.generation,
    createdAt: row.created_at,
  }
}

export function sandboxRow(sandbox: Sandbox): SandboxRow {
  const { id, name, hostId, state, generation, createdAt, ...doc } = sandbox
  return { id, name, state, generation, host_id: hostId, created_at: createdAt, doc: JSON.stringify(doc satisfies SandboxDoc) }
}
