import { openApi } from '../../client/api.ts'
import { runRemote } from '../../client/remote-command.ts'
import { readSandbox } from '../../client/sandbox.ts'
import { command } from '../../declare.ts'
import { UsageError } from '../../usage-error.ts'

export const ssh = command({
  name: 'ssh',
  aliases: ['shell'],
  summary: 'open a shell in a running sandbox',
  examples: [['cidery sandbox ssh try', 'leave with exit; ~. at the start of a line leaves a dead connection']],
  arguments: [{ name: '<sandbox>', about: 'name or id of the sandbox', completes: 'sandbox' }],
  prints: 'text',
  async run(cli, { args: [name = ''] }) {
    if (!cli.stdin.isTTY || !cli.stdout.isTTY)
      throw new UsageError('a shell needs a terminal', `cidery sandbox exec ${name} -- COMMAND works without one`)
    const api = await openApi(cli)
    const sandbox = await readSandbox(api, name)
    return runRemote(cli, api, { sandboxId: sandbox.id, command: ['/bin/sh', '-c', 'exec "${SHELL:-/bin/sh}" -l'], tty: true })
  },
})
