import { openApi } from '../../client/api.ts'
import type { EnrolmentCreated } from '../../client/views.ts'
import { command, exitCodes } from '../../declare.ts'
import { printThing, say } from '../../render/output.ts'
import { relativeTime } from '../../render/time.ts'
import { durationOption, pairsOption } from '../../values.ts'

interface AddOptions {
  readonly name?: string
  readonly pool?: string
  readonly label?: readonly string[]
  readonly ttl?: string
}

export const add = command<AddOptions>({
  name: 'add',
  summary: 'print the one line that brings a new host into the fleet',
  examples: [
    ['cidery host add', 'run what it prints on the new host'],
    ['cidery host add --name mini-7 --pool office --label xcode=16', 'with a name, a pool and a label'],
    ['ssh mini-7 "$(cidery host add --name mini-7)"', 'both at once'],
  ],
  details: 'The line carries a token that works once and expires. Whoever sees it first can bring in a host, and nothing else.',
  options: [
    { flags: '--name <name>', about: 'name of the host (default: its host name)' },
    { flags: '--pool <name>', about: 'pool it belongs to (default: default)', completes: 'pool' },
    { flags: '--label <key=value>', about: 'label of the host', many: true },
    { flags: '--ttl <duration>', about: 'how long the token works (default: 15m)' },
  ],
  prints: 'view',
  async run(cli, { options }) {
    const api = await openApi(cli)
    const ttlMs = durationOption('--ttl', options.ttl)
    const created = await api.call<EnrolmentCreated>('POST', '/enrolments', {
      body: {
        ...(options.name === undefined ? {} : { name: options.name }),
        ...(options.pool === undefined ? {} : { pool: options.pool }),
        labels: pairsOption('--label', options.label) ?? {},
        ...(ttlMs === undefined ? {} : { ttlS: Math.ceil(ttlMs / 1000) }),
      },
      idempotencyKey: api.newKey(),
    })
    if (cli.settings.output === 'table')
      await say(cli, `run this on the new host; it works once, and ends ${relativeTime(created.expiresAt, cli.clock.now())}:`)
    await printThing(cli, { value: created, name: created.id, text: () => `${created.command}\n` })
    return exitCodes.ok
  },
})
