import { openApi } from '../../client/api.ts'
import { submitJob } from '../../client/submit.ts'
import { command, exitCodes } from '../../declare.ts'
import { printThing } from '../../render/output.ts'
import { makeProgress } from '../../render/progress.ts'
import { UsageError } from '../../usage-error.ts'
import { jobOptions, readJobOptions, readScript, readSource } from '../job-options.ts'
import type { JobOptions } from '../job-options.ts'
import { prepareSource } from '../prepare-source.ts'

interface SubmitOptions extends JobOptions {
  readonly script?: string
}

export const submit = command<SubmitOptions>({
  name: 'submit',
  summary: 'put a job into a queue and print its id',
  examples: [
    ['cidery job submit --queue nightly -- make nightly', 'a command'],
    ['cidery job submit --script build.sh --source .', 'a script, with the files of this directory'],
    ['printf "make\\nmake check\\n" | cidery job submit --script -', 'a script from standard input'],
  ],
  arguments: [{ name: '[command...]', about: 'what to run, word by word' }],
  options: [{ flags: '--script <file>', about: 'a script instead of a command; - for standard input', completes: 'file' }, ...jobOptions],
  passThrough: true,
  prints: 'view',
  async run(cli, { args, options }) {
    if ((args.length === 0) === (options.script === undefined))
      throw new UsageError('give a command or --script, and not both', 'cidery job submit -- make test')
    const source = readSource(cli, options)
    const what = options.script === undefined ? { command: [...args] } : { script: await readScript(cli, options.script) }
    const request = { ...readJobOptions(cli, options), ...what }
    const api = await openApi(cli, { firstPatienceMs: 10_000 })
    const progress = makeProgress(cli)
    const prepared = await prepareSource(cli, api, { source, progress, signal: new AbortController().signal })
    const job = await submitJob(cli, api, { request: { ...request, ...prepared }, progress })
    await progress.clear()
    await printThing(cli, { value: job, name: job.id, text: () => `${job.id}\n` })
    return exitCodes.ok
  },
})
