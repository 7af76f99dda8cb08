import { openApi } from '../../client/api.ts'
import { changeThing } from '../../client/change.ts'
import { readUser } from '../../client/user.ts'
import { confirm } from '../../confirm.ts'
import { command, exitCodes } from '../../declare.ts'
import { printThing } from '../../render/output.ts'

interface RmOptions {
  readonly yes?: boolean
}

export const rm = command<RmOptions>({
  name: 'rm',
  aliases: ['delete'],
  summary: 'remove a person with all sessions and tokens',
  examples: [['cidery user rm alice --yes', 'what they did stays in the journal']],
  arguments: [{ name: '<name>', about: 'name of the person', completes: 'user' }],
  options: [{ flags: '-y, --yes', about: 'do not ask' }],
  prints: 'view',
  async run(cli, { args: [name = ''], options }) {
    await confirm(cli, `Remove ${name}?`, options.yes)
    const api = await openApi(cli)
    await changeThing(
      api,
      () => readUser(api, name),
      () => ({ method: 'DELETE', path: `/users/${encodeURIComponent(name)}` }),
    )
    await printThing(cli, { value: { name, removed: true }, name, text: () => `${name} is removed\n` })
    return exitCodes.ok
  },
})
