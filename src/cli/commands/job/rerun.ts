import { openApi } from '../../client/api.ts'
import type { JobView } from '../../client/views.ts'
import { command, exitCodes } from '../../declare.ts'
import { printThing } from '../../render/output.ts'

export const rerun = command({
  name: 'rerun',
  aliases: ['retry'],
  summary: 'run a job that ended once more, as a new job',
  examples: [
    ['cidery job rerun job_01k…', 'print the id of the new job'],
    ['cidery job logs -f "$(cidery job rerun job_01k…)"', 'and follow it'],
  ],
  arguments: [{ name: '<job>', about: 'id of the job that ended', completes: 'job' }],
  prints: 'view',
  async run(cli, { args: [id = ''] }) {
    const api = await openApi(cli)
    const job = await api.call<JobView>('POST', `/jobs/${encodeURIComponent(id)}/rerun`, { body: {}, idempotencyKey: api.newKey() })
    await printThing(cli, { value: job, name: job.id, text: () => `${job.id}\n` })
    return exitCodes.ok
  },
})
