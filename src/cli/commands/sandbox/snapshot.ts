import { openApi } from '../../client/api.ts'
import { changeThing } from '../../client/change.ts'
import { readSandbox } from '../../client/sandbox.ts'
import type { SandboxView } from '../../client/views.ts'
import { command, exitCodes } from '../../declare.ts'
import { printSandbox } from './change-sandbox.ts'

export const snapshot = command({
  name: 'snapshot',
  summary: 'keep the disk of a stopped sandbox under a name',
  examples: [['cidery vm snapshot try before-upgrade', 'on engines that can; others say that they cannot']],
  arguments: [
    { name: '<sandbox>', about: 'name or id of the sandbox', completes: 'sandbox' },
    { name: '<name>', about: 'what to call the snapshot' },
  ],
  prints: 'view',
  async run(cli, { args: [name = '', label = ''] }) {
    const api = await openApi(cli)
    const body = { name: label }
    const answer = await changeThing<SandboxView | undefined>(
      api,
      () => readSandbox(api, name),
      ({ id }) => ({ path: `/sandboxes/${id}/snapshot`, body }),
    )
    await printSandbox(cli, answer !== undefined && 'hostName' in answer ? answer : await readSandbox(api, name))
    return exitCodes.ok
  },
})
