import { command, exitCodes } from '../../declare.ts'
import { readServiceOptions, serviceOptions } from './agent-options.ts'
import type { ServiceOptions } from './agent-options.ts'

export const install = command<ServiceOptions>({
  name: 'install',
  summary: 'let systemd or launchd start the agent, now and after each restart',
  examples: [
    ['cidery agent install', 'as root; the host must be enrolled'],
    ['cidery agent install --desktop', 'on a Mac that runs macOS VMs, in the session of this account'],
  ],
  options: serviceOptions,
  prints: 'text',
  async run(cli, { options }) {
    const { installAgentService } = await import('../../../main/agent-service.ts')
    for (const line of await installAgentService(readServiceOptions(cli, options))) await cli.stdout.write(`${line}\n`)
    return exitCodes.ok
  },
})
