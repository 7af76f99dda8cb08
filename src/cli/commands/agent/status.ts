import { command } from '../../declare.ts'
import { readServiceOptions, serviceOptions } from './agent-options.ts'
import type { ServiceOptions } from './agent-options.ts'
import { printChecks } from './print-checks.ts'

const ofTheAgent = /^(?:enrolled|one agent runs|controller answers|healthy)$/

export const status = command<ServiceOptions>({
  name: 'status',
  summary: 'say whether the agent of this host runs, is enrolled and reaches its controller',
  examples: [['cidery agent status', 'exit code 1 when one of these is not so']],
  options: serviceOptions,
  prints: 'view',
  async run(cli, { options }) {
    const { verifyAgent } = await import('../../../main/agent-service.ts')
    const checks = await verifyAgent(readServiceOptions(cli, options))
    return printChecks(
      cli,
      checks.filter((check) => ofTheAgent.test(check.name)),
    )
  },
})
