import { openApi } from '../../client/api.ts'
import type { JobView } from '../../client/views.ts'
import { command, exitCodes } from '../../declare.ts'
import { printList } from '../../render/output.ts'
import { jobState } from '../../render/states.ts'

export const cancel = command({
  name: 'cancel',
  summary: 'cancel jobs; one that ended already stays as it is',
  examples: [
    ['cidery job cancel job_01k…', 'cancel one job'],
    ['cidery job ls --queue ios --state queued -o name | xargs cidery job cancel', 'cancel all that wait in a queue'],
  ],
  arguments: [{ name: '<job...>', about: 'ids of the jobs', completes: 'job' }],
  prints: 'view',
  async run(cli, { args }) {
    const api = await openApi(cli)
    const items: JobView[] = []
    for (const id of args)
      items.push(await api.call<JobView>('POST', `/jobs/${encodeURIComponent(id)}/cancel`, { body: {}, repeatable: true }))
    await printList(cli, {
      items,
      name: (job) => job.id,
      empty: '',
      columns: [
        { head: 'JOB', cell: (job) => job.id },
        { head: 'STATE', cell: jobState },
      ],
    })
    return exitCodes.ok
  },
})
