import { command, exitCodes } from '../../declare.ts'
import { agentOptions, readAgentOptions } from './agent-options.ts'
import type { AgentOptions } from './agent-options.ts'

export const enrol = command<AgentOptions>({
  name: 'enrol',
  summary: 'bring this host into the fleet without starting its agent',
  examples: [
    [
      'CIDERY_ENROL_TOKEN=cidery_enr_… cidery agent enrol --url https://ci.example.com:8443 --ca-sha256 0123… && cidery agent install',
      'and let the service manager start it',
    ],
  ],
  options: agentOptions,
  prints: 'text',
  async run(cli, { options }) {
    const asked = readAgentOptions(cli, options)
    const { enrolCommand } = await import('../../../main/cli-processes.ts')
    await cli.stdout.write(`${await enrolCommand(asked)}\n`)
    return exitCodes.ok
  },
})
