import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type * as api from '../../src/model/api.ts'
import { CideryError } from '../../src/model/errors.ts'
import { exitCodeOf } from '../../src/model/job.ts'
import type { JobSpec } from '../../src/model/job.ts'
import { sha256 } from './api-double-contract.ts'
import type { DoubleState, RouteParts } from './api-double-contract.ts'
import { sampleAttempt, sampleJob } from './api-double-samples.ts'

type Update<T> = (change: Partial<T>) => T

export function missing(what: string): CideryError {
  return new CideryError('NOT_FOUND', `there is no ${what}`)
}

export function findJob({ jobs }: DoubleState, id: string): api.JobView {
  const job = jobs.get(id)
  if (job === undefined) throw missing(`job ${id}`)
  return job
}

/** Submits a job and lets it play; what it does next is seen by whoever looks. */
export function submit(state: DoubleState, spec: JobSpec): api.JobView {
  const job = sampleJob(spec)
  state.jobs.set(job.id, job)
  const update: Update<api.JobView> = (change) => {
    const next = { ...findJob(state, job.id), ...change }
    state.jobs.set(job.id, next)
    return next
  }
  void playJob(state, job.id, update)
  return job
}

async function playJob(state: DoubleState, id: string, update: Update<api.JobView>): Promise<void> {
  const job = findJob(state, id)
  const { attempts, pieceMs = 5 } = state.play(job.spec)
  await sleep(pieceMs)
  for (const [index, play] of attempts.entries()) {
    const number = index + 1
    const attempt = sampleAttempt(number)
    const before = findJob(state, id).attempts
    let log: Uint8Array = new Uint8Array()
    const put = (change: Partial<api.AttemptView>, rest: Partial<api.JobView> = {}) =>
      update({ attempts: [...before, { ...attempt, logBytes: log.byteLength, ...change }], waiting: [], ...rest })
    put({}, { state: 'running' })
    for (const piece of play.pieces) {
      if (findJob(state, id).cancelRequested) break
      log = Buffer.concat([log, Buffer.from(piece)])
      state.logs.set(`${id}/${number}`, log)
      put({})
      await sleep(pieceMs)
    }
    const cancelled = findJob(state, id).cancelRequested
    const outcome: NonNullable<api.JobView['outcome']> = cancelled ? { kind: 'cancelled', by: 'user:admin' } : play.outcome
    const artifacts = (play.artifacts ?? []).map(({ path, content, mode }) => {
      state.blobs.set(sha256(content), Buffer.from(content))
      return { path, sizeBytes: Buffer.byteLength(content), mode: mode ?? 0o644, blob: sha256(content) }
    })
    const again = !cancelled && index < attempts.length - 1
    const end = again
      ? { state: 'queued' as const, infrastructureFailures: number }
      : { state: 'ended' as const, outcome, exitCode: exitCodeOf(outcome), endedAt: Date.now() }
    put({ state: 'ended', outcome, logComplete: true, artifacts }, end)
    if (cancelled) return
  }
}

/** Sends a log as the controller does: what is there, and with `follow=1` what comes, until the attempt's log is complete. */
export async function sendLog({ state, faults, params: [id = ''], request, outgoing }: RouteParts): Promise<void> {
  const number = Number(request.query.get('attempt') ?? findJob(state, id).attempts.length)
  const follow = request.query.get('follow') === '1'
  const start = Number(request.query.get('offset') ?? 0)
  outgoing.writeHead(200, { 'content-type': 'text/plain; charset=utf-8', 'x-cidery-attempt': String(number) })
  outgoing.flushHeaders()
  for (let offset = start; !outgoing.destroyed; await sleep(2)) {
    const log = logOf(state, id, number)
    const piece = log.subarray(offset, Math.min(log.byteLength, start + faults.cutLogAfter))
    if (piece.byteLength > 0 && !outgoing.write(piece)) await once(outgoing, 'drain')
    offset += piece.byteLength
    if (offset < log.byteLength) {
      // Bytes that are on their way arrive before the cut: the client must keep them.
      await sleep(5)
      outgoing.destroy()
    } else if (!follow || isWhole(state, id, number)) {
      outgoing.end()
      return
    }
  }
}

function isWhole(state: DoubleState, id: string, number: number): boolean {
  const attempt = findJob(state, id).attempts.find((one) => one.number === number)
  return attempt?.logComplete === true && attempt.logBytes === logOf(state, id, number).byteLength
}

function logOf(state: DoubleState, id: string, number: number): Uint8Array {
  return state.logs.get(`${id}/${number}`) ?? new Uint8Array()
}
