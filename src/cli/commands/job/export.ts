import { parseDuration } from '../../../model/instant.ts'
import { openApi } from '../../client/api.ts'
import type { Api } from '../../client/api.ts'
import { pageQuery } from '../../client/pages.ts'
import type { JobView, Page } from '../../client/views.ts'
import { command, exitCodes } from '../../declare.ts'
import { say } from '../../render/output.ts'
import { traceHead, traceJsonLine, traceLine } from '../../render/trace.ts'
import type { TraceRow } from '../../render/trace.ts'
import { UsageError } from '../../usage-error.ts'
import { nameOf } from './ls.ts'

interface ExportOptions {
  readonly since?: string
  readonly queue?: string
  readonly format?: string
}

const formats = ['csv', 'jsonl'] as const

export const exportJobs = command<ExportOptions>({
  name: 'export',
  summary: 'write jobs that ended as a trace, for cidery simulate and for spreadsheets',
  examples: [
    ['cidery job export --since 24h > jobs.csv', 'the jobs of a day: when they came, started and ended, and what they asked for'],
    ['cidery job export --since 2026-08-03T00:00:00Z --queue ios --format jsonl > ios.jsonl', 'of one queue, as JSON lines'],
  ],
  options: [
    { flags: '--since <when>', about: 'only jobs that came after this: 24h, 7d, or a moment (default: all that are kept)' },
    { flags: '--queue <name>', about: 'only of this queue', completes: 'queue' },
    { flags: '--format <format>', about: 'csv or jsonl (default: csv)', completes: formats },
  ],
  prints: 'text',
  async run(cli, { options }) {
    const format = formats.find((one) => one === (options.format ?? 'csv'))
    if (format === undefined) throw new UsageError(`--format '${options.format ?? ''}' is not known`, formats.join(' or '))
    const since = sinceOption(options.since, cli.clock.now())
    const api = await openApi(cli)
    let written = 0
    for await (const jobs of endedJobs(api, { since, queue: options.queue })) {
      const rows = jobs.flatMap((job) => rowOf(job) ?? [])
      if (written === 0 && format === 'csv' && rows.length > 0) await cli.stdout.write(traceHead(true))
      written += rows.length
      await cli.stdout.write(rows.map((row) => (format === 'csv' ? traceLine(row, true) : traceJsonLine(row, true))).join(''))
    }
    if (written === 0) await say(cli, 'no job ended since then')
    return exitCodes.ok
  },
})

function sinceOption(text: string | undefined, now: number): number {
  if (text === undefined) return 0
  const age = parseDuration(text)
  const at = age === undefined ? Date.parse(text) : now - age
  if (Number.isNaN(at))
    throw new UsageError(`--since '${text}' is neither a duration nor a moment`, 'for example 24h, 7d or 2026-08-03T00:00:00Z')
  return at
}

/** Pages of jobs, the newest first, until they came before `since`. */
async function* endedJobs(
  api: Api,
  { since, queue }: { readonly since: number; readonly queue: string | undefined },
): AsyncGenerator<readonly JobView[]> {
  let cursor: string | null = null
  do {
    const page: Page<JobView> = await api.get<Page<JobView>>('/jobs', {
      query: { state: 'ended', queue, ...pageQuery('/jobs', 500), ...(cursor === null ? {} : { cursor }) },
    })
    const wanted = page.items.filter(({ submittedAt }) => submittedAt >= since)
    yield wanted
    cursor = wanted.length < page.items.length ? null : page.nextCursor
  } while (cursor !== null)
}

/** What of a job is written; undefined for one whose command never started. */
function rowOf(job: JobView): TraceRow | undefined {
  const times = job.attempts.at(-1)?.times
  if (times?.running === undefined) return undefined
  const endedAt = times.ended ?? job.endedAt ?? times.running
  return {
    name: nameOf(job),
    queue: job.queue,
    engine: job.engine,
    image: job.image,
    shape: job.shape,
    labels: job.spec.labels,
    priority: job.spec.priority,
    submittedAt: job.submittedAt,
    // Hosts have clocks of their own: what seems to have begun before it came began when it came.
    startedAt: Math.max(job.submittedAt, times.running),
    runsMs: Math.max(0, endedAt - Math.max(job.submittedAt, times.running)),
    bootMs: times.assigned === undefined ? null : Math.max(0, times.running - times.assigned),
    exitCode: Math.min(255, Math.max(0, job.exitCode ?? 0)),
  }
}
