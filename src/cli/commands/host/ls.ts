import { openApi } from '../../client/api.ts'
import { listAll } from '../../client/pages.ts'
import type { HostView } from '../../client/views.ts'
import { command, exitCodes } from '../../declare.ts'
import { labelsText, slotsText } from '../../render/host.ts'
import { printList } from '../../render/output.ts'
import { hostState } from '../../render/states.ts'
import { relativeTime } from '../../render/time.ts'
import { listOptions, listQuery } from '../list-options.ts'
import type { ListOptions } from '../list-options.ts'

interface HostLsOptions extends ListOptions {
  readonly pool?: string
  readonly state?: string
}

export const ls = command<HostLsOptions>({
  name: 'ls',
  aliases: ['list'],
  summary: 'list hosts with their state and what they run',
  examples: [
    ['cidery host ls', 'the fleet'],
    ['cidery host ls --state lost -o name', 'names of lost hosts, for a script'],
    ['cidery host ls -o wide', 'with labels, system and versions'],
  ],
  options: [
    { flags: '--pool <name>', about: 'only of this pool', completes: 'pool' },
    {
      flags: '--state <state>',
      about: 'only in this state: enrolled, up, lost or retired',
      completes: ['enrolled', 'up', 'lost', 'retired'],
    },
    ...listOptions,
  ],
  prints: 'view',
  async run(cli, { options }) {
    const api = await openApi(cli)
    const page = await listAll<HostView>(api, '/hosts', { query: { pool: options.pool, state: options.state }, ...listQuery(options, 200) })
    const now = cli.clock.now()
    await printList(cli, {
      ...page,
      name: (host) => host.name,
      empty: 'no hosts; `cidery host add` prints the line that brings one in',
      columns: [
        { head: 'HOST', cell: (host) => host.name, shrink: true },
        { head: 'STATE', cell: hostState },
        { head: 'POOL', cell: (host) => host.pool },
        { head: 'JOBS', cell: (host) => String(host.runningJobs.length), align: 'right' },
        { head: 'SLOTS', cell: slotsText },
        { head: 'SEEN', cell: (host) => relativeTime(host.lastSeenAt, now) },
        { head: 'DOES', cell: (host) => host.operation?.request.kind ?? '-' },
        { head: 'SYSTEM', cell: (host) => (host.facts === null ? '-' : `${host.facts.os} ${host.facts.arch}`), wide: true },
        { head: 'AGENT', cell: (host) => host.facts?.agentVersion ?? '-', wide: true },
        { head: 'LABELS', cell: (host) => labelsText(host.labels), wide: true, shrink: true },
      ],
    })
    return exitCodes.ok
  },
})
