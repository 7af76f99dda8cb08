import { openApi } from '../../client/api.ts'
import { listAll } from '../../client/pages.ts'
import type { TokenView } from '../../client/views.ts'
import { command, exitCodes } from '../../declare.ts'
import { printList } from '../../render/output.ts'
import type { Cell } from '../../render/table.ts'
import { relativeTime } from '../../render/time.ts'
import { listOptions, listQuery } from '../list-options.ts'
import type { ListOptions } from '../list-options.ts'

export const ls = command<ListOptions>({
  name: 'ls',
  aliases: ['list'],
  summary: 'list API tokens: your own, or everybody’s with the scope people',
  examples: [['cidery token ls', 'who has which, and when it was last used']],
  options: listOptions,
  prints: 'view',
  async run(cli, { options }) {
    const page = await listAll<TokenView>(await openApi(cli), '/tokens', listQuery(options, 200))
    const now = cli.clock.now()
    await printList(cli, {
      ...page,
      name: (token) => token.id,
      empty: 'no tokens; `cidery token create` makes one',
      columns: [
        { head: 'TOKEN', cell: (token) => token.id },
        { head: 'NAME', cell: (token) => token.name, shrink: true },
        { head: 'STATE', cell: (token) => tokenState(token, now) },
        { head: 'USER', cell: (token) => token.user },
        { head: 'SCOPES', cell: (token) => token.scopes.join(' ') },
        { head: 'ENDS', cell: (token) => relativeTime(token.expiresAt, now) },
        { head: 'USED', cell: (token) => (token.lastUsedAt === null ? 'never' : relativeTime(token.lastUsedAt, now)) },
        { head: 'QUEUES', cell: (token) => token.queues.join(' ') || 'all', wide: true },
      ],
    })
    return exitCodes.ok
  },
})

function tokenState(token: TokenView, now: number): Cell {
  if (token.revokedAt !== null) return { text: '⊘ revoked', tone: 'dim' }
  return token.expiresAt <= now ? { text: '⧖ expired', tone: 'warn' } : { text: '✓ valid', tone: 'good' }
}
