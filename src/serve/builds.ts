import { Readable } from 'node:stream'
import { z } from 'zod'
import { CideryError } from '../model/errors.ts'
import { BuildId } from '../model/id.ts'
import { BuildParams, BuildView, PinRequest } from '../model/image-api.ts'
import type { ImageBuild } from '../model/image/build.ts'
import { readBuild } from '../record/build-list.ts'
import { cancelBuild, pinBuild } from '../record/builds.ts'
import type { RecordTx } from '../record/commit.ts'
import { removeBuild } from '../record/image-states.ts'
import { buildView } from './image-views.ts'
import { logName, type LogServices } from './logs.ts'
import { route, type Route, type RouteContext } from './route.ts'
import { authorOf } from './services.ts'
import { appendBytes } from './uploads.ts'

/** A log that nobody said the end of ends with its build, after so long without a byte. */
const lookAgain = 2000
const pieceBytes = 1024 * 1024
const logRequestBytes = 16 * 1024 * 1024

/** Builds of images: look at them, read their logs, end, pin and remove them. */
export function buildRoutes(services: LogServices): readonly Route[] {
  const { recorder } = services
  const change = async (context: RouteContext, work: (tx: RecordTx) => Promise<ImageBuild>) =>
    buildView(await recorder.write(authorOf(context), work))

  return [
    route({
      method: 'GET',
      path: '/builds/:id',
      summary: 'A build of an image by id or name',
      tag: 'images',
      access: 'read',
      params: BuildParams,
      response: BuildView,
      handler: async (_context, { params }) => buildView(await recorder.read((db) => readBuild(db, params.id))),
    }),
    route({
      method: 'GET',
      path: '/builds/:id/log',
      summary: 'The raw bytes of the log of a build, from offset=; follow=1 stays until the build has ended',
      tag: 'images',
      access: 'read',
      params: BuildParams,
      query: z.strictObject({
        offset: z.coerce.number().int().min(0).default(0),
        follow: z.enum(['0', '1', 'true', 'false']).default('0'),
      }),
      response: 'raw',
      handler: async ({ reply, signal }, { params, query }) => {
        const build = await recorder.read((db) => readBuild(db, params.id))
        reply.header('content-type', 'text/plain; charset=utf-8').header('cache-control', 'no-store').header('x-accel-buffering', 'no')
        const follow = query.follow === '1' || query.follow === 'true'
        await reply.send(
          Readable.from(readBuildLog(services, { id: build.id, offset: query.offset, follow, signal }), { objectMode: false }),
        )
      },
    }),
    route({
      method: 'POST',
      path: '/builds/:id/cancel',
      summary: 'End a build; asking again changes nothing',
      tag: 'images',
      access: 'hosts',
      params: BuildParams,
      response: BuildView,
      handler: async (context, { params }) => change(context, (tx) => cancelBuild(tx, params.id)),
    }),
    route({
      method: 'PUT',
      path: '/builds/:id/pinned',
      summary: 'Keep a build whatever its age, or no longer',
      tag: 'images',
      access: 'hosts',
      params: BuildParams,
      body: PinRequest,
      response: BuildView,
      handler: async (context, { params, body }) => change(context, (tx) => pinBuild(tx, params.id, body.pinned)),
    }),
    route({
      method: 'DELETE',
      path: '/builds/:id',
      summary: 'Remove a build that jobs neither get nor could go back to; hosts give up its bytes when nothing runs on them',
      tag: 'images',
      access: 'hosts',
      params: BuildParams,
      response: BuildView,
      handler: async (context, { params }) => change(context, (tx) => removeBuild(tx, params.id)),
    }),
    route({
      method: 'PUT',
      path: '/agent/builds/:id/log',
      summary: 'Append to the log of a build at an offset',
      tag: 'agent',
      access: 'host',
      params: z.strictObject({ id: BuildId }),
      query: z.strictObject({ offset: z.coerce.number().int().min(0) }),
      body: 'bytes',
      bodyLimit: logRequestBytes,
      response: z.strictObject({ length: z.int().nonnegative() }),
      handler: async (context, { params, query }) => ({
        length: await appendBuildLog(services, { hostId: context.principal.id, id: params.id, offset: query.offset }, context.bytes()),
      }),
    }),
  ]
}

/** Appends to the log of a build of the calling host; another's looks like none. OFFSET_MISMATCH names where to go on. */
async function appendBuildLog(
  services: LogServices,
  at: { readonly hostId: string; readonly id: string; readonly offset: number },
  bytes: AsyncIterable<Uint8Array>,
): Promise<number> {
  const { origin } = await services.recorder.read((db) => readBuild(db, at.id))
  if (origin.kind !== 'built' || origin.hostId !== at.hostId) throw new CideryError('NOT_FOUND', `this host has no build ${at.id}`)
  try {
    return await appendBytes(services, { name: logName(at.id), offset: at.offset, limit: services.spec().limits.jobLog }, bytes)
  } finally {
    services.logs.grew(at.id)
  }
}

interface BuildLogReading {
  readonly id: string
  readonly offset: number
  readonly follow: boolean
  readonly signal: AbortSignal
}

/** Bytes of a build's log piece by piece. A build that ended gets one more look, for what its host sent last. */
async function* readBuildLog(services: LogServices, { id, offset, follow, signal }: BuildLogReading): AsyncGenerator<Uint8Array> {
  const name = logName(id)
  let position = offset
  let isLast = !follow
  while (!signal.aborted) {
    const ticket = services.logs.ticket(id)
    const length = await services.blobs.length(name)
    if (position < length) {
      for await (const piece of services.blobs.read(name, position, Math.min(length, position + pieceBytes)) as AsyncIterable<Uint8Array>) {
        position += piece.length
        yield piece
      }
      continue
    }
    if (isLast) return
    const { state, logBytes } = await services.recorder.read((db) => readBuild(db, id))
    isLast = state !== 'building' && position >= logBytes
    if (!isLast) await services.logs.wait(id, { ticket, ms: lookAgain, signal })
    // Its host said more than it ever sent: it may be gone.
    if (state !== 'building' && !isLast && (await services.blobs.length(name)) === position) return
  }
}
