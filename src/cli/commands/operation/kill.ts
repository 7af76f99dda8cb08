import { openApi } from '../../client/api.ts'
import type { OperationView } from '../../client/views.ts'
import { command, exitCodes } from '../../declare.ts'
import { renderOperation } from '../../render/operation.ts'
import { printThing } from '../../render/output.ts'

export const kill = command({
  name: 'kill',
  summary: 'end an operation; one that ended already stays as it is',
  examples: [['cidery operation kill op_01k…', 'TERM, and KILL a little later']],
  arguments: [{ name: '<operation>', about: 'id of the operation', completes: 'operation' }],
  prints: 'view',
  async run(cli, { args: [id = ''] }) {
    const api = await openApi(cli)
    const operation = await api.call<OperationView>('POST', `/operations/${encodeURIComponent(id)}/kill`, { body: {}, repeatable: true })
    await printThing(cli, {
      value: operation,
      name: operation.id,
      text: () => renderOperation(operation, { now: cli.clock.now(), color: cli.settings.color }),
    })
    return exitCodes.ok
  },
})
