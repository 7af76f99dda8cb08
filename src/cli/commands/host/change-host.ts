import type { Cli } from '../../cli.ts'
import { openApi } from '../../client/api.ts'
import { changeThing } from '../../client/change.ts'
import { readHost } from '../../client/operation.ts'
import type { HostView } from '../../client/views.ts'
import { exitCodes } from '../../declare.ts'
import { printList } from '../../render/output.ts'
import { hostState } from '../../render/states.ts'

export interface HostChange {
  readonly verb: 'cordon' | 'uncordon' | 'drain' | 'rotate-key' | 'retire'
  readonly body?: unknown
}

/** Changes hosts one after another and prints how they are now. */
export async function changeHosts(cli: Cli, names: readonly string[], { verb, body = {} }: HostChange): Promise<number> {
  const api = await openApi(cli)
  const items: HostView[] = []
  for (const name of names) {
    items.push(
      await changeThing<HostView>(
        api,
        () => readHost(api, name),
        ({ id }) => ({ path: `/hosts/${id}/${verb}`, body }),
      ),
    )
  }
  await printList(cli, {
    items,
    name: (host) => host.name,
    empty: '',
    columns: [
      { head: 'HOST', cell: (host) => host.name },
      { head: 'STATE', cell: hostState },
      { head: 'JOBS', cell: (host) => String(host.runningJobs.length), align: 'right' },
    ],
  })
  return exitCodes.ok
}
