import { command } from '../../declare.ts'
import { changeSandbox } from './change-sandbox.ts'

export const start = command({
  name: 'start',
  summary: 'start a sandbox that is stopped',
  examples: [['cidery sandbox start try', 'and wait until it is']],
  arguments: [{ name: '<sandbox>', about: 'name or id of the sandbox', completes: 'sandbox' }],
  prints: 'view',
  run: (cli, { args: [name = ''] }) => changeSandbox(cli, name, { verb: 'start', done: 'running' }),
})
