import { openApi } from '../../client/api.ts'
import type { Api } from '../../client/api.ts'
import { readHost } from '../../client/operation.ts'
import { listAll } from '../../client/pages.ts'
import type { HostView, OperationView } from '../../client/views.ts'
import { command, exitCodes } from '../../declare.ts'
import { requestText } from '../../render/operation.ts'
import { printList } from '../../render/output.ts'
import { operationState } from '../../render/states.ts'
import { relativeTime } from '../../render/time.ts'
import { listOptions, listQuery } from '../list-options.ts'
import type { ListOptions } from '../list-options.ts'

interface OperationLsOptions extends ListOptions {
  readonly host?: string
}

export const ls = command<OperationLsOptions>({
  name: 'ls',
  aliases: ['list'],
  summary: 'list operations, the newest first',
  examples: [
    ['cidery operation ls', 'what was asked of all hosts'],
    ['cidery operation ls --host mini-1 --all', 'everything that was ever asked of one'],
  ],
  options: [{ flags: '--host <host>', about: 'only of this host', completes: 'host' }, ...listOptions],
  prints: 'view',
  async run(cli, { options }) {
    const api = await openApi(cli)
    const { limit } = listQuery(options, 20)
    const hosts =
      options.host === undefined
        ? (await listAll<HostView>(api, '/hosts', { limit: Number.POSITIVE_INFINITY })).items
        : [await readHost(api, options.host)]
    const names = new Map(hosts.map((host) => [host.id, host.name]))
    const items = (await operationsOf(api, hosts, limit)).slice(0, limit)
    const now = cli.clock.now()
    await printList(cli, {
      items,
      name: (operation) => operation.id,
      empty: 'no operations',
      columns: [
        { head: 'OPERATION', cell: (operation) => operation.id },
        { head: 'HOST', cell: (operation) => names.get(operation.hostId) ?? operation.hostId },
        { head: 'DOES', cell: (operation) => requestText(operation.request), shrink: true },
        { head: 'STATE', cell: operationState },
        { head: 'AGE', cell: (operation) => relativeTime(operation.requestedAt, now) },
        { head: 'BY', cell: (operation) => operation.requestedBy, wide: true },
        { head: 'REASON', cell: (operation) => operation.reason, wide: true, shrink: true },
      ],
    })
    return exitCodes.ok
  },
})

async function operationsOf(api: Api, hosts: readonly HostView[], limit: number): Promise<readonly OperationView[]> {
  const all: OperationView[] = []
  for (const host of hosts) all.push(...(await listAll<OperationView>(api, `/hosts/${host.id}/operations`, { limit })).items)
  return all.toSorted((a, b) => b.requestedAt - a.requestedAt || (a.id < b.id ? 1 : -1))
}
