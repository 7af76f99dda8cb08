import type { OperationView } from '../../client/views.ts'
import { exitCodes } from '../../declare.ts'
import { cleanText } from '../../render/text.ts'

/** The exit code that an `exec` ends with, and what there is to say when it is not the command's own. */
export function outcomeOfOperation(operation: OperationView): { readonly code: number; readonly problem: string | undefined } {
  const reason = cleanText(`${operation.id} ${operation.state}${operation.reason === '' ? '' : `: ${operation.reason}`}`)
  if (operation.state === 'SUCCESS') return { code: operation.exitCode ?? exitCodes.ok, problem: undefined }
  if (operation.state === 'ERROR' && operation.exitCode !== null) return { code: operation.exitCode, problem: undefined }
  if (operation.state === 'TIMEOUT') return { code: exitCodes.timedOut, problem: reason }
  if (operation.state === 'KILLED') return { code: exitCodes.cancelled, problem: reason }
  return { code: exitCodes.notRun, problem: reason }
}
