import { CideryError } from '../model/errors.ts'
import type { Instant } from '../model/instant.ts'
import { isTerminalOperation, operationTransitions, type Operation, type OperationState } from '../model/operation.ts'

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
