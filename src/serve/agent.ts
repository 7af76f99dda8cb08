import { z } from 'zod'
import { CideryError } from '../model/errors.ts'
import { AttemptId } from '../model/id.ts'
import { BlobDigest } from '../model/job.ts'
import { SyncRequest, type SyncResponse } from '../model/sync.ts'
import type { SecretBox } from '../ports/secrets.ts'
import type { Reader } from '../ports/store.ts'
import { liveAttemptsOfHosts } from '../record/attempts.ts'
import { digestsOfJob } from '../record/blobs.ts'
import { buildsUnderWayOn } from '../record/build-list.ts'
import { announceKey } from '../record/host-keys.ts'
import { findRecipe } from '../record/image-recipes.ts'
import { findJob } from '../record/jobs.ts'
import { digestsOfOperation, liveOperationsOfHosts } from '../record/operations.ts'
import { appendAttemptLog, finishAttemptLog, secretsOfAttempt } from './attempt-bytes.ts'
import type { LogServices } from './logs.ts'
import { route, type Route, type RouteContext } from './route.ts'
import { authorOf } from './services.ts'
import { uploadRoutes } from './uploads.ts'

export interface SyncCaller {
  readonly hostId: string
  readonly hostName: string
  readonly origin: string
  /** Aborted when the agent went away. */
  readonly signal: AbortSignal
}

/** Answers `sync`; the loop brings it. */
export interface SyncHandler {
  handle(caller: SyncCaller, request: SyncRequest): Promise<SyncResponse>
  /** Every host should look again (another lead, another spec). */
  wakeAll(): void
  parkedHosts(): readonly string[]
  close(): void
}

export interface AgentServices extends LogServices {
  readonly sync: SyncHandler
  readonly box: SecretBox
}

const AttemptParams = z.strictObject({ id: AttemptId })
const LogLength = z.strictObject({ length: z.int().nonnegative() })
const logRequestBytes = 16 * 1024 * 1024
const syncBytes = 8 * 1024 * 1024

/** What a host may call with its own key. It sees and changes only what is its own. */
export function agentRoutes(services: AgentServices): readonly Route[] {
  const { recorder } = services
  return [
    route({
      method: 'POST',
      path: '/agent/sync',
      summary: 'Report what the host sees; answers what it should look like',
      tag: 'agent',
      access: 'host',
      body: SyncRequest,
      bodyLimit: syncBytes,
      response: 'raw',
      handler: async (context, { body }) => {
        const { principal, origin } = context
        const caller: SyncCaller = {
          hostId: principal.id,
          hostName: principal.name,
          origin,
          // Made only for a poll that is parked.
          get signal() {
            return context.signal
          },
        }
        const answer = await services.sync.handle(caller, body)
        await context.reply.type('application/json; charset=utf-8').send(JSON.stringify(answer))
      },
    }),
    route({
      method: 'PUT',
      path: '/agent/attempts/:id/log',
      summary: 'Append to the log of an attempt at an offset',
      tag: 'agent',
      access: 'host',
      params: AttemptParams,
      query: z.strictObject({ offset: z.coerce.number().int().min(0) }),
      body: 'bytes',
      bodyLimit: logRequestBytes,
      response: LogLength,
      handler: async (context, { params, query }) => ({
        length: await appendAttemptLog(services, { hostId: context.principal.id, id: params.id, offset: query.offset }, context.bytes()),
      }),
    }),
    route({
      method: 'POST',
      path: '/agent/attempts/:id/log/finish',
      summary: 'Say how long the whole log is',
      tag: 'agent',
      access: 'host',
      params: AttemptParams,
      body: LogLength,
      response: 'empty',
      handler: async (context, { params, body }) =>
        finishAttemptLog(services, authorOf(context), { hostId: context.principal.id, id: params.id, length: body.length }),
    }),
    route({
      method: 'GET',
      path: '/agent/attempts/:id/secrets',
      summary: 'The secrets of a job that this host runs now',
      tag: 'agent',
      access: 'host',
      params: AttemptParams,
      response: z.record(z.string(), z.string()),
      handler: async (context, { params }) => {
        context.reply.header('cache-control', 'no-store')
        return secretsOfAttempt(services, { hostId: context.principal.id, id: params.id })
      },
    }),
    route({
      method: 'GET',
      path: '/agent/blobs/:digest',
      summary: 'Bytes that a job or an upgrade of this host starts from; takes Range: bytes=N-',
      tag: 'agent',
      access: 'host',
      params: z.strictObject({ digest: BlobDigest }),
      response: 'raw',
      handler: async (context, { params }) => sendBlob(services, context, params.digest),
    }),
    ...uploadRoutes(services, {
      path: '/agent/uploads',
      access: 'host',
      tag: 'agent',
      limit: () => services.spec().limits.artifactBytes,
      underFloor: 'accepted',
    }),
    route({
      method: 'POST',
      path: '/agent/key',
      summary: 'Announce the next key of this host by its SHA-256',
      tag: 'agent',
      access: 'host',
      body: z.strictObject({ keyHash: z.string().regex(/^[0-9a-f]{64}$/) }),
      response: 'empty',
      handler: async (context, { body }) => {
        await recorder.write(authorOf(context), async (tx) => {
          await announceKey(tx.db, context.principal.id, body.keyHash)
          tx.note('host.keyRotated', `host/${context.principal.name}`, { data: { announced: true } })
        })
      },
    }),
  ]
}

async function sendBlob(services: AgentServices, context: RouteContext, digest: string): Promise<void> {
  await services.recorder.read((db) => requireNeeded(db, context.principal.id, digest))
  const start = rangeStart(context.request.headers.range)
  const { sizeBytes, stream } = await services.blobs.open(digest, start)
  const { reply } = context
  reply
    .header('content-type', 'application/octet-stream')
    .header('accept-ranges', 'bytes')
    .header('content-length', Math.max(0, sizeBytes - start))
  if (start > 0) reply.code(206).header('content-range', `bytes ${start}-${sizeBytes - 1}/${sizeBytes}`)
  await reply.send(stream)
}

/** A host gets only the bytes that a job or build which it runs now starts from, or the release that it is to run. */
async function requireNeeded(db: Reader, hostId: string, digest: string): Promise<void> {
  for (const attempt of await liveAttemptsOfHosts(db, [hostId])) {
    const job = await findJob(db, attempt.jobId)
    if (job !== null && digestsOfJob(job.resolved.spec).includes(digest)) return
  }
  for (const { state, request } of await liveOperationsOfHosts(db, [hostId])) {
    if (state !== 'PENDING' && digestsOfOperation(request).includes(digest)) return
  }
  for (const { image, recipeGeneration } of await buildsUnderWayOn(db, hostId)) {
    if ((await findRecipe(db, image, recipeGeneration ?? 0))?.files === digest) return
  }
  throw new CideryError('NOT_FOUND', `no job, build or upgrade of this host starts from ${digest}`)
}

/** Start of an open range (`bytes=5-`); 0 without one. INVALID_INPUT for other forms. */
export function rangeStart(header: string | undefined): number {
  if (header === undefined) return 0
  const start = /^bytes=(\d{1,15})-$/.exec(header.trim())?.[1]
  if (start === undefined) throw new CideryError('INVALID_INPUT', 'only ranges of the form bytes=N- are answered')
  return Number(start)
}
