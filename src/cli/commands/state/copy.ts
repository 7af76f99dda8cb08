import { resolve } from 'node:path'
import { stateDirectory } from '../../client/connection.ts'
import { command, exitCodes } from '../../declare.ts'
import { printThing, renderFields, say } from '../../render/output.ts'

interface CopyOptions {
  readonly state?: string
  readonly to?: string
  readonly dryRun?: boolean
}

export const copy = command<CopyOptions>({
  name: 'copy',
  summary: 'move the state of a stopped controller from its directory into PostgreSQL',
  examples: [
    ['CIDERY_STORE_URL_FILE=/etc/cidery/store cidery state copy --dry-run', 'see that both are reached and what would be copied'],
    ['CIDERY_STORE_URL_FILE=/etc/cidery/store cidery state copy', 'into the database whose URL, password and all, stands in a file'],
    ['PGPASSWORD=… cidery state copy --to postgres://cidery@db.example.com/cidery?sslmode=verify-full', 'or with the password apart'],
  ],
  details:
    'The target must be empty. All rows are copied in one transaction, read back and compared, and the chain of the journal is checked, before it is committed. Keys, certificates and blobs stay where they are. The state is then marked as moved: a controller that is started on it again is refused unless --store sqlite says that this is meant.',
  options: [
    { flags: '--state <directory>', about: 'state directory of the controller (CIDERY_STATE)', completes: 'directory' },
    { flags: '--to <store>', about: 'postgres://USER@HOST/DATABASE (default: CIDERY_STORE_URL, CIDERY_STORE_URL_FILE)' },
    { flags: '--dry-run', about: 'look and count, and change nothing' },
  ],
  prints: 'view',
  async run(cli, { options }) {
    const { copyStateCommand } = await import('../../../main/state-copy.ts')
    const stateDir = options.state === undefined ? stateDirectory(cli) : resolve(cli.cwd, options.state)
    const copied = await copyStateCommand({ stateDir, to: options.to, dryRun: options.dryRun === true })
    const fields = [
      ['from', copied.from],
      ['to', copied.to],
      ['schema', String(copied.schema)],
      ...copied.tables.filter(({ rows }) => rows > 0).map(({ name, rows }) => [name, `${rows} rows`] as const),
      ['journal', copied.journal.last === null ? 'empty' : `${copied.journal.first ?? 0} to ${copied.journal.last}, whole`],
    ] as const
    await printThing(cli, { value: copied, name: copied.to, text: () => renderFields(fields, cli.settings.color) })
    if (cli.settings.output === 'table')
      await say(cli, copied.dryRun ? 'nothing was changed' : 'copied, read back and compared; start the controller on it')
    return exitCodes.ok
  },
})
