import { CideryError } from '../../model/errors.ts'
import type { Cli } from '../cli.ts'
import { isTerminalOperation } from '../operation-states.ts'
import type { Progress } from '../render/progress.ts'
import { cleanLines } from '../render/text.ts'
import type { Api } from './api.ts'
import { whileBusy } from './busy.ts'
import { withSuggestion } from './suggest.ts'
import type { HostView, OperationView } from './views.ts'

export interface OperationAsk {
  readonly host: string
  readonly request: OperationView['request']
  readonly queueIfLost?: boolean | undefined
}

/** Finds a host by name or id. */
export function readHost(api: Api, name: string): Promise<HostView> {
  return withSuggestion(api, { kind: 'host', name }, () => api.get<HostView>(`/hosts/${encodeURIComponent(name)}`))
}

/** Asks a host for an operation. Throws HOST_LOST and OPERATION_RUNNING with what to do about it. */
export async function startOperation(
  cli: Pick<Cli, 'clock' | 'timers'>,
  api: Api,
  { host, request, queueIfLost }: OperationAsk,
): Promise<OperationView> {
  const { id } = await readHost(api, host)
  try {
    const body = { request, queueIfLost: queueIfLost === true }
    return await whileBusy(cli, () => api.call<OperationView>('POST', `/hosts/${id}/operations`, { body, idempotencyKey: api.newKey() }))
  } catch (error) {
    if (error instanceof CideryError && error.code === 'HOST_LOST') {
      throw new CideryError('HOST_LOST', error.message, {
        hint: '--queue-if-lost asks for it as soon as the host is back',
        details: error.details,
      })
    }
    throw error
  }
}

export interface FollowOperation {
  readonly operation: OperationView
  readonly progress: Progress
  /** Called with output as it comes. */
  readonly output: (text: string) => Promise<void>
}

const outagePatienceMs = 15 * 60_000

/** Waits for the end of an operation, passing its output on. Its own limits end it; there is no other. */
export async function followOperation(
  cli: Pick<Cli, 'timers'>,
  api: Api,
  { operation, progress, output }: FollowOperation,
): Promise<OperationView> {
  let now = operation
  let shown = ''
  for (;;) {
    const text = cleanLines(now.outputTail)
    if (text !== shown) {
      await progress.clear()
      await output(text.startsWith(shown) ? text.slice(shown.length) : text)
      shown = text
    }
    if (isTerminalOperation(now.state)) return now
    await progress.say(`${now.id} ${now.state}${now.reason === '' ? '' : `: ${now.reason}`}`)
    await cli.timers.sleep(250)
    now = await api.get<OperationView>(`/operations/${now.id}`, { patienceMs: outagePatienceMs })
  }
}
