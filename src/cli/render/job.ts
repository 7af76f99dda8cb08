import { formatDuration } from '../../model/instant.ts'
import type { AttemptView, JobView } from '../client/views.ts'
import { renderFields } from './output.ts'
import { jobState, outcomeText } from './states.ts'
import { paint } from './style.ts'
import { cleanText } from './text.ts'
import { absoluteTime, relativeTime, sizeText } from './time.ts'
import { waitingLines } from './waiting.ts'

export interface RenderOptions {
  readonly now: number
  readonly color: boolean
}

/** Everything about a job, for people. */
export function renderJob(job: JobView, { now, color }: RenderOptions): string {
  const { spec } = job
  const steps = Object.entries(job.stepMs).map(([step, ms]) => `${step} ${formatDuration(ms)}`)
  const fields = renderFields(
    [
      ['job', job.id],
      ['name', spec.name ?? ''],
      ['state', jobState(job)],
      ['outcome', outcomeText(job)],
      ['exit code', job.exitCode === null ? '' : String(job.exitCode)],
      ['queue', job.queue],
      ['command', spec.command?.map(quoteWord).join(' ') ?? ''],
      ['script', spec.script?.split('\n')[0] ?? ''],
      ['engine', job.image === null ? job.engine : `${job.engine}, image ${job.image}`],
      [
        'shape',
        `${job.shape.cpu} CPU, ${sizeText(job.shape.memoryMiB * 1_048_576)} memory, ${sizeText(job.shape.diskMiB * 1_048_576)} disk`,
      ],
      ['network', job.network],
      ['time limit', formatDuration(job.timeoutS * 1000)],
      ['submitted', `${absoluteTime(job.submittedAt)} (${relativeTime(job.submittedAt, now)}) by ${job.submittedBy}`],
      ['ended', job.endedAt === null ? '' : `${absoluteTime(job.endedAt)} (${relativeTime(job.endedAt, now)})`],
      ['times', steps.join(', ')],
    ],
    color,
  )
  const attempts = job.attempts.map((attempt) => renderAttempt(attempt, color)).join('')
  const waiting =
    job.waiting.length === 0
      ? ''
      : `\n${paint('Waits for', 'strong', color)}\n${job.waiting.map((one) => cleanBlock(waitingLines(one))).join('')}`
  return `${fields}${attempts}${waiting}`
}

function renderAttempt(attempt: AttemptView, color: boolean): string {
  const isolation = attempt.isolation === null ? '' : `, isolated by ${attempt.isolation}`
  const head = `${paint(`Attempt ${attempt.number}`, 'strong', color)} on ${cleanText(attempt.hostName)}: ${attempt.outcome === null ? attempt.state : outcomeText(attempt)}${isolation}`
  const log = `  log ${sizeText(attempt.logBytes)}${attempt.logComplete ? '' : ', not complete'}`
  const artifacts = attempt.artifacts.map((artifact) => `  artifact ${artifact.path} (${sizeText(artifact.sizeBytes)})`)
  const failures = attempt.artifactFailures.map((failure) => `  ! artifact ${failure.path ?? failure.pattern}: ${failure.reason}`)
  const notes = attempt.notes.map((note) => `  ! ${note}`)
  return `\n${head}\n${[log, ...artifacts, ...failures, ...notes].map((line) => `${cleanText(line)}\n`).join('')}`
}

function cleanBlock(text: string): string {
  return text
    .split('\n')
    .map((line) => cleanText(line))
    .join('\n')
}

/** A word as a shell would need it. */
export function quoteWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`
}
