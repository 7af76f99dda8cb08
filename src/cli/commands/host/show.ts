import { openApi } from '../../client/api.ts'
import { readHost } from '../../client/operation.ts'
import { command, exitCodes } from '../../declare.ts'
import { renderHost } from '../../render/host.ts'
import { printThing } from '../../render/output.ts'

export const show = command({
  name: 'show',
  aliases: ['get'],
  summary: 'show one host: state, load, engines, what it runs, why it gets no jobs',
  examples: [['cidery host show mini-1', 'all about a host']],
  arguments: [{ name: '<host>', about: 'name or id of the host', completes: 'host' }],
  prints: 'view',
  async run(cli, { args: [name = ''] }) {
    const host = await readHost(await openApi(cli), name)
    await printThing(cli, {
      value: host,
      name: host.name,
      text: () => renderHost(host, { now: cli.clock.now(), color: cli.settings.color }),
    })
    return exitCodes.ok
  },
})
