import { openApi } from '../../client/api.ts'
import { command, exitCodes } from '../../declare.ts'
import { printList } from '../../render/output.ts'

export const revoke = command({
  name: 'revoke',
  aliases: ['rm'],
  summary: 'end API tokens at once',
  examples: [['cidery token revoke tok_01k…', 'whoever uses it is refused from now on']],
  arguments: [{ name: '<token...>', about: 'ids of the tokens (not the tokens themselves)', completes: 'token' }],
  prints: 'view',
  async run(cli, { args }) {
    const api = await openApi(cli)
    for (const id of args) await api.call('DELETE', `/tokens/${encodeURIComponent(id)}`)
    await printList(cli, {
      items: args.map((id) => ({ id })),
      name: ({ id }) => id,
      empty: '',
      columns: [{ head: 'REVOKED', cell: ({ id }) => id }],
    })
    return exitCodes.ok
  },
})
