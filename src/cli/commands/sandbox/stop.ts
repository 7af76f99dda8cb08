import { command } from '../../declare.ts'
import { changeSandbox } from './change-sandbox.ts'

export const stop = command({
  name: 'stop',
  summary: 'stop a sandbox; its files stay',
  examples: [['cidery sandbox stop try', 'and wait until it is']],
  arguments: [{ name: '<sandbox>', about: 'name or id of the sandbox', completes: 'sandbox' }],
  prints: 'view',
  run: (cli, { args: [name = ''] }) => changeSandbox(cli, name, { verb: 'stop', done: 'stopped' }),
})
