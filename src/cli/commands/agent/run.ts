import { command } from '../../declare.ts'
import { renderError } from '../../render/problem.ts'
import { agentOptions, readAgentOptions } from './agent-options.ts'
import type { AgentOptions } from './agent-options.ts'

export const run = command<AgentOptions>({
  name: 'run',
  summary: 'run the agent of this host in the foreground',
  examples: [
    [
      'CIDERY_ENROL_TOKEN=cidery_enr_… cidery agent run --url https://ci.example.com:8443 --ca-sha256 0123…',
      'the first time; cidery host add prints this line',
    ],
    ['cidery agent run', 'later: it knows its controller'],
  ],
  details:
    'Exit codes: 0 stopped, 1 failed, 2 wrong options, 4 not enrolled or its key was revoked, 5 another agent runs on this state, 75 asked to be started again.',
  options: agentOptions,
  prints: 'text',
  async run(cli, { options }) {
    const asked = readAgentOptions(cli, options)
    const { agentCommand } = await import('../../../main/cli-processes.ts')
    try {
      return await agentCommand(asked)
    } catch (error) {
      if (!(error instanceof Error)) throw error
      await cli.stderr.write(renderError(error, { color: cli.settings.color && cli.stderr.isTTY, notRunCode: false }).text)
      // A service manager decides by the code whether starting again can help.
      return (await import('../../../main/agent.ts')).agentExitCode(error)
    }
  },
})
