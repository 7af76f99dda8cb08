import { openApi } from '../../client/api.ts'
import type { Api } from '../../client/api.ts'
import type { SealedEvent } from '../../client/views.ts'
import { command, exitCodes } from '../../declare.ts'
import { printList } from '../../render/output.ts'
import { absoluteTime } from '../../render/time.ts'
import { integerOption } from '../../values.ts'
import { listOptions, listQuery } from '../list-options.ts'
import type { ListOptions } from '../list-options.ts'

interface AuditLsOptions extends ListOptions {
  readonly after?: string
  readonly subject?: string
}

export const ls = command<AuditLsOptions>({
  name: 'ls',
  aliases: ['list'],
  summary: 'list the journal: who did what to what, when, from where, with which result',
  examples: [
    ['cidery audit ls --limit 50', 'the first 50 entries'],
    ['cidery audit ls --after 1200', 'what came after entry 1200'],
    ['cidery audit ls --subject host/mini-1 --all', 'everything about a host'],
  ],
  options: [
    { flags: '--after <number>', about: 'only entries after this one' },
    { flags: '--subject <thing>', about: 'only about this: job/ID, host/NAME, spec, …', completes: 'subject' },
    ...listOptions,
  ],
  prints: 'view',
  async run(cli, { options }) {
    const api = await openApi(cli)
    const { items, next } = await readJournal(api, {
      after: integerOption('--after', options.after),
      subject: options.subject,
      limit: listQuery(options, 100).limit,
    })
    await printList(cli, {
      items,
      nextCursor: next === null ? null : String(next),
      name: (event) => String(event.number),
      empty: 'no entries',
      columns: [
        { head: 'NO', cell: (event) => String(event.number), align: 'right' },
        { head: 'WHEN', cell: (event) => absoluteTime(event.at) },
        { head: 'WHAT', cell: (event) => event.kind },
        { head: 'TO', cell: (event) => event.subject, shrink: true },
        { head: 'WHO', cell: (event) => event.actor, shrink: true },
        {
          head: 'RESULT',
          cell: (event) => ({ text: event.result === 'ok' ? '✓ ok' : `✗ ${event.result}`, tone: event.result === 'ok' ? 'plain' : 'bad' }),
        },
        { head: 'FROM', cell: (event) => event.origin ?? '-', wide: true },
        { head: 'HASH', cell: (event) => event.hash, wide: true },
      ],
    })
    return exitCodes.ok
  },
})

interface JournalQuery {
  readonly after: number | undefined
  readonly subject: string | undefined
  readonly limit: number
}

async function readJournal(
  api: Api,
  { after, subject, limit }: JournalQuery,
): Promise<{ readonly items: readonly SealedEvent[]; readonly next: number | null }> {
  const items: SealedEvent[] = []
  const wanted = Math.min(limit, 100_000)
  let next: number | null = after ?? 0
  do {
    const page: { readonly items: readonly SealedEvent[]; readonly nextAfter: number | null } = await api.get('/audit', {
      query: { after: next, subject, limit: Math.min(500, wanted - items.length) },
    })
    items.push(...page.items)
    next = page.nextAfter
  } while (next !== null && items.length < wanted)
  return { items, next }
}
