import { z } from 'zod'
import { UploadCreate, UploadView } from '../model/api.ts'
import { CideryError } from '../model/errors.ts'
import { addUpload, findUpload, findUploadOf, hasBlob, keepBlob, removeUpload, touchBlobs, type Upload } from '../record/blobs.ts'
import { actorOf } from './actor.ts'
import { route, type Route, type RouteAccess, type RouteContext } from './route.ts'
import type { Services } from './services.ts'

const UploadParams = z.strictObject({ id: z.string().regex(/^upl_[0-9a-hjkmnp-tv-z]{26}$/) })
const OffsetQuery = z.strictObject({ offset: z.coerce.number().int().min(0) })
const Finished = z.strictObject({ digest: z.string() })
const requestBytes = 64 * 1024 * 1024
/** Bytes gathered before they are written: each write waits for the disk. */
export const writeBytes = 1024 * 1024

export interface UploadRoutesOptions {
  /** `/uploads` for people, `/agent/uploads` for hosts. */
  readonly path: string
  readonly access: RouteAccess
  readonly tag: string
  /** Bytes that one upload may have. */
  readonly limit: () => number
  /** People's uploads wait while the disk is nearly full; those of running jobs go on. */
  readonly underFloor: 'refused' | 'accepted'
}

/** Resumable uploads of bytes that are named by their SHA-256: begin, append at an offset, finish. */
export function uploadRoutes(services: Services, options: UploadRoutesOptions): readonly Route[] {
  const { path, access, tag } = options
  return [
    route({
      method: 'POST',
      path,
      summary: 'Begin or resume an upload of bytes by their SHA-256',
      tag,
      access,
      body: UploadCreate,
      response: UploadView,
      status: 201,
      handler: async (context, { body }) => begin(services, options, { context, wanted: body }),
    }),
    route({
      method: 'PATCH',
      path: `${path}/:id`,
      summary: 'Append bytes at an offset',
      tag,
      access,
      params: UploadParams,
      query: OffsetQuery,
      body: 'bytes',
      bodyLimit: requestBytes,
      response: UploadView,
      handler: async (context, { params, query }) => append(services, context, { id: params.id, offset: query.offset }),
    }),
    route({
      method: 'POST',
      path: `${path}/:id/finish`,
      summary: 'Check size and digest, and keep the bytes',
      tag,
      access,
      params: UploadParams,
      response: Finished,
      handler: async (context, { params }) => finish(services, context, params.id),
    }),
  ]
}

interface Beginning {
  readonly context: RouteContext
  readonly wanted: z.infer<typeof UploadCreate>
}

async function begin(services: Services, options: UploadRoutesOptions, beginning: Beginning): Promise<z.infer<typeof UploadView>> {
  const { context, wanted } = beginning
  const principal = actorOf(context.principal)
  if (wanted.sizeBytes > options.limit()) {
    throw new CideryError('PAYLOAD_TOO_LARGE', `${wanted.sizeBytes} bytes are above the limit of ${options.limit()}`, {
      hint: 'raise the limit in cidery.yaml (limits.uploadBytes, limits.artifactBytes), or send less',
      details: { limitBytes: options.limit() },
    })
  }
  if (options.underFloor === 'refused') await requireRoomFor(services, wanted.sizeBytes)
  const known = await services.recorder.read(async (db) => ({
    has: await hasBlob(db, wanted.digest),
    upload: await findUploadOf(db, principal, wanted.digest),
  }))
  const upload: Upload = known.upload ?? { id: services.ids.next('upl'), principal, sizeBytes: wanted.sizeBytes, digest: wanted.digest }
  if (known.has) {
    await context.write((tx) => touchBlobs(tx, [wanted.digest], services.clock.now()))
    return { id: upload.id, offset: wanted.sizeBytes, complete: true }
  }
  if (known.upload === null) await context.write((tx) => addUpload(tx, upload, services.clock.now()))
  return { id: upload.id, offset: await services.blobs.length(uploadName(upload.id)), complete: false }
}

async function requireRoomFor(services: Services, sizeBytes: number): Promise<void> {
  const floor = services.spec().limits.controllerDiskFloor
  const free = await services.blobs.freeBytes()
  if (free - sizeBytes >= floor) return
  throw new CideryError(
    'STORAGE_FULL',
    `the controller's disk has ${free} bytes left: ${sizeBytes} more would bring it below its floor of ${floor}`,
    {
      hint: 'free some space there, or lower controllerDiskFloor in cidery.yaml',
      details: { freeBytes: free, floorBytes: floor },
    },
  )
}

export function uploadName(id: string): string {
  return `uploads/${id}`
}

async function ownUpload(services: Services, context: RouteContext, id: string): Promise<Upload> {
  const upload = await services.recorder.read((db) => findUpload(db, id))
  // Another's upload looks like none, so that ids cannot be tried out.
  if (upload !== null && upload.principal === actorOf(context.principal)) return upload
  throw new CideryError('NOT_FOUND', `there is no upload ${id} of this caller`, { hint: 'begin it again with POST' })
}

async function append(
  services: Services,
  context: RouteContext,
  at: { readonly id: string; readonly offset: number },
): Promise<z.infer<typeof UploadView>> {
  const upload = await ownUpload(services, context, at.id)
  const name = uploadName(upload.id)
  const offset = await appendBytes(services, { name, offset: at.offset, limit: upload.sizeBytes }, context.bytes())
  return { id: upload.id, offset, complete: offset === upload.sizeBytes }
}

export interface AppendTarget {
  readonly name: string
  readonly offset: number
  /** Length that it may reach. */
  readonly limit: number
}

/** Appends a stream piece by piece; what was written stays when the stream breaks. OFFSET_MISMATCH names the offset to go on from. Returns the length. */
export async function appendBytes(services: Services, target: AppendTarget, bytes: AsyncIterable<Uint8Array>): Promise<number> {
  const present = await services.blobs.length(target.name)
  if (target.offset > present) {
    throw new CideryError('OFFSET_MISMATCH', `the bytes up to ${present} are here, and not those up to ${target.offset}`, {
      details: { offset: present },
    })
  }
  let length = present
  let offset = target.offset
  for await (const piece of gathered(bytes)) {
    if (offset + piece.length > target.limit) {
      throw new CideryError('PAYLOAD_TOO_LARGE', `the bytes go beyond the ${target.limit} that were announced or are allowed`, {
        details: { limitBytes: target.limit },
      })
    }
    length = await services.blobs.append(target.name, offset, piece)
    offset += piece.length
  }
  return length
}

async function* gathered(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let parts: Uint8Array[] = []
  let size = 0
  for await (const part of bytes) {
    parts.push(part)
    size += part.length
    if (size < writeBytes) continue
    yield parts.length === 1 ? part : Buffer.concat(parts)
    parts = []
    size = 0
  }
  if (size > 0) yield Buffer.concat(parts)
}

async function finish(services: Services, context: RouteContext, id: string): Promise<z.infer<typeof Finished>> {
  const upload = await ownUpload(services, context, id)
  const name = uploadName(upload.id)
  const length = await services.blobs.length(name)
  const has = await services.recorder.read((db) => hasBlob(db, upload.digest))
  if (length < upload.sizeBytes && !has) {
    throw new CideryError('OFFSET_MISMATCH', `${length} of ${upload.sizeBytes} bytes are here`, { details: { offset: length } })
  }
  // A crash between the two leaves whole bytes without a row: the upload is begun again and ends at once.
  if (!has) await services.blobs.seal(name, upload.digest)
  await context.write(async (tx) => {
    await keepBlob(tx, { digest: upload.digest, sizeBytes: upload.sizeBytes, at: services.clock.now() })
    await removeUpload(tx, upload.id)
  })
  return { digest: upload.digest }
}
