import type { OperationState } from '../model/operation.ts'

// The table of model/operation.ts, as far as a client needs it: loading the schemas beside it would double the time to start.
const terminal = {
  PENDING: false,
  VALIDATING: false,
  BLOCKED: false,
  EXECUTING: false,
  RUNNING_WARNING: false,
  TIMEOUT_PENDING: false,
  AWAITING_RECONNECT: false,
  KILLING: false,
  SUCCESS: true,
  ERROR: true,
  TIMEOUT: true,
  SKIPPED: true,
  KILLED: true,
  PARTIAL: true,
  STALE_BINARY: true,
  SUSPICIOUS: true,
} as const satisfies Record<OperationState, boolean>

/** Whether an operation in this state stays in it. */
export function isTerminalOperation(state: OperationState): boolean {
  return terminal[state]
}
