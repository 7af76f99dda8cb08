import { openApi } from '../../client/api.ts'
import { confirm } from '../../confirm.ts'
import { command, exitCodes } from '../../declare.ts'
import { printThing } from '../../render/output.ts'

interface RmOptions {
  readonly queue?: string
  readonly yes?: boolean
}

export const rm = command<RmOptions>({
  name: 'rm',
  aliases: ['delete'],
  summary: 'remove a secret of a queue',
  examples: [['cidery secret rm API_TOKEN --queue ios --yes', 'jobs that start from now on do not get it']],
  arguments: [{ name: '<name>', about: 'name of the secret', completes: 'secret' }],
  options: [
    { flags: '--queue <name>', about: 'queue (default: default)', completes: 'queue' },
    { flags: '-y, --yes', about: 'do not ask' },
  ],
  prints: 'view',
  async run(cli, { args: [name = ''], options }) {
    const queue = options.queue ?? 'default'
    await confirm(cli, `Remove the secret ${name} of ${queue}?`, options.yes)
    const api = await openApi(cli)
    await api.call('DELETE', `/queues/${encodeURIComponent(queue)}/secrets/${encodeURIComponent(name)}`)
    await printThing(cli, { value: { queue, name, removed: true }, name, text: () => `${name} is removed from ${queue}\n` })
    return exitCodes.ok
  },
})
