import type { Cli } from '../cli.ts'
import { asCideryError, isTransient } from './answer-error.ts'
import type { Api } from './api.ts'
import type { AttemptView, JobView } from './views.ts'

export interface FollowOptions {
  readonly jobId: string
  /** Bytes of the log, in order, each once. */
  readonly write: (bytes: Uint8Array) => Promise<void>
  /** Something for people: a cut connection, the next attempt. */
  readonly note: (message: string) => Promise<void>
  /** Called with each look at the job while no attempt writes a log. */
  readonly waiting: (job: JobView) => Promise<void>
  readonly signal?: AbortSignal
}

type Waits = Pick<Cli, 'clock' | 'timers'>

/** A controller that restarts, or moves to another machine, is waited for this long. */
const outagePatienceMs = 15 * 60_000
/** After the end of an attempt, bytes that its host has not delivered yet are waited for this long. */
const lateBytesMs = 3_000
/** A follow that is silent for so long is opened anew: a dead connection looks the same as a quiet job. */
const silenceMs = 45_000

/** Copies the log of every attempt of a job as it is written, through cuts and restarts, and resolves with the job when it ended. */
export async function followJob(cli: Waits, api: Api, options: FollowOptions): Promise<JobView> {
  let copied = 0
  const startedAt = cli.clock.steady()
  for (;;) {
    const job = await readJob(api, options.jobId, options.signal)
    const next = job.attempts.filter((attempt) => attempt.number > copied).toSorted((a, b) => a.number - b.number)[0]
    if (next !== undefined) {
      if (copied > 0) await options.note(`attempt ${next.number} on ${next.hostName}`)
      await copyAttempt(cli, api, { ...options, attempt: next.number })
      copied = next.number
    } else if (job.state === 'ended') {
      return job
    } else {
      await options.waiting(job)
      await cli.timers.sleep(cli.clock.steady() - startedAt < 3_000 ? 100 : 500, options.signal)
    }
  }
}

/** Reads a job, waiting for a controller that is away. */
export function readJob(api: Api, id: string, signal?: AbortSignal): Promise<JobView> {
  return api.get<JobView>(`/jobs/${encodeURIComponent(id)}`, { signal, patienceMs: outagePatienceMs })
}

type AttemptOptions = FollowOptions & { readonly attempt: number }

/** How far the copy of one attempt's log is, and how the connection fares. */
interface Copy {
  offset: number
  failures: number
  failingSince: number
  /** When the attempt was first seen ended with bytes missing. */
  endedAt: number | undefined
}

/** Copies the log of one attempt until it is complete; whether it is says the attempt, never the end of a connection. */
async function copyAttempt(cli: Waits, api: Api, options: AttemptOptions): Promise<void> {
  const copy: Copy = { offset: 0, failures: 0, failingSince: 0, endedAt: undefined }
  for (;;) {
    const before = copy.offset
    const whole = await copyOnce(api, options, copy).catch((error: unknown) => afterCut(cli, api, { ...options, copy, error }))
    if (whole === 'cut') continue
    const attempt = (await readJob(api, options.jobId, options.signal)).attempts.find((one) => one.number === options.attempt)
    if (attempt === undefined || isWhole(attempt, copy.offset)) return
    if (copy.offset > before) continue
    if (attempt.state === 'ended' && lateBytesAreLost(cli, copy)) {
      await options.note(`the log of attempt ${options.attempt} ends early: its host did not deliver the rest`)
      return
    }
    await cli.timers.sleep(200, options.signal)
  }
}

/** Copies what one connection brings, to its orderly end. */
async function copyOnce(api: Api, options: AttemptOptions, copy: Copy): Promise<'ended'> {
  for await (const chunk of logBytes(api, options, copy.offset)) {
    if (copy.failures > 1) await options.note('connected again')
    copy.failures = 0
    copy.offset += chunk.byteLength
    await options.write(chunk)
  }
  copy.failures = 0
  return 'ended'
}

interface Cut extends AttemptOptions {
  readonly copy: Copy
  readonly error: unknown
}

/** Waits after a cut connection, longer each time; throws when trying again cannot help or the outage lasts too long. */
async function afterCut(cli: Waits, api: Api, { copy, error, signal, note }: Cut): Promise<'cut'> {
  if (signal?.aborted === true) throw error
  const known = asCideryError(api.url(), error)
  if (!isTransient(known)) throw known
  if (isSilence(known)) return 'cut'
  copy.failures += 1
  if (copy.failures === 1) copy.failingSince = cli.clock.steady()
  if (copy.failures === 2) await note('the connection to the controller is cut; trying again')
  if (cli.clock.steady() - copy.failingSince > outagePatienceMs) throw known
  await cli.timers.sleep(Math.min(2_000, 50 * 2 ** Math.min(copy.failures, 6)), signal)
  return 'cut'
}

function lateBytesAreLost(cli: Waits, copy: Copy): boolean {
  copy.endedAt ??= cli.clock.steady()
  return cli.clock.steady() - copy.endedAt > lateBytesMs
}

function isWhole(attempt: AttemptView, offset: number): boolean {
  return attempt.logComplete && offset >= attempt.logBytes
}

async function* logBytes(api: Api, options: AttemptOptions, offset: number): AsyncIterable<Uint8Array> {
  const answer = await api.open('GET', `/jobs/${encodeURIComponent(options.jobId)}/log`, {
    query: { offset, follow: 1, attempt: options.attempt },
    signal: options.signal,
    idleMs: silenceMs,
  })
  yield* answer.body
}

function isSilence({ cause }: Error): boolean {
  return cause instanceof Error && 'code' in cause && cause.code === 'ETIMEDOUT'
}
