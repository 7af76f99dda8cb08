import { openApi } from '../../client/api.ts'
import { listAll } from '../../client/pages.ts'
import type { QueueView } from '../../client/views.ts'
import { command, exitCodes } from '../../declare.ts'
import { printList } from '../../render/output.ts'
import { relativeTime } from '../../render/time.ts'
import { listOptions, listQuery } from '../list-options.ts'
import type { ListOptions } from '../list-options.ts'

export const ls = command<ListOptions>({
  name: 'ls',
  aliases: ['list'],
  summary: 'list queues with what runs and what waits',
  examples: [['cidery queue ls', 'and what the oldest waiting job waits for']],
  options: listOptions,
  prints: 'view',
  async run(cli, { options }) {
    const page = await listAll<QueueView>(await openApi(cli), '/queues', listQuery(options, 200))
    const now = cli.clock.now()
    await printList(cli, {
      ...page,
      name: (queue) => queue.name,
      empty: 'no queues; add one to cidery.yaml and `cidery apply -f cidery.yaml`',
      columns: [
        { head: 'QUEUE', cell: (queue) => queue.name },
        { head: 'RUNNING', cell: (queue) => String(queue.running), align: 'right' },
        { head: 'QUEUED', cell: (queue) => String(queue.queued), align: 'right' },
        { head: 'OLDEST', cell: (queue) => relativeTime(queue.oldestQueuedAt, now) },
        { head: 'WAITS FOR', cell: (queue) => queue.waiting[0]?.message ?? '-', shrink: true },
        { head: 'POOLS', cell: (queue) => queue.pools.join(' ') || 'all', wide: true },
        { head: 'WEIGHT', cell: (queue) => String(queue.weight), wide: true, align: 'right' },
        { head: 'MOST', cell: (queue) => (queue.maxRunning === null ? '-' : String(queue.maxRunning)), wide: true, align: 'right' },
      ],
    })
    return exitCodes.ok
  },
})
