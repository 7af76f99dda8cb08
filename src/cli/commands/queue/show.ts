import { openApi } from '../../client/api.ts'
import { withSuggestion } from '../../client/suggest.ts'
import type { QueueView } from '../../client/views.ts'
import { command, exitCodes } from '../../declare.ts'
import { printThing, renderFields } from '../../render/output.ts'
import { cleanLines } from '../../render/text.ts'
import { relativeTime } from '../../render/time.ts'
import { waitingLines } from '../../render/waiting.ts'

export const show = command({
  name: 'show',
  aliases: ['get'],
  summary: 'show one queue: share, limits, secrets, what its jobs wait for',
  examples: [['cidery queue show ios', 'all about a queue']],
  arguments: [{ name: '<queue>', about: 'name of the queue', completes: 'queue' }],
  prints: 'view',
  async run(cli, { args: [name = ''] }) {
    const api = await openApi(cli)
    const queue = await withSuggestion(api, { kind: 'queue', name }, () => api.get<QueueView>(`/queues/${encodeURIComponent(name)}`))
    const text = () =>
      renderFields(
        [
          ['queue', queue.name],
          ['running', `${queue.running}${queue.maxRunning === null ? '' : ` of at most ${queue.maxRunning}`}`],
          ['queued', `${queue.queued} of at most ${queue.maxQueued}`],
          ['oldest', queue.oldestQueuedAt === null ? '' : relativeTime(queue.oldestQueuedAt, cli.clock.now())],
          ['pools', queue.pools.join(', ') || 'all'],
          ['weight', String(queue.weight)],
          ['secrets', queue.secrets.join(', ')],
        ],
        cli.settings.color,
      ) + queue.waiting.map((one) => cleanLines(waitingLines(one))).join('')
    await printThing(cli, { value: queue, name: queue.name, text })
    return exitCodes.ok
  },
})
