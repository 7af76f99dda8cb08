import { openApi } from '../../client/api.ts'
import { whileBusy } from '../../client/busy.ts'
import { readSandbox } from '../../client/sandbox.ts'
import { confirm } from '../../confirm.ts'
import { command, exitCodes } from '../../declare.ts'
import { printList } from '../../render/output.ts'

interface RmOptions {
  readonly yes?: boolean
}

export const rm = command<RmOptions>({
  name: 'rm',
  aliases: ['delete'],
  summary: 'remove sandboxes with everything in them',
  examples: [['cidery sandbox rm try --yes', 'without asking']],
  arguments: [{ name: '<sandbox...>', about: 'names or ids of the sandboxes', completes: 'sandbox' }],
  options: [{ flags: '-y, --yes', about: 'do not ask' }],
  prints: 'view',
  async run(cli, { args, options }) {
    await confirm(cli, `Remove ${args.join(', ')} with everything inside?`, options.yes)
    const api = await openApi(cli)
    for (const name of args) {
      const { id } = await readSandbox(api, name)
      await whileBusy(cli, () => api.call('DELETE', `/sandboxes/${id}`))
    }
    await printList(cli, {
      items: args.map((name) => ({ name })),
      name: ({ name }) => name,
      empty: '',
      columns: [{ head: 'REMOVED', cell: ({ name }) => name }],
    })
    return exitCodes.ok
  },
})
