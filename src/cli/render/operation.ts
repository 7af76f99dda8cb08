import type { OperationView } from '../client/views.ts'
import { quoteWord } from './job.ts'
import type { RenderOptions } from './job.ts'
import { renderFields } from './output.ts'
import { operationState } from './states.ts'
import { absoluteTime, relativeTime } from './time.ts'

/** Everything about an operation but its output, for people. */
export function renderOperation(operation: OperationView, { now, color }: RenderOptions): string {
  return renderFields(
    [
      ['operation', operation.id],
      ['does', requestText(operation.request)],
      ['host', operation.hostId],
      ['state', operationState(operation)],
      ['reason', operation.reason],
      ['exit code', operation.exitCode === null ? '' : String(operation.exitCode)],
      ['pid', operation.pid === null ? '' : String(operation.pid)],
      ['requested', `${relativeTime(operation.requestedAt, now)} by ${operation.requestedBy}`],
      ['started', operation.startedAt === null ? '' : absoluteTime(operation.startedAt)],
      ['ended', operation.endedAt === null ? '' : absoluteTime(operation.endedAt)],
      ['deadline', operation.deadline === null ? '' : absoluteTime(operation.deadline)],
    ],
    color,
  )
}

/** `exec uname -a`, `reboot`. */
export function requestText(request: OperationView['request']): string {
  if (request.kind === 'exec') return `exec ${request.command.map(quoteWord).join(' ')}`
  return request.kind === 'upgradeAgent' ? `upgradeAgent ${request.version}` : request.kind
}
