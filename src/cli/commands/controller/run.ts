import { command, exitCodes } from '../../declare.ts'
import { controllerOptions, readControllerOptions } from '../controller-options.ts'
import type { ControllerOptions } from '../controller-options.ts'
import { announce } from '../up.ts'

export const run = command<ControllerOptions>({
  name: 'run',
  summary: 'run a controller in the foreground, without an agent',
  examples: [
    ['cidery controller run --listen 0.0.0.0:8443', 'for a service manager to start'],
    ['CIDERY_STORE_URL_FILE=/etc/cidery/store cidery controller run', 'on PostgreSQL, whose password stands in a file'],
  ],
  options: controllerOptions,
  prints: 'text',
  async run(cli, { options }) {
    const asked = readControllerOptions(cli, options)
    const { controllerCommand } = await import('../../../main/cli-processes.ts')
    await controllerCommand(asked, (running) => announce(cli, asked.stateDir, running))
    return exitCodes.ok
  },
})
