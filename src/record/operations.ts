import { CideryError } from '../model/errors.ts'
import { hostCan, type Host, type HostState } from '../model/host.ts'
import type { OperationId } from '../model/id.ts'
import { second, type Milliseconds } from '../model/instant.ts'
import {
  isTerminalOperation,
  operationCan,
  operationTransitions,
  type Operation,
  type OperationLimits,
  type OperationRequest,
  type OperationState,
} from '../model/operation.ts'
import type { OperationReport } from '../model/sync.ts'
import type { Reader } from '../ports/store.ts'
import { chunks } from './chunks.ts'
import type { Applied, RecordTx } from './commit.ts'
import { findHostRow } from './hosts.ts'
import { operationOf, operationRevision, operationRow, type OperationRow } from './rows.ts'
import { failRequested } from './sandboxes.ts'

/** Output kept of an operation. */
const outputLimit = 64 * 1024

export async function findOperationRow(db: Reader, id: string): Promise<OperationRow | undefined> {
  return db.selectFrom('operations').selectAll().where('id', '=', id).executeTakeFirst()
}

export async function readOperation(db: Reader, id: string): Promise<Operation> {
  const row = await findOperationRow(db, id)
  if (row === undefined) throw new CideryError('NOT_FOUND', `no operation has the id ${id}`, { hint: 'cidery host show <host>' })
  return operationOf(row)
}

/** Operations that have not ended, of some hosts, oldest first on each. */
export async function liveOperationsOfHosts(db: Reader, hostIds: readonly string[]): Promise<readonly Operation[]> {
  const operations: Operation[] = []
  for (const part of chunks(hostIds, 500)) {
    const rows = await db
      .selectFrom('operations')
      .selectAll()
      .where('host_id', 'in', part)
      .where('ended_at', 'is', null)
      .orderBy('host_id')
      .orderBy('requested_at')
      .orderBy('id')
      .execute()
    for (const row of rows) operations.push(operationOf(row))
  }
  return operations
}

/** The bytes that a host needs for what is asked of it. */
export function digestsOfOperation(request: OperationRequest): readonly string[] {
  return request.kind === 'upgradeAgent' ? [request.blob] : []
}

/** The latest operations of a host, newest first. */
export async function listOperations(db: Reader, hostId: string, limit: number): Promise<readonly Operation[]> {
  const rows = await db
    .selectFrom('operations')
    .selectAll()
    .where('host_id', '=', hostId)
    .orderBy('requested_at', 'desc')
    .orderBy('id', 'desc')
    .limit(limit)
    .execute()
  return rows.map(operationOf)
}

export interface NewOperation {
  readonly id: OperationId
  readonly host: Host
  readonly request: OperationRequest
  readonly limits: OperationLimits
  /** Accept it for a host that does not report. */
  readonly queueIfLost: boolean
  /** How long the host has been silent; for the refusal. */
  readonly silentMs: Milliseconds | null
}

/** Asks for a change to a host. HOST_LOST with the host's age when it does not report; OPERATION_RUNNING with what runs there. */
export async function createOperation(tx: RecordTx, wanted: NewOperation): Promise<Operation> {
  const { host } = wanted
  requireReporting(wanted)
  const [current] = await liveOperationsOfHosts(tx.db, [host.id])
  if (current !== undefined) {
    throw new CideryError('OPERATION_RUNNING', `the host ${host.name} is busy with ${current.request.kind} (${current.state})`, {
      hint: `wait for it, or cidery operation kill ${current.id}`,
      details: { current: { id: current.id, kind: current.request.kind, state: current.state, pid: current.pid } },
    })
  }
  const operation: Operation = {
    id: wanted.id,
    hostId: host.id,
    request: wanted.request,
    state: 'PENDING',
    generation: 1,
    limits: wanted.limits,
    requestedBy: tx.author.actor,
    requestedAt: tx.now,
    startedAt: null,
    changedAt: tx.now,
    startedBootId: null,
    completedAt: null,
    endedAt: null,
    killRequested: false,
    deadline: null,
    exitCode: null,
    pid: null,
    outputTail: '',
    reason: '',
  }
  await tx.db.insertInto('operations').values(operationRow(operation, -1)).execute()
  tx.touch('operation', operation.id)
  tx.note('operation.requested', `operation/${operation.id}`, { data: { host: host.name, kind: wanted.request.kind } })
  return operation
}

function requireReporting(wanted: NewOperation): void {
  const { host, silentMs } = wanted
  const states: readonly HostState[] = hostCan.operate
  if (host.state === 'retired')
    throw new CideryError('CONFLICT', `the host ${host.name} is retired`, { hint: 'cidery host ls', details: { state: host.state } })
  if (states.includes(host.state) || wanted.queueIfLost) return
  const age = silentMs === null ? 'has never reported' : `has not reported for ${Math.round(silentMs / second)} s`
  throw new CideryError('HOST_LOST', `the host ${host.name} ${age}`, {
    hint: `look at the machine, or ask for it to be done when it is back (queueIfLost)`,
    details: { silentMs, state: host.state, lastSeenAt: host.lastSeenAt },
  })
}

interface OperationChange {
  readonly change: Partial<Operation>
  readonly revision: number
  /** The host need not hear of it: it said so itself. */
  readonly quiet?: boolean
}

async function saveOperation(tx: RecordTx, before: Operation, after: OperationChange): Promise<Operation | null> {
  const operation: Operation = { ...before, ...after.change, generation: before.generation + 1 }
  const { id: _id, ...row } = operationRow(operation, after.revision)
  const done = await tx.db
    .updateTable('operations')
    .set(row)
    .where('id', '=', before.id)
    .where('generation', '=', before.generation)
    .where('ended_at', 'is', null)
    .executeTakeFirst()
  if (done.numUpdatedRows === 0n) return null
  tx.touch('operation', before.id)
  if (after.quiet !== true) tx.desire(before.hostId)
  return operation
}

/** What changes with a move to another state. A move that the table does not have is a bug and throws. */
function moved(tx: RecordTx, operation: Operation, to: OperationState): Partial<Operation> {
  const allowed: readonly OperationState[] = operationTransitions[operation.state]
  if (!allowed.includes(to))
    throw new CideryError('INTERNAL', `an operation cannot go from ${operation.state} to ${to}`, { details: { operation: operation.id } })
  // Its limits count from the moment that it left the line, so that no state before EXECUTING can last for ever.
  const started = operation.state === 'PENDING' && !isTerminalOperation(to)
  const ended = isTerminalOperation(to)
  return {
    state: to,
    changedAt: tx.now,
    ...(started ? { startedAt: tx.now, deadline: operation.deadline ?? tx.now + operation.limits.hard } : {}),
    ...(ended ? { endedAt: tx.now } : {}),
  }
}

async function noteMove(tx: RecordTx, operation: Operation, reason: string): Promise<void> {
  const kind = isTerminalOperation(operation.state) ? 'operation.ended' : 'operation.changed'
  const bad = operation.state === 'ERROR' || operation.state === 'TIMEOUT' || operation.state === 'SUSPICIOUS'
  tx.note(kind, `operation/${operation.id}`, {
    result: bad ? 'failed' : 'ok',
    data: { kind: operation.request.kind, hostId: operation.hostId, state: operation.state, reason, exitCode: operation.exitCode },
  })
  const { request, state } = operation
  const failed = isTerminalOperation(state) && state !== 'SUCCESS'
  if (request.kind === 'sandboxCreate' && failed) await failRequested(tx, request.sandboxId, reason)
}

export interface OperationMove {
  readonly operationId: string
  readonly generation: number
  readonly to: OperationState
  readonly reason: string
}

export async function moveOperation(tx: RecordTx, move: OperationMove): Promise<Applied> {
  const row = await findOperationRow(tx.db, move.operationId)
  if (row === undefined || row.ended_at !== null || row.generation !== move.generation) return 'stale'
  const before = operationOf(row)
  const startedBootId = before.state === 'PENDING' ? ((await findHostRow(tx.db, before.hostId))?.boot_id ?? null) : before.startedBootId
  const change = { ...moved(tx, before, move.to), startedBootId, reason: move.reason }
  const after = await saveOperation(tx, before, { change, revision: operationRevision(row) })
  if (after === null) return 'stale'
  await noteMove(tx, after, move.reason)
  return 'done'
}

/** Moves a running operation to KILLING because its time is over: the host kills it. */
export async function killOverdue(
  tx: RecordTx,
  step: { readonly operationId: string; readonly generation: number; readonly reason: string },
): Promise<Applied> {
  return moveOperation(tx, { ...step, to: 'KILLING' })
}

/** A person asks for the end of an operation; the loop moves it on. Asking again changes nothing. */
export async function requestKill(tx: RecordTx, id: string): Promise<Operation> {
  const row = await findOperationRow(tx.db, id)
  if (row === undefined) throw new CideryError('NOT_FOUND', `no operation has the id ${id}`, { hint: 'cidery host show <host>' })
  const before = operationOf(row)
  if (isTerminalOperation(before.state) || before.killRequested) return before
  const change = { killRequested: true, reason: `to be killed for ${tx.author.actor}` }
  const after = await saveOperation(tx, before, { change, revision: operationRevision(row) })
  if (after === null) return before
  tx.note('operation.changed', `operation/${id}`, { data: { killRequested: true } })
  return after
}

/** Gives a running operation more time: its hard limit moves by so many seconds. CONFLICT when it does not run. */
export async function extendOperation(tx: RecordTx, id: string, seconds: number): Promise<Operation> {
  const row = await findOperationRow(tx.db, id)
  if (row === undefined) throw new CideryError('NOT_FOUND', `no operation has the id ${id}`, { hint: 'cidery host show <host>' })
  const before = operationOf(row)
  if (before.startedAt === null || !(operationCan.extend as readonly string[]).includes(before.state)) {
    throw new CideryError('CONFLICT', `the operation ${id} is ${before.state}: only one that runs can get more time`, {
      details: { state: before.state },
    })
  }
  const deadline = Math.max(tx.now, before.deadline ?? before.startedAt + before.limits.hard) + seconds * second
  const back = before.state === 'TIMEOUT_PENDING' ? moved(tx, before, 'RUNNING_WARNING') : {}
  const after = await saveOperation(tx, before, { change: { ...back, deadline }, revision: operationRevision(row) })
  if (after === null) return before
  tx.note('operation.changed', `operation/${id}`, { data: { deadline, extendedS: seconds } })
  return after
}

/**
 * Stores what a host says of an operation. A success that it reports is taken as "done at this moment": the state follows once facts that are newer
 * prove it. Returns the revision that the host need not repeat, or null when there is no such operation.
 */
export async function recordOperationReport(
  tx: RecordTx,
  hostId: string,
  report: OperationReport,
): Promise<{ readonly id: string; readonly revision: number }> {
  const acknowledged = { id: report.id, revision: report.revision }
  const row = await findOperationRow(tx.db, report.id)
  if (row === undefined || row.host_id !== hostId || row.ended_at !== null || report.revision <= operationRevision(row)) return acknowledged
  const before = operationOf(row)
  const moves = movesFor(before.state, report)
  const changed = moves.reduce((operation, to): Operation => Object.assign({}, operation, moved(tx, operation, to)), before)
  const change: Partial<Operation> = {
    ...changed,
    exitCode: report.exitCode,
    pid: report.pid,
    outputTail: report.outputTail.slice(-outputLimit),
    reason: report.rejected === null ? report.reason : rejection(report.rejected),
    completedAt: report.state === 'SUCCESS' ? (before.completedAt ?? tx.now) : before.completedAt,
  }
  const after = await saveOperation(tx, before, { change, revision: report.revision, quiet: !isTerminalOperation(changed.state) })
  if (after !== null) for (const state of moves) await noteMove(tx, { ...after, state }, after.reason)
  return acknowledged
}

function rejection(by: NonNullable<OperationReport['rejected']>): string {
  return `the host runs ${by.kind} (${by.by}${by.pid === null ? '' : `, pid ${by.pid}`})`
}

/** States that a host may pass through faster than its reports arrive. */
const passed = [['EXECUTING'], ['KILLING'], ['EXECUTING', 'KILLING']] as const satisfies readonly (readonly OperationState[])[]

/**
 * The moves that a report brings, along the table: what was passed through between two reports is made up for, so that a short operation and a quick kill
 * end as well as slow ones. Empty: the report brings no move, or came late. A success moves no further than EXECUTING: facts have to prove it.
 */
export function movesFor(from: OperationState, report: Pick<OperationReport, 'state' | 'rejected'>): readonly OperationState[] {
  if (report.rejected !== null) return from === 'VALIDATING' ? ['BLOCKED'] : []
  if (report.state === from) return []
  if (report.state === 'SUCCESS') return canMove(from, 'EXECUTING') ? ['EXECUTING'] : []
  for (const between of [[], ...passed]) {
    const moves = [...between, report.state]
    if (moves.every((to, at) => canMove(moves[at - 1] ?? from, to))) return moves
  }
  return []
}

function canMove(from: OperationState, to: OperationState): boolean {
  const allowed: readonly OperationState[] = operationTransitions[from]
  return allowed.includes(to)
}

/** Whether an operation waits for facts that are newer than its end. */
export function awaitsProof(operation: Operation): boolean {
  return operation.completedAt !== null && operation.endedAt === null
}
