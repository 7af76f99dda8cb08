import { checkClient } from '../client/doctor.ts'
import type { CheckView, DoctorView } from '../client/views.ts'
import { command } from '../declare.ts'
import { printThing } from '../render/output.ts'
import { paint } from '../render/style.ts'
import type { Tone } from '../render/style.ts'
import { cleanText } from '../render/text.ts'

const verdictCodes = { healthy: 0, degraded: 1, failed: 2 } as const satisfies Record<DoctorView['verdict'], number>

const marks = {
  passed: { word: '✓ PASSED ', tone: 'good' },
  warning: { word: '! WARNING', tone: 'warn' },
  failed: { word: '✗ FAILED ', tone: 'bad' },
} as const satisfies Record<CheckView['state'], { word: string; tone: Tone }>

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
    const text = () => {
      const lines = view.checks.map((check) => {
        const { word, tone } = marks[check.state]
        const fix = check.fix === null || check.state === 'passed' ? '' : `\n           next: ${cleanText(check.fix)}`
        return `${paint(word, tone, cli.settings.color)}  ${cleanText(`${check.name}: ${check.message}`)}${fix}\n`
      })
      return `${lines.join('')}\n${cleanText(view.verdict)}\n`
    }
    await printThing(cli, { value: view, name: view.verdict, text })
    return verdictCodes[view.verdict]
  },
})
