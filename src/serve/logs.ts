import { Readable } from 'node:stream'
import { z } from 'zod'
import { CideryError } from '../model/errors.ts'
import { JobId } from '../model/id.ts'
import { second, type Instant } from '../model/instant.ts'
import { attemptsOfJobs, findAttemptRow } from '../record/attempts.ts'
import { readJob } from '../record/jobs.ts'
import { attemptOf } from '../record/rows.ts'
import type { LogHub } from './log-hub.ts'
import { route, type Route, type RouteContext } from './route.ts'
import type { Services } from './services.ts'

export interface LogServices extends Services {
  readonly logs: LogHub
}

/** Name of the bytes of an attempt's log. */
export function logName(attemptId: string): string {
  return `logs/${attemptId}`
}

const LogQuery = z.strictObject({
  offset: z.coerce.number().int().min(0).default(0),
  follow: z
    .enum(['0', '1', 'true', 'false'])
    .default('0')
    .transform((text) => text === '1' || text === 'true'),
  attempt: z.coerce.number().int().min(1).optional(),
  /** At most so many bytes; a reader that shows a window of a large log asks for no more than that. */
  bytes: z.coerce.number().int().min(1).optional(),
})
type LogQuery = z.infer<typeof LogQuery>

/** How long a reader of a job without an attempt is kept before it is told to ask again. */
const attemptWait = 25 * second
/** A log is looked at this often even when nobody says that it grew: another controller may have got the bytes. */
const lookAgain = 2 * second
/** How long the end of a log is waited for after its attempt ended without it: its host may be gone, or the log be removed. */
const lateLog = 30 * second
const pieceBytes = 1024 * 1024

/** The bytes of a job's log, from an offset, as they are or followed until the log is complete. */
export function logRoutes(services: LogServices): readonly Route[] {
  return [
    route({
      method: 'GET',
      path: '/jobs/:id/log',
      summary:
        "The raw bytes of the log of a job's last attempt, or of attempt=N, from offset=, at most bytes=; follow=1 stays until it is complete",
      tag: 'jobs',
      access: 'read',
      params: z.strictObject({ id: JobId }),
      query: LogQuery,
      response: 'raw',
      handler: async (context, { params, query }) => sendLog(services, context, { id: params.id, query }),
    }),
  ]
}

async function sendLog(
  services: LogServices,
  context: RouteContext,
  wanted: { readonly id: string; readonly query: LogQuery },
): Promise<void> {
  const found = await findAttempt(services, context.signal, wanted)
  const { reply } = context
  reply.header('content-type', 'text/plain; charset=utf-8').header('cache-control', 'no-store').header('x-accel-buffering', 'no')
  reply.header('x-cidery-attempt', String(found?.number ?? 0))
  if (found === null) return void (await reply.send(''))
  reply.header('x-cidery-log-length', String(await services.blobs.length(logName(found.id))))
  const { offset, follow, bytes = Number.POSITIVE_INFINITY } = wanted.query
  const pieces = readLog(services, { attemptId: found.id, offset, end: offset + bytes, follow, signal: context.signal })
  await reply.send(Readable.from(pieces, { objectMode: false, highWaterMark: 64 * 1024 }))
}

interface FoundAttempt {
  readonly id: string
  readonly number: number
}

/** The attempt to be read; while a followed job has none it is waited for, so long that a client need not ask in a loop. */
async function findAttempt(
  services: LogServices,
  signal: AbortSignal,
  wanted: { readonly id: string; readonly query: LogQuery },
): Promise<FoundAttempt | null> {
  const { query } = wanted
  const until = services.clock.steady() + attemptWait
  for (;;) {
    const { job, attempts } = await services.recorder.read(async (db) => ({
      job: await readJob(db, wanted.id),
      attempts: (await attemptsOfJobs(db, [wanted.id])).get(wanted.id) ?? [],
    }))
    const attempt = query.attempt === undefined ? attempts.at(-1) : attempts.find(({ number }) => number === query.attempt)
    if (attempt !== undefined) return attempt
    const hopeless = job.state === 'ended' || !query.follow
    if (hopeless && query.attempt !== undefined) throw noAttempt(wanted.id, query.attempt, attempts.length)
    if (hopeless || signal.aborted || services.clock.steady() >= until) return null
    await untilTouched(services, { signal, ms: lookAgain })
  }
}

/** What is said of an attempt that a job does not have, of so many that it has. */
export function noAttempt(jobId: string, number: number, attempts: number): CideryError {
  return new CideryError('NOT_FOUND', `the job ${jobId} has no attempt ${number}`, {
    hint: `cidery job show ${jobId}`,
    details: { attempts },
  })
}

/** Resolves with the next commit that touches an attempt. */
async function untilTouched(services: Services, wait: { readonly signal: AbortSignal; readonly ms: number }): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = services.timers.after(wait.ms, leave)
    const stop = services.recorder.onTouched(({ rows, everything }) => {
      if (everything || rows.has('attempt') || rows.has('job')) leave()
    })
    function leave(): void {
      timer.cancel()
      stop()
      wait.signal.removeEventListener('abort', leave)
      resolve()
    }
    wait.signal.addEventListener('abort', leave, { once: true })
  })
}

export interface LogReading {
  readonly attemptId: string
  readonly offset: number
  /** Nothing is read from here on. */
  readonly end: number
  readonly follow: boolean
  readonly signal: AbortSignal
}

/** Bytes of a log piece by piece; holds one piece at a time, however far behind the reader is. */
export async function* readLog(services: LogServices, reading: LogReading): AsyncGenerator<Uint8Array> {
  const { attemptId, signal } = reading
  const name = logName(attemptId)
  let position = reading.offset
  while (!signal.aborted && position < reading.end) {
    const ticket = services.logs.ticket(attemptId)
    const length = await services.blobs.length(name)
    if (position < length) {
      const end = Math.min(length, position + pieceBytes, reading.end)
      for await (const piece of services.blobs.read(name, position, end) as AsyncIterable<Uint8Array>) {
        position += piece.length
        yield piece
        if (signal.aborted) return
      }
      continue
    }
    if (!reading.follow || (await isOver(services, attemptId, position))) return
    await services.logs.wait(attemptId, { ticket, ms: lookAgain, signal })
  }
}

/** Whether nothing comes after a position that is the end of the bytes that are there. */
async function isOver(services: Services, attemptId: string, position: number): Promise<boolean> {
  const row = await services.recorder.read((db) => findAttemptRow(db, attemptId))
  if (row === undefined) return true
  const attempt = attemptOf(row)
  if (attempt.logComplete && position >= attempt.logBytes) return true
  // A complete log that is shorter than it was is not kept any more.
  return row.ended_at !== null && isLate(row.ended_at, services.clock.now())
}

function isLate(endedAt: Instant, now: Instant): boolean {
  return now - endedAt > lateLog
}
