import { openApi } from '../../client/api.ts'
import { listAll } from '../../client/pages.ts'
import type { PoolView } from '../../client/views.ts'
import { command, exitCodes } from '../../declare.ts'
import { labelsText } from '../../render/host.ts'
import { printList } from '../../render/output.ts'
import { listOptions, listQuery } from '../list-options.ts'
import type { ListOptions } from '../list-options.ts'

export const ls = command<ListOptions>({
  name: 'ls',
  aliases: ['list'],
  summary: 'list pools with how many of their hosts are up',
  examples: [['cidery pool ls', 'one line per pool']],
  options: listOptions,
  prints: 'view',
  async run(cli, { options }) {
    const page = await listAll<PoolView>(await openApi(cli), '/pools', listQuery(options, 200))
    await printList(cli, {
      ...page,
      name: (pool) => pool.name,
      empty: 'no pools; add one to cidery.yaml and `cidery apply -f cidery.yaml`',
      columns: [
        { head: 'POOL', cell: (pool) => pool.name },
        { head: 'HOSTS', cell: (pool) => String(pool.hosts.length), align: 'right' },
        { head: 'UP', cell: (pool) => String(pool.up), align: 'right' },
        {
          head: 'LOST',
          cell: (pool) => ({ text: pool.lost === 0 ? '0' : `! ${pool.lost}`, tone: pool.lost === 0 ? 'plain' : 'bad' }),
          align: 'right',
        },
        { head: 'OPEN', cell: (pool) => String(pool.open), align: 'right' },
        { head: 'JOBS', cell: (pool) => String(pool.running), align: 'right' },
        { head: 'ENGINES', cell: (pool) => pool.engines.join(' ') },
        { head: 'PROVIDER', cell: (pool) => pool.provider, wide: true },
        { head: 'LABELS', cell: (pool) => labelsText(pool.labels), wide: true, shrink: true },
      ],
    })
    return exitCodes.ok
  },
})
