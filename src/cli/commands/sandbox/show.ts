import { openApi } from '../../client/api.ts'
import { readSandbox } from '../../client/sandbox.ts'
import { command, exitCodes } from '../../declare.ts'
import { printSandbox } from './change-sandbox.ts'

export const show = command({
  name: 'show',
  aliases: ['get'],
  summary: 'show one sandbox',
  examples: [['cidery sandbox show try', 'state, host, and when it is removed']],
  arguments: [{ name: '<sandbox>', about: 'name or id of the sandbox', completes: 'sandbox' }],
  prints: 'view',
  async run(cli, { args: [name = ''] }) {
    await printSandbox(cli, await readSandbox(await openApi(cli), name))
    return exitCodes.ok
  },
})
