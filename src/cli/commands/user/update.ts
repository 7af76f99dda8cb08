import { openApi } from '../../client/api.ts'
import { changeThing } from '../../client/change.ts'
import { readUser } from '../../client/user.ts'
import type { UserView } from '../../client/views.ts'
import { command, exitCodes } from '../../declare.ts'
import { printThing } from '../../render/output.ts'
import { UsageError } from '../../usage-error.ts'
import { readPassword } from './read-password.ts'

interface UpdateOptions {
  readonly role?: string
  readonly queue?: readonly string[]
  readonly allQueues?: boolean
  readonly disable?: boolean
  readonly enable?: boolean
  readonly password?: boolean
}

export const update = command<UpdateOptions>({
  name: 'update',
  aliases: ['set'],
  summary: 'change role, queues or password of a person, or shut them out',
  examples: [
    ['cidery user update alice --role admin', 'another role'],
    ['cidery user update alice --disable', 'out at once, sessions included'],
    ['cidery user update alice --password', 'asks for a new password'],
  ],
  arguments: [{ name: '<name>', about: 'name of the person', completes: 'user' }],
  options: [
    { flags: '--role <role>', about: 'viewer, operator or admin', completes: ['viewer', 'operator', 'admin'] },
    { flags: '--queue <name>', about: 'only for this queue', many: true, completes: 'queue' },
    { flags: '--all-queues', about: 'for every queue' },
    { flags: '--disable', about: 'may not log in, nor use tokens' },
    { flags: '--enable', about: 'may again' },
    { flags: '--password', about: 'a new password: asked for, or from standard input' },
  ],
  prints: 'view',
  async run(cli, { args: [name = ''], options }) {
    if (options.disable === true && options.enable === true) throw new UsageError('--disable and --enable at once')
    const queues = options.allQueues === true ? [] : options.queue
    const disabled = options.disable === true ? true : options.enable === true ? false : undefined
    const body = {
      ...(options.role === undefined ? {} : { role: options.role }),
      ...(queues === undefined ? {} : { queues }),
      ...(disabled === undefined ? {} : { disabled }),
      ...(options.password === true ? { password: await readPassword(cli) } : {}),
    }
    if (Object.keys(body).length === 0) throw new UsageError('nothing to change', 'cidery user update --help')
    const api = await openApi(cli)
    const user = await changeThing<UserView>(
      api,
      () => readUser(api, name),
      () => ({ method: 'PATCH', path: `/users/${encodeURIComponent(name)}`, body }),
    )
    await printThing(cli, { value: user, name: user.name, text: () => `${user.name} is ${user.disabled ? 'disabled' : user.role}\n` })
    return exitCodes.ok
  },
})
