import { command, exitCodes } from '../../declare.ts'
import { printThing } from '../../render/output.ts'
import { operate, operateOptions } from './operate.ts'
import type { OperateOptions } from './operate.ts'
import { outcomeOfOperation } from './operation-outcome.ts'

export const exec = command<OperateOptions>({
  name: 'exec',
  summary: 'run a command on the host itself, as the account of its agent',
  examples: [
    ['cidery host exec mini-1 -- df -h', 'look at a host'],
    ['cidery host exec --detach mini-1 -- softwareupdate -i -a', 'start something long; cidery operation show follows'],
  ],
  details:
    'This is not a sandbox: it needs the scope exec, one runs at a time on a host, and each is in the audit journal. It ends with the exit code of the command, and with 125 when cidery could not run it.',
  arguments: [
    { name: '<host>', about: 'name or id of the host', completes: 'host' },
    { name: '<command...>', about: 'what to run, word by word' },
  ],
  options: operateOptions,
  passThrough: true,
  prints: 'view',
  async run(cli, { args: [host = '', ...words], options }) {
    const operation = await operate(cli, { host, request: { kind: 'exec', command: words[0] === '--' ? words.slice(1) : words }, options })
    if (options.detach === true || cli.settings.output !== 'table')
      await printThing(cli, { value: operation, name: operation.id, text: () => `${operation.id}\n` })
    if (options.detach === true) return exitCodes.ok
    const { code, problem } = outcomeOfOperation(operation)
    if (problem !== undefined) await cli.stderr.write(`${problem}\n`)
    return code
  },
})
