import { command } from '../../declare.ts'
import { readServiceOptions, serviceOptions } from './agent-options.ts'
import type { ServiceOptions } from './agent-options.ts'
import { printChecks } from './print-checks.ts'

export const verify = command<ServiceOptions>({
  name: 'verify',
  summary: 'check each requirement of a host that runs an agent: service, state, key, lock, controller',
  examples: [
    ['cidery agent verify', 'PASSED or FAILED for each, with the next thing to type; exit code 1 when one failed'],
    ['cidery agent verify --health 127.0.0.1:8080', 'and ask the agent itself'],
  ],
  options: serviceOptions,
  prints: 'view',
  async run(cli, { options }) {
    const { verifyAgent } = await import('../../../main/agent-service.ts')
    return printChecks(cli, await verifyAgent(readServiceOptions(cli, options)))
  },
})
