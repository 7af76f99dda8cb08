import { openApi } from '../../client/api.ts'
import { runRemote } from '../../client/remote-command.ts'
import { readSandbox } from '../../client/sandbox.ts'
import { command } from '../../declare.ts'

interface ExecOptions {
  readonly tty?: boolean
}

export const exec = command<ExecOptions>({
  name: 'exec',
  summary: 'run a command in a running sandbox, with this input and output',
  examples: [
    ['cidery sandbox exec try -- uname -a', 'and end with its exit code'],
    ['cidery sandbox exec --tty try -- top', 'with a terminal'],
  ],
  arguments: [
    { name: '<sandbox>', about: 'name or id of the sandbox', completes: 'sandbox' },
    { name: '<command...>', about: 'what to run, word by word' },
  ],
  options: [{ flags: '-t, --tty', about: 'give it a terminal' }],
  passThrough: true,
  prints: 'text',
  async run(cli, { args: [name = '', ...words], options }) {
    const api = await openApi(cli)
    const sandbox = await readSandbox(api, name)
    return runRemote(cli, api, {
      sandboxId: sandbox.id,
      command: words[0] === '--' ? words.slice(1) : words,
      tty: options.tty === true && cli.stdin.isTTY,
    })
  },
})
