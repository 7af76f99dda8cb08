import { openApi } from '../client/api.ts'
import { applySpec, checkSpec } from '../client/spec.ts'
import { confirm } from '../confirm.ts'
import { command, exitCodes } from '../declare.ts'
import { printThing } from '../render/output.ts'
import { renderSpecDiff } from '../render/spec-diff.ts'
import { UsageError } from '../usage-error.ts'
import { readSpecFile } from './plan.ts'

interface ApplyOptions {
  readonly file?: string
  readonly yes?: boolean
}

export const apply = command<ApplyOptions>({
  name: 'apply',
  summary: 'put a cidery.yaml into force, after showing what it changes',
  examples: [
    ['cidery apply -f cidery.yaml', 'shows the changes and asks'],
    ['cidery apply -f cidery.yaml --yes', 'in a script'],
  ],
  options: [
    { flags: '-f, --file <file>', about: 'the spec; - for standard input', completes: 'file' },
    { flags: '-y, --yes', about: 'do not ask' },
  ],
  prints: 'view',
  async run(cli, { options }) {
    if (options.file === undefined) throw new UsageError('say which file', 'cidery apply -f cidery.yaml')
    const source = await readSpecFile(cli, options.file)
    const api = await openApi(cli)
    const { diff, generation } = await checkSpec(api, { source, file: options.file })
    const plain = cli.settings.output === 'table' || cli.settings.output === 'wide'
    if (plain) await cli.stdout.write(renderSpecDiff(diff, cli.settings.color))
    if (diff.changes.length > 0) await confirm(cli, 'Apply this?', options.yes)
    const applied = diff.changes.length === 0 ? diff : await applySpec(api, { source, file: options.file, generation })
    await printThing(cli, {
      value: { ...applied, changes: diff.changes, consequences: diff.consequences },
      name: String(applied.generation),
      text: () => (applied.applied ? `✓ applied as generation ${applied.generation}\n` : ''),
    })
    return exitCodes.ok
  },
})
