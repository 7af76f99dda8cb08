import { checkClient } from '../client/doctor.ts'
import type { DoctorView } from '../client/views.ts'
import { command } from '../declare.ts'
import { renderChecks } from '../render/checks.ts'
import { printThing } from '../render/output.ts'
import { cleanText } from '../render/text.ts'

const verdictCodes = { healthy: 0, degraded: 1, failed: 2 } as const satisfies Record<DoctorView['verdict'], number>

export const doctor = command({
  name: 'doctor',
  summary: 'check this client, the controller and the hosts; each problem with the next thing to type',
  examples: [
    ['cidery doctor', 'exit code 0 healthy, 1 degraded, 2 failed'],
    ['cidery doctor mini-1', 'one host'],
    ['cidery doctor --json | jq -r ".checks[] | select(.state != \\"passed\\") | .fix"', 'only what to do'],
  ],
  arguments: [{ name: '[host]', about: 'only this host, besides client and controller', completes: 'host' }],
  prints: 'view',
  async run(cli, { args: [host] }) {
    const view = await checkClient(cli, host)
    const text = () => `${renderChecks(view.checks, cli.settings.color)}\n${cleanText(view.verdict)}\n`
    await printThing(cli, { value: view, name: view.verdict, text })
    return verdictCodes[view.verdict]
  },
})
