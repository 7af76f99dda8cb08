import { openApi } from '../../client/api.ts'
import { followJob } from '../../client/job-log.ts'
import { command, exitCodes } from '../../declare.ts'
import { jobLogWriter } from '../../render/job-log-writer.ts'
import { makeProgress } from '../../render/progress.ts'
import { describeWaiting } from '../../render/waiting.ts'
import { integerOption } from '../../values.ts'

interface LogsOptions {
  readonly follow?: boolean
  readonly attempt?: string
  readonly offset?: string
}

export const logs = command<LogsOptions>({
  name: 'logs',
  aliases: ['log'],
  summary: 'print the log of a job',
  examples: [
    ['cidery job logs job_01k…', 'the log of the last attempt'],
    ['cidery job logs -f job_01k…', 'follow it until the job ended, through every attempt'],
    ['cidery job logs --attempt 1 job_01k… > first.log', 'the bytes of the first attempt'],
  ],
  arguments: [{ name: '<job>', about: 'id of the job', completes: 'job' }],
  options: [
    { flags: '-f, --follow', about: 'go on until the job ended' },
    { flags: '--attempt <number>', about: 'which attempt (default: the last)' },
    { flags: '--offset <bytes>', about: 'leave out so many bytes' },
  ],
  prints: 'text',
  async run(cli, { args: [id = ''], options }) {
    const api = await openApi(cli)
    const writer = jobLogWriter(cli)
    const progress = makeProgress(cli)
    // Says soon that the controller or the job is not there; later looks are more patient.
    await api.get(`/jobs/${encodeURIComponent(id)}`)
    if (options.follow === true) {
      await followJob(cli, api, {
        jobId: id,
        async write(bytes) {
          await progress.clear()
          await writer.write(bytes)
        },
        async note(message) {
          await writer.endLine()
          await progress.note(message)
        },
        async waiting(now) {
          await writer.endLine()
          await progress.say(describeWaiting(now))
        },
      })
      await progress.clear()
    } else {
      const query = { offset: integerOption('--offset', options.offset) ?? 0, attempt: integerOption('--attempt', options.attempt) }
      const answer = await api.open('GET', `/jobs/${encodeURIComponent(id)}/log`, { query })
      for await (const chunk of answer.body) await writer.write(chunk)
    }
    await writer.end()
    return exitCodes.ok
  },
})
