import { openApi } from '../../client/api.ts'
import type { UserView } from '../../client/views.ts'
import { command, exitCodes } from '../../declare.ts'
import { printThing } from '../../render/output.ts'
import { UsageError } from '../../usage-error.ts'
import { readPassword } from './read-password.ts'

interface CreateOptions {
  readonly role?: string
  readonly queue?: readonly string[]
}

export const create = command<CreateOptions>({
  name: 'create',
  aliases: ['add'],
  summary: 'add a person; the password is asked for, or read from standard input',
  examples: [
    ['cidery user create alice --role operator', 'asks for the password'],
    ['printf %s "$PASSWORD" | cidery user create bob --role viewer', 'in a script'],
    ['cidery user create carol --role operator --queue ios', 'may submit to one queue only'],
  ],
  arguments: [{ name: '<name>', about: 'name to log in with' }],
  options: [
    { flags: '--role <role>', about: 'viewer, operator or admin', completes: ['viewer', 'operator', 'admin'] },
    { flags: '--queue <name>', about: 'only for this queue', many: true, completes: 'queue' },
  ],
  prints: 'view',
  async run(cli, { args: [name = ''], options }) {
    if (options.role === undefined) throw new UsageError('say which --role', 'viewer, operator or admin')
    const password = await readPassword(cli)
    const api = await openApi(cli)
    const user = await api.call<UserView>('POST', '/users', {
      body: { name, role: options.role, queues: options.queue ?? [], password },
      idempotencyKey: api.newKey(),
    })
    await printThing(cli, { value: user, name: user.name, text: () => `${user.name} is ${user.role}\n` })
    return exitCodes.ok
  },
})
