import { command } from '../../declare.ts'
import { readServiceOptions, serviceOptions } from './agent-options.ts'
import type { ServiceOptions } from './agent-options.ts'
import { printChecks } from './print-checks.ts'

export const verify = command<ServiceOptions & { readonly engines?: boolean }>({
  name: 'verify',
  summary: 'check each requirement of a host that runs an agent: service, state, key, lock, controller',
  examples: [
    ['cidery agent verify', 'PASSED or FAILED for each, with the next thing to type; exit code 1 when one failed'],
    ['cidery agent verify --engines', 'only whether each engine could start a job now: disk, memory, programs'],
    ['cidery agent verify --health 127.0.0.1:8080', 'and ask the agent itself'],
  ],
  options: [...serviceOptions, { flags: '--engines', about: 'look at the engines alone' }],
  prints: 'view',
  async run(cli, { options }) {
    const { verifyAgent, verifyEngines } = await import('../../../main/agent-service.ts')
    const asked = readServiceOptions(cli, options)
    return printChecks(cli, await (options.engines === true ? verifyEngines(asked.stateDir) : verifyAgent(asked)))
  },
})
