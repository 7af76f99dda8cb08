import { openApi } from '../../client/api.ts'
import { listAll } from '../../client/pages.ts'
import { readSandbox } from '../../client/sandbox.ts'
import type { OperationView } from '../../client/views.ts'
import { command, exitCodes } from '../../declare.ts'
import { jobLogWriter } from '../../render/job-log-writer.ts'
import { say } from '../../render/output.ts'
import { cleanLines } from '../../render/text.ts'
import { absoluteTime } from '../../render/time.ts'

export const logs = command({
  name: 'logs',
  aliases: ['log'],
  summary: 'print what happened to a sandbox: the log of its job, or of its own start and stop',
  examples: [['cidery vm logs try', 'the same on every engine']],
  arguments: [{ name: '<sandbox>', about: 'name or id of the sandbox', completes: 'sandbox' }],
  prints: 'text',
  async run(cli, { args: [name = ''] }) {
    const api = await openApi(cli)
    const sandbox = await readSandbox(api, name)
    if (sandbox.jobId !== null) {
      const writer = jobLogWriter(cli)
      const answer = await api.open('GET', `/jobs/${sandbox.jobId}/log`, { query: { offset: 0 } })
      for await (const chunk of answer.body) await writer.write(chunk)
      await writer.end()
      return exitCodes.ok
    }
    const { items } = await listAll<OperationView>(api, `/hosts/${sandbox.hostId}/operations`, { limit: 1000 })
    const own = items.filter(({ request }) => 'sandboxId' in request && request.sandboxId === sandbox.id).toReversed()
    if (own.length === 0) await say(cli, `nothing is recorded about ${sandbox.name}${sandbox.reason === '' ? '' : `; ${sandbox.reason}`}`)
    for (const operation of own) {
      const tail = operation.outputTail === '' ? '' : cleanLines(operation.outputTail).replace(/\n?$/, '\n')
      await cli.stdout.write(
        `${absoluteTime(operation.requestedAt)} ${operation.request.kind} ${operation.state}${operation.reason === '' ? '' : `: ${cleanLines(operation.reason)}`}\n${tail}`,
      )
    }
    return exitCodes.ok
  },
})
