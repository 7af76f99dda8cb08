import { openApi } from '../../client/api.ts'
import { command, exitCodes } from '../../declare.ts'

export const exportJournal = command({
  name: 'export',
  summary: 'write the whole journal, one JSON object a line',
  examples: [['cidery audit export > journal.ndjson', 'anyone can check its hashes without cidery']],
  prints: 'text',
  async run(cli) {
    const api = await openApi(cli)
    const answer = await api.open('GET', '/audit/export', { idleMs: 300_000 })
    for await (const chunk of answer.body) await cli.stdout.write(chunk)
    return exitCodes.ok
  },
})
