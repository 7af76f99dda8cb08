import { openApi } from '../../client/api.ts'
import { whileBusy } from '../../client/busy.ts'
import { followOperation } from '../../client/operation.ts'
import { readSandbox } from '../../client/sandbox.ts'
import type { OperationView } from '../../client/views.ts'
import { confirm } from '../../confirm.ts'
import { command, exitCodes } from '../../declare.ts'
import { renderOperation } from '../../render/operation.ts'
import { printThing } from '../../render/output.ts'
import { makeProgress } from '../../render/progress.ts'
import { printSandbox } from './change-sandbox.ts'

interface ResetOptions {
  readonly yes?: boolean
}

export const reset = command<ResetOptions>({
  name: 'reset',
  summary: 'make a sandbox anew from its image; what is in it goes, its name and its time stay',
  examples: [
    ['cidery sandbox reset try --yes', 'without asking, and wait until it runs'],
    ['cidery vm reset build-15', 'a virtual machine that somebody broke'],
  ],
  arguments: [{ name: '<sandbox>', about: 'name or id of the sandbox', completes: 'sandbox' }],
  options: [{ flags: '-y, --yes', about: 'do not ask' }],
  prints: 'view',
  async run(cli, { args: [name = ''], options }) {
    const api = await openApi(cli)
    const { id } = await readSandbox(api, name)
    await confirm(cli, `Remove everything inside ${name} and make it anew?`, options.yes)
    const idempotencyKey = api.newKey()
    const operation = await whileBusy(cli, () => api.call<OperationView>('POST', `/sandboxes/${id}/reset`, { body: {}, idempotencyKey }))
    const progress = makeProgress(cli)
    const ended = await followOperation(cli, api, { operation, progress, output: () => Promise.resolve() })
    await progress.clear()
    if (ended.state === 'SUCCESS') {
      await printSandbox(cli, await readSandbox(api, id))
      return exitCodes.ok
    }
    const { color } = cli.settings
    await printThing(cli, { value: ended, name: ended.id, text: () => renderOperation(ended, { now: cli.clock.now(), color }) })
    return exitCodes.failed
  },
})
