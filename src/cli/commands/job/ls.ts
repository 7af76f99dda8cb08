import { formatDuration } from '../../../model/instant.ts'
import { openApi } from '../../client/api.ts'
import { listAll } from '../../client/pages.ts'
import type { JobView } from '../../client/views.ts'
import { command, exitCodes } from '../../declare.ts'
import { printList } from '../../render/output.ts'
import { jobState } from '../../render/states.ts'
import { absoluteTime, relativeTime } from '../../render/time.ts'
import { listOptions, listQuery } from '../list-options.ts'
import type { ListOptions } from '../list-options.ts'

interface JobLsOptions extends ListOptions {
  readonly queue?: string
  readonly state?: string
}

export const ls = command<JobLsOptions>({
  name: 'ls',
  aliases: ['list'],
  summary: 'list jobs, the newest first',
  examples: [
    ['cidery job ls', 'the last jobs'],
    ['cidery job ls --state queued --queue ios', 'what waits in a queue'],
    ['cidery job ls --state running --output name', 'ids for a script'],
  ],
  options: [
    { flags: '--queue <name>', about: 'only of this queue', completes: 'queue' },
    {
      flags: '--state <state>',
      about: 'only in this state: queued, assigned, running or ended',
      completes: ['queued', 'assigned', 'running', 'ended'],
    },
    ...listOptions,
  ],
  prints: 'view',
  async run(cli, { options }) {
    const api = await openApi(cli)
    const page = await listAll<JobView>(api, '/jobs', { query: { queue: options.queue, state: options.state }, ...listQuery(options, 20) })
    const now = cli.clock.now()
    await printList(cli, {
      ...page,
      name: (job) => job.id,
      empty: 'no jobs; `cidery run -- uname -a` makes one',
      columns: [
        { head: 'JOB', cell: (job) => job.id },
        { head: 'STATE', cell: jobState },
        { head: 'NAME', cell: (job) => nameOf(job), shrink: true },
        { head: 'QUEUE', cell: (job) => job.queue },
        { head: 'HOST', cell: (job) => job.attempts.at(-1)?.hostName ?? '-' },
        { head: 'AGE', cell: (job) => relativeTime(job.submittedAt, now) },
        { head: 'TOOK', cell: (job) => (job.endedAt === null ? '-' : formatDuration(job.endedAt - job.submittedAt)) },
        { head: 'ENGINE', cell: (job) => job.engine, wide: true },
        { head: 'IMAGE', cell: (job) => job.image ?? '-', wide: true },
        { head: 'BY', cell: (job) => job.submittedBy, wide: true },
        { head: 'SUBMITTED', cell: (job) => absoluteTime(job.submittedAt), wide: true },
        { head: 'WAITS FOR', cell: (job) => job.waiting[0]?.message ?? '-', wide: true, shrink: true },
      ],
    })
    return exitCodes.ok
  },
})

/** Its name, else the start of what it runs. */
export function nameOf(job: JobView): string {
  if (job.spec.name !== undefined && job.spec.name !== '') return job.spec.name
  return job.spec.command?.join(' ') ?? job.spec.script?.split('\n')[0] ?? job.name
}
