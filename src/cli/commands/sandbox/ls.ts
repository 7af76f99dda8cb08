import { formatDuration } from '../../../model/instant.ts'
import { openApi } from '../../client/api.ts'
import { listAll } from '../../client/pages.ts'
import type { SandboxView } from '../../client/views.ts'
import { command, exitCodes } from '../../declare.ts'
import { printList } from '../../render/output.ts'
import { sandboxState } from '../../render/states.ts'
import { listOptions, listQuery } from '../list-options.ts'
import type { ListOptions } from '../list-options.ts'

export const ls = command<ListOptions>({
  name: 'ls',
  aliases: ['list'],
  summary: 'list sandboxes of every engine, with the time they have left',
  examples: [
    ['cidery sandbox ls', 'what people made, and what jobs run in'],
    ['cidery vm ls -o wide', 'the same list, with engine, image and owner'],
  ],
  options: listOptions,
  prints: 'view',
  async run(cli, { options }) {
    const page = await listAll<SandboxView>(await openApi(cli), '/sandboxes', listQuery(options, 200))
    await printList(cli, {
      ...page,
      name: (sandbox) => sandbox.name,
      empty: 'no sandboxes; `cidery sandbox create` makes one',
      columns: [
        { head: 'SANDBOX', cell: (sandbox) => sandbox.name, shrink: true },
        { head: 'STATE', cell: sandboxState },
        { head: 'ENGINE', cell: (sandbox) => sandbox.engine },
        { head: 'IMAGE', cell: (sandbox) => sandbox.image ?? '-' },
        { head: 'HOST', cell: (sandbox) => sandbox.hostName },
        { head: 'TIME LEFT', cell: (sandbox) => (sandbox.jobId === null ? formatDuration(Math.max(0, sandbox.timeLeftMs)) : 'its job’s') },
        { head: 'JOB', cell: (sandbox) => sandbox.jobId ?? '-', wide: true },
        { head: 'BY', cell: (sandbox) => sandbox.createdBy, wide: true },
        { head: 'ID', cell: (sandbox) => sandbox.id, wide: true },
        { head: 'REASON', cell: (sandbox) => sandbox.reason, wide: true, shrink: true },
      ],
    })
    return exitCodes.ok
  },
})
