import { readFileSync } from 'node:fs'
import { createSystemClock } from '../../src/drivers/clocks/system-clock.ts'
import { createLog } from '../../src/drivers/logs/log.ts'
import { agentExitCode, runAgent, type RunAgentOptions } from '../../src/main/agent.ts'

/** An agent as a process of its own for tests: options as JSON on its input, `UP` when it runs, its exit code at the end. */
const options = JSON.parse(readFileSync(0, 'utf8')) as Omit<RunAgentOptions, 'log'>
const log = createLog({ clock: createSystemClock(), format: 'text', write: (line) => void process.stderr.write(line) })
const startedAt = performance.now()
try {
  const agent = await runAgent({ ...options, log })
  process.stdout.write('UP\n')
  process.once('SIGTERM', () => void agent.stop())
  process.exitCode = agentExitCode(await agent.ended)
} catch (error) {
  process.stdout.write(`REFUSED ${Math.round(performance.now() - startedAt)}\n`)
  process.exitCode = agentExitCode(error instanceof Error ? error : new Error('an unknown fault'))
}
