import type { Cli } from '../cli.ts'
import { openApi } from '../client/api.ts'
import type { Api } from '../client/api.ts'
import { followJob } from '../client/job-log.ts'
import { submitJob } from '../client/submit.ts'
import type { JobView } from '../client/views.ts'
import { command, exitCodes } from '../declare.ts'
import { jobLogWriter } from '../render/job-log-writer.ts'
import { printThing } from '../render/output.ts'
import { makeProgress } from '../render/progress.ts'
import type { Progress } from '../render/progress.ts'
import { outcomeText } from '../render/states.ts'
import { describeWaiting } from '../render/waiting.ts'
import { Exit, UsageError } from '../usage-error.ts'
import { jobOptions, readJobOptions, readSource } from './job-options.ts'
import type { JobOptions } from './job-options.ts'
import { prepareSource } from './prepare-source.ts'

interface RunOptions extends JobOptions {
  readonly detach?: boolean
  readonly artifactsDir?: string
}

export const run = command<RunOptions>({
  name: 'run',
  summary: 'run a command in a clean sandbox and end with its exit code',
  examples: [
    ['cidery run -- uname -a', 'run a command'],
    ['cidery run --source . --artifact "dist/**" --artifacts-dir out -- make dist', 'build this directory, and bring back what it made'],
    ['cidery run --source https://example.com/app.git#0123456789abcdef0123456789abcdef01234567 -- make test', 'test one commit'],
    ['cidery run --queue ios --image macos-15 --secret SIGNING_KEY -- ./build.sh', 'in a macOS VM, with a secret'],
    ['cidery run --detach -- make nightly', 'only submit it, and print its id'],
  ],
  details:
    'The log goes to standard output as the bytes that the command wrote, everything else to standard error. The exit code is that of the command, 128 + n when a signal ended it, 124 at its time limit, 130 when cancelled, and 125 when cidery could not run it. Ctrl-C cancels the job; a second Ctrl-C leaves without waiting. A directory is uploaded without what its .gitignore files name.',
  arguments: [{ name: '<command...>', about: 'what to run, word by word; for a shell line use: sh -c "…"' }],
  options: [
    ...jobOptions,
    { flags: '-d, --detach', about: 'print the id of the job and leave' },
    { flags: '--artifacts-dir <directory>', about: 'where to put the artifacts', completes: 'directory' },
  ],
  passThrough: true,
  prints: 'view',
  async run(cli, { args, options }) {
    const source = readSource(cli, options)
    const request = { ...readJobOptions(cli, options), command: [...args] }
    const progress = makeProgress(cli)
    const interrupt = watchInterrupts(cli, progress)
    try {
      const api = await openApi(cli, { firstPatienceMs: 10_000 })
      const placed = { ...request, ...(await prepareSource(cli, api, { source, progress, signal: interrupt.beforeSubmit })) }
      interrupt.beforeSubmit.throwIfAborted()
      const job = await submitJob(cli, api, { request: placed, progress })
      interrupt.submitted(api, job)
      if (options.detach === true) {
        await printThing(cli, { value: job, name: job.id, text: () => `${job.id}\n` })
        return exitCodes.ok
      }
      await progress.say(`${job.id} is queued in ${job.queue}`)
      const ended = await follow(cli, api, { job, progress, signal: interrupt.leave })
      return await finish(cli, api, { job: ended, progress, artifactsDir: options.artifactsDir })
    } catch (error) {
      if (interrupt.beforeSubmit.aborted || interrupt.leave.aborted) throw new Exit(exitCodes.cancelled)
      throw error
    } finally {
      await progress.clear()
      interrupt.stop()
    }
  },
})

interface FollowedJob {
  readonly job: JobView
  readonly progress: Progress
  readonly signal: AbortSignal
}

async function follow(cli: Cli, api: Api, { job, progress, signal }: FollowedJob): Promise<JobView> {
  const writer = jobLogWriter(cli)
  const ended = await followJob(cli, api, {
    jobId: job.id,
    signal,
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
  await writer.end()
  return ended
}

interface EndedJob {
  readonly job: JobView
  readonly progress: Progress
  readonly artifactsDir: string | undefined
}

async function finish(cli: Cli, api: Api, { job, progress, artifactsDir }: EndedJob): Promise<number> {
  await progress.clear()
  const code = job.exitCode ?? exitCodes.notRun
  const kind = job.outcome?.kind
  if (kind === 'infrastructure' || kind === 'setupFailed' || kind === undefined)
    await cli.stderr.write(`cidery could not run it: ${job.id} ${outcomeText(job)}\n`)
  else if (kind !== 'exited') await progress.note(`${job.id} was ${outcomeText(job).replace(/^ended/, 'ended')}`)
  const fetched = await bringArtifacts(cli, api, { job, progress, artifactsDir })
  return code === 0 && !fetched ? exitCodes.notRun : code
}

/** False when an artifact that was asked for could not be brought back. */
async function bringArtifacts(cli: Cli, api: Api, { job, progress, artifactsDir }: EndedJob): Promise<boolean> {
  const last = job.attempts.at(-1)
  for (const failure of last?.artifactFailures ?? []) await progress.note(`artifact ${failure.path ?? failure.pattern}: ${failure.reason}`)
  if (artifactsDir === undefined || last === undefined) {
    const count = last?.artifacts.length ?? 0
    if (count > 0) await progress.note(`${count} artifact${count === 1 ? '' : 's'} kept; cidery job artifacts ${job.id} --download DIR`)
    return true
  }
  const { downloadArtifacts } = await import('../artifacts/download.ts')
  return downloadArtifacts(cli, api, { jobId: job.id, artifacts: last.artifacts, directory: artifactsDir, progress })
}

interface InterruptWatch {
  readonly beforeSubmit: AbortSignal
  readonly leave: AbortSignal
  submitted(api: Api, job: JobView): void
  stop(): void
}

/** Before the job is submitted an interrupt gives up; after that the first cancels the job and the second leaves. */
function watchInterrupts(cli: Cli, progress: Progress): InterruptWatch {
  const beforeSubmit = new AbortController()
  const leave = new AbortController()
  let running: { readonly api: Api; readonly job: JobView } | undefined
  let cancelling = false
  const stop = cli.onInterrupt(() => {
    if (running === undefined) beforeSubmit.abort(new UsageError('interrupted'))
    else if (cancelling) leave.abort(new UsageError('interrupted'))
    else {
      cancelling = true
      void cancel(running, progress)
    }
  })
  return {
    beforeSubmit: beforeSubmit.signal,
    leave: leave.signal,
    submitted(api, job) {
      running = { api, job }
      if (beforeSubmit.signal.aborted) {
        cancelling = true
        void cancel(running, progress)
      }
    },
    stop,
  }
}

async function cancel({ api, job }: { readonly api: Api; readonly job: JobView }, progress: Progress): Promise<void> {
  await progress.note(`cancelling ${job.id}; Ctrl-C again leaves without waiting`)
  try {
    await api.call('POST', `/jobs/${job.id}/cancel`, { body: {}, repeatable: true, patienceMs: 60_000 })
  } catch (error) {
    await progress.note(`could not cancel: ${error instanceof Error ? error.message : String(error)}; cidery job cancel ${job.id}`)
  }
}
