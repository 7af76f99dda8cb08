import { openApi } from '../../client/api.ts'
import type { AuditVerifyView } from '../../client/views.ts'
import { command, exitCodes } from '../../declare.ts'
import { printThing } from '../../render/output.ts'
import { paint } from '../../render/style.ts'
import { cleanText } from '../../render/text.ts'

export const verify = command({
  name: 'verify',
  summary: 'check that no entry of the journal was changed, removed or cut off',
  examples: [['cidery audit verify && echo whole', 'exit code 1 when it does not verify']],
  prints: 'view',
  async run(cli) {
    const api = await openApi(cli)
    const view = await api.get<AuditVerifyView>('/audit/verify', { idleMs: 600_000 })
    const text = () => {
      const mark = view.ok ? paint('✓ PASSED', 'good', cli.settings.color) : paint('✗ FAILED', 'bad', cli.settings.color)
      return `${mark} ${view.checked} entries${view.first === null ? '' : `, ${view.first} to ${view.last ?? view.first}`}${view.problem === null ? '' : `: ${cleanText(view.problem)}`}\n`
    }
    await printThing(cli, { value: view, name: view.ok ? 'ok' : 'broken', text })
    return view.ok ? exitCodes.ok : exitCodes.failed
  },
})
