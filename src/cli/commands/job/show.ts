import { openApi } from '../../client/api.ts'
import type { JobView } from '../../client/views.ts'
import { command, exitCodes } from '../../declare.ts'
import { renderJob } from '../../render/job.ts'
import { printThing } from '../../render/output.ts'

export const show = command({
  name: 'show',
  aliases: ['get'],
  summary: 'show one job: state, attempts, times, artifacts, why it waits',
  examples: [
    ['cidery job show job_01k…', 'all about a job'],
    ['cidery job show job_01k… --json | jq .exitCode', 'one field for a script'],
  ],
  arguments: [{ name: '<job>', about: 'id of the job', completes: 'job' }],
  prints: 'view',
  async run(cli, { args: [id = ''] }) {
    const api = await openApi(cli)
    const job = await api.get<JobView>(`/jobs/${encodeURIComponent(id)}`)
    await printThing(cli, { value: job, name: job.id, text: () => renderJob(job, { now: cli.clock.now(), color: cli.settings.color }) })
    return exitCodes.ok
  },
})
