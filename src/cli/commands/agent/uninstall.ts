import { command, exitCodes } from '../../declare.ts'
import { readServiceOptions, serviceOptions } from './agent-options.ts'
import type { ServiceOptions } from './agent-options.ts'

export const uninstall = command<ServiceOptions>({
  name: 'uninstall',
  summary: 'take the service of the agent away; its state and its jobs stay',
  examples: [['cidery agent uninstall', 'cidery host retire takes the host out of the fleet']],
  options: serviceOptions,
  prints: 'text',
  async run(cli, { options }) {
    const { uninstallAgentService } = await import('../../../main/agent-service.ts')
    for (const line of await uninstallAgentService(readServiceOptions(cli, options))) await cli.stdout.write(`${line}\n`)
    return exitCodes.ok
  },
})
