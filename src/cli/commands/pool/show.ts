import { openApi } from '../../client/api.ts'
import { withSuggestion } from '../../client/suggest.ts'
import type { PoolView } from '../../client/views.ts'
import { command, exitCodes } from '../../declare.ts'
import { labelsText } from '../../render/host.ts'
import { printThing, renderFields } from '../../render/output.ts'

export const show = command({
  name: 'show',
  aliases: ['get'],
  summary: 'show one pool: its hosts, engines and labels',
  examples: [['cidery pool show office', 'all about a pool']],
  arguments: [{ name: '<pool>', about: 'name of the pool', completes: 'pool' }],
  prints: 'view',
  async run(cli, { args: [name = ''] }) {
    const api = await openApi(cli)
    const pool = await withSuggestion(api, { kind: 'pool', name }, () => api.get<PoolView>(`/pools/${encodeURIComponent(name)}`))
    const text = () =>
      renderFields(
        [
          ['pool', pool.name],
          ['provider', pool.provider],
          ['hosts', pool.hosts.join(', ')],
          ['up', `${pool.up} of ${pool.hosts.length}, ${pool.open} open to jobs`],
          ['lost', pool.lost === 0 ? '' : { text: `! ${pool.lost}`, tone: 'bad' }],
          ['jobs', String(pool.running)],
          ['engines', pool.engines.join(', ')],
          ['labels', labelsText(pool.labels)],
        ],
        cli.settings.color,
      )
    await printThing(cli, { value: pool, name: pool.name, text })
    return exitCodes.ok
  },
})
