import { openApi } from '../../client/api.ts'
import { listAll } from '../../client/pages.ts'
import type { UserView } from '../../client/views.ts'
import { command, exitCodes } from '../../declare.ts'
import { printList } from '../../render/output.ts'
import { relativeTime } from '../../render/time.ts'
import { listOptions, listQuery } from '../list-options.ts'
import type { ListOptions } from '../list-options.ts'

export const ls = command<ListOptions>({
  name: 'ls',
  aliases: ['list'],
  summary: 'list people with role and queues',
  examples: [['cidery user ls', 'who may do what']],
  options: listOptions,
  prints: 'view',
  async run(cli, { options }) {
    const page = await listAll<UserView>(await openApi(cli), '/users', listQuery(options, 200))
    await printList(cli, {
      ...page,
      name: (user) => user.name,
      empty: 'nobody',
      columns: [
        { head: 'USER', cell: (user) => user.name },
        { head: 'ROLE', cell: (user) => user.role },
        { head: 'STATE', cell: (user) => (user.disabled ? { text: '⊘ disabled', tone: 'warn' } : { text: '✓ active', tone: 'good' }) },
        { head: 'QUEUES', cell: (user) => user.queues.join(' ') || 'all', shrink: true },
        { head: 'SINCE', cell: (user) => relativeTime(user.createdAt, cli.clock.now()) },
      ],
    })
    return exitCodes.ok
  },
})
