import type { Cli } from '../../cli.ts'
import { openApi } from '../../client/api.ts'
import { followOperation, startOperation } from '../../client/operation.ts'
import type { OperationView } from '../../client/views.ts'
import type { OptionDeclaration } from '../../declare.ts'
import { exitCodes } from '../../declare.ts'
import { renderOperation } from '../../render/operation.ts'
import { printThing } from '../../render/output.ts'
import { makeProgress } from '../../render/progress.ts'

export interface OperateOptions {
  readonly detach?: boolean
  readonly queueIfLost?: boolean
}

export const operateOptions: readonly OptionDeclaration[] = [
  { flags: '-d, --detach', about: 'print the operation and leave' },
  { flags: '--queue-if-lost', about: 'wait for a host that does not report, instead of failing' },
]

export interface Operate {
  readonly host: string
  readonly request: OperationView['request']
  readonly options: OperateOptions
}

/** Asks for an operation, shows its output and resolves with it when it ended; at once with `--detach`. */
export async function operate(cli: Cli, { host, request, options }: Operate): Promise<OperationView> {
  const api = await openApi(cli)
  const operation = await startOperation(cli, api, { host, request, queueIfLost: options.queueIfLost })
  if (options.detach === true) return operation
  const progress = makeProgress(cli)
  const plain = cli.settings.output === 'table' || cli.settings.output === 'wide'
  const ended = await followOperation(cli, api, {
    operation,
    progress,
    output: (text) => (plain ? cli.stdout.write(text) : Promise.resolve()),
  })
  await progress.clear()
  return ended
}

/** `operate` for what has no exit code of its own: prints the operation and ends with 0 only when it succeeded. */
export async function operateAndReport(cli: Cli, asked: Operate): Promise<number> {
  const operation = await operate(cli, asked)
  const ended = asked.options.detach !== true
  const text = () =>
    ended && operation.state === 'SUCCESS' ? '' : renderOperation(operation, { now: cli.clock.now(), color: cli.settings.color })
  await printThing(cli, { value: operation, name: operation.id, text })
  return !ended || operation.state === 'SUCCESS' ? exitCodes.ok : exitCodes.failed
}
