import { openApi } from '../../client/api.ts'
import { listAll } from '../../client/pages.ts'
import { withSuggestion } from '../../client/suggest.ts'
import type { SecretView } from '../../client/views.ts'
import { command, exitCodes } from '../../declare.ts'
import { printList } from '../../render/output.ts'
import { relativeTime } from '../../render/time.ts'
import { listOptions, listQuery } from '../list-options.ts'
import type { ListOptions } from '../list-options.ts'

interface SecretLsOptions extends ListOptions {
  readonly queue?: string
}

export const ls = command<SecretLsOptions>({
  name: 'ls',
  aliases: ['list'],
  summary: 'list the names of the secrets of a queue; values are never shown',
  examples: [['cidery secret ls --queue ios', 'names, and who set them when']],
  options: [{ flags: '--queue <name>', about: 'queue (default: default)', completes: 'queue' }, ...listOptions],
  prints: 'view',
  async run(cli, { options }) {
    const api = await openApi(cli)
    const queue = options.queue ?? 'default'
    const page = await withSuggestion(api, { kind: 'queue', name: queue }, () =>
      listAll<SecretView>(api, `/queues/${encodeURIComponent(queue)}/secrets`, listQuery(options, 200)),
    )
    const now = cli.clock.now()
    await printList(cli, {
      ...page,
      name: (secret) => secret.name,
      empty: `no secrets in ${queue}; \`cidery secret set NAME --queue ${queue}\` sets one`,
      columns: [
        { head: 'SECRET', cell: (secret) => secret.name },
        { head: 'QUEUE', cell: (secret) => secret.queue },
        { head: 'SET', cell: (secret) => relativeTime(secret.setAt, now) },
        { head: 'BY', cell: (secret) => secret.setBy },
      ],
    })
    return exitCodes.ok
  },
})
