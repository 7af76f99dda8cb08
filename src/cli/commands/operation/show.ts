import { openApi } from '../../client/api.ts'
import { followOperation } from '../../client/operation.ts'
import type { OperationView } from '../../client/views.ts'
import { command, exitCodes } from '../../declare.ts'
import { renderOperation } from '../../render/operation.ts'
import { printThing } from '../../render/output.ts'
import { makeProgress } from '../../render/progress.ts'
import { cleanLines } from '../../render/text.ts'

interface OperationShowOptions {
  readonly follow?: boolean
}

export const show = command<OperationShowOptions>({
  name: 'show',
  aliases: ['get'],
  summary: 'show one operation and its output',
  examples: [
    ['cidery operation show op_01k…', 'state, reason and the end of its output'],
    ['cidery operation show -f op_01k…', 'wait for its end'],
  ],
  arguments: [{ name: '<operation>', about: 'id of the operation', completes: 'operation' }],
  options: [{ flags: '-f, --follow', about: 'wait until it ended' }],
  prints: 'view',
  async run(cli, { args: [id = ''], options }) {
    const api = await openApi(cli)
    let operation = await api.get<OperationView>(`/operations/${encodeURIComponent(id)}`)
    if (options.follow === true) {
      const progress = makeProgress(cli)
      operation = await followOperation(cli, api, { operation, progress, output: async () => undefined })
      await progress.clear()
    }
    const output = operation.outputTail === '' ? '' : `\n${cleanLines(operation.outputTail).replace(/\n?$/, '\n')}`
    await printThing(cli, {
      value: operation,
      name: operation.id,
      text: () => renderOperation(operation, { now: cli.clock.now(), color: cli.settings.color }) + output,
    })
    return exitCodes.ok
  },
})
