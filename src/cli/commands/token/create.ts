import { openApi } from '../../client/api.ts'
import type { TokenCreated } from '../../client/views.ts'
import { command, exitCodes } from '../../declare.ts'
import { printThing, say } from '../../render/output.ts'
import { relativeTime } from '../../render/time.ts'
import { UsageError } from '../../usage-error.ts'
import { durationOption } from '../../values.ts'

interface CreateOptions {
  readonly scope?: readonly string[]
  readonly queue?: readonly string[]
  readonly ttl?: string
}

export const create = command<CreateOptions>({
  name: 'create',
  summary: 'make an API token; it is shown this once',
  examples: [
    ['cidery token create ci --scope read --scope jobs --queue ios --ttl 30d', 'for a build that submits to one queue'],
    ['(umask 077; cidery token create me --scope read > ~/.cidery-token)', 'into a file for CIDERY_TOKEN_FILE'],
  ],
  arguments: [{ name: '<name>', about: 'what it is for' }],
  options: [
    {
      flags: '--scope <scope>',
      about: 'read, jobs, hosts, spec, secrets, people or exec',
      many: true,
      completes: ['read', 'jobs', 'hosts', 'spec', 'secrets', 'people', 'exec'],
    },
    { flags: '--queue <name>', about: 'only for this queue', many: true, completes: 'queue' },
    { flags: '--ttl <duration>', about: 'how long it works (default: 90d)' },
  ],
  prints: 'view',
  async run(cli, { args: [name = ''], options }) {
    if (options.scope === undefined)
      throw new UsageError('a token needs at least one --scope', 'read, jobs, hosts, spec, secrets, people or exec')
    const ttlMs = durationOption('--ttl', options.ttl)
    const api = await openApi(cli)
    const token = await api.call<TokenCreated>('POST', '/tokens', {
      body: { name, scopes: options.scope, queues: options.queue ?? [], ...(ttlMs === undefined ? {} : { ttlS: Math.ceil(ttlMs / 1000) }) },
      idempotencyKey: api.newKey(),
    })
    if (cli.settings.output === 'table')
      await say(cli, `${token.id}; it ends ${relativeTime(token.expiresAt, cli.clock.now())}, and is not shown again:`)
    await printThing(cli, { value: token, name: token.id, text: () => `${token.token}\n` })
    return exitCodes.ok
  },
})
