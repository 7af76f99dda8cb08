import { command, exitCodes } from '../declare.ts'
import { printThing } from '../render/output.ts'

export const version = command({
  name: 'version',
  summary: 'print the version',
  examples: [['cidery version', 'the same as cidery --version']],
  prints: 'view',
  async run(cli) {
    await printThing(cli, { value: { version: cli.version }, name: cli.version, text: () => `cidery ${cli.version}\n` })
    return exitCodes.ok
  },
})
