import { CideryError } from '../model/errors.ts'
import type { Instant } from '../model/instant.ts'
import { isTerminalOperation, operationTransitions, type Operation, type OperationState } from '../model/operation.ts'
import type { OperationReport } from '../model/sync.ts'

export interface Move {
  readonly to: OperationState
  readonly at: Instant
  readonly reason: string
  /** Boot id of the host now; remembered when the operation starts. */
  readonly bootId?: string | null
}

/** Whether the table of states has this move. */
export function mayMove(from: OperationState, to: OperationState): boolean {
  return (operationTransitions[from] as readonly OperationState[]).includes(to)
}

/**
 * The operation in its next state, one generation on. Throws CONFLICT when the table does not have the move, also for one that ended.
 *
 * @example moveOperation(operation, { to: 'VALIDATING', at: now, reason: '' })
 */
export function moveOperation(operation: Operation, move: Move): Operation {
  const { to, at, reason } = move
  if (!mayMove(operation.state, to)) {
    const follow = operationTransitions[operation.state]
    const hint = follow.length === 0 ? 'it has ended: ask for a new one' : `after ${operation.state} comes ${follow.join(', ')}`
    throw new CideryError('CONFLICT', `operation ${operation.id} cannot go from ${operation.state} to ${to}`, {
      hint,
      details: { state: operation.state },
    })
  }
  const isStart = operation.state === 'PENDING' && !isTerminalOperation(to)
  return {
    ...operation,
    state: to,
    reason,
    generation: operation.generation + 1,
    changedAt: at,
    startedAt: isStart ? at : operation.startedAt,
    startedBootId: isStart ? (move.bootId ?? null) : operation.startedBootId,
    endedAt: isTerminalOperation(to) ? at : operation.endedAt,
  }
}

/** Ends that an agent may report and that hold at once; success has to wait for facts that are newer (`decide/operations.ts`). */
const reportedEnds: ReadonlySet<OperationState> = new Set([
  'ERROR',
  'SKIPPED',
  'KILLED',
  'PARTIAL',
  'TIMEOUT',
  'STALE_BINARY',
  'SUSPICIOUS',
])

/**
 * The operation after its agent spoke of it; the same value when the report is late, of another generation's past, or tells nothing new.
 * A report of success only sets `completedAt`: the operation ends when facts newer than that arrive.
 */
export function operationAfterReport(operation: Operation, report: OperationReport, at: Instant): Operation {
  if (isTerminalOperation(operation.state)) return operation
  const told = { ...operation, exitCode: report.exitCode, pid: report.pid, outputTail: report.outputTail }
  const isDone = report.state === 'SUCCESS'
  if (isDone) return operation.completedAt === null ? { ...told, completedAt: at, generation: operation.generation + 1 } : told
  if (report.state === operation.state || !mayMove(operation.state, report.state)) return told
  const moved = moveOperation(told, { to: report.state, at, reason: report.reason })
  return reportedEnds.has(report.state) ? { ...moved, completedAt: operation.completedAt ?? at } : moved
}
