import { hangUp, refusal, type DoubleAnswer, type Visit } from './answer.ts'
import type { Storage, StoredUpload } from './storage.ts'

export interface UploadRules {
  /** Whether an upload that was cut can be gone on with. Distribution 2.8.2 cannot: its `_state` does not fit what it has, and it drops the upload. */
  readonly resumable: boolean
}

const digestPattern = /^sha256:[0-9a-f]{64}$/

export async function startUpload(storage: Storage, visit: Visit, repository: string): Promise<DoubleAnswer> {
  const digest = visit.url.searchParams.get('mount')
  const from = visit.url.searchParams.get('from')
  if (digest !== null && from !== null && storage.has(from, digest)) {
    storage.share(repository, digest)
    return { status: 201, headers: { location: `/v2/${repository}/blobs/${digest}`, 'docker-content-digest': digest } }
  }
  return { status: 202, headers: placeOf(await storage.begin(repository)) }
}

/** `Range` says `0-0` for one byte and for none, as the distribution project does. */
function placeOf(upload: StoredUpload): Record<string, string> {
  return {
    location: `/v2/${upload.repository}/blobs/uploads/${upload.id}?_state=${stateOf(upload)}`,
    range: `0-${Math.max(0, upload.told - 1)}`,
    'docker-upload-uuid': upload.id,
  }
}

/** Opaque to clients, and not to be written anew: it holds what a URL must not be told twice. */
function stateOf(upload: StoredUpload): string {
  return Buffer.from(JSON.stringify({ id: upload.id, at: upload.told }))
    .toString('base64')
    .replaceAll('=', '%3D')
}

function isStale(upload: StoredUpload, visit: Visit): boolean {
  return visit.url.searchParams.get('_state') !== decodeURIComponent(stateOf(upload))
}

/** GET, PATCH, PUT and DELETE of an upload. Null when the connection was ended. */
export async function onUpload(
  storage: Storage,
  visit: Visit,
  { upload, rules }: { readonly upload: StoredUpload | undefined; readonly rules: UploadRules },
): Promise<DoubleAnswer | null> {
  const method = visit.request.method ?? ''
  if (upload === undefined) return refusal(404, 'BLOB_UPLOAD_UNKNOWN')
  if (isStale(upload, visit) && !(method === 'GET' && rules.resumable)) {
    await storage.cancel(upload)
    return refusal(404, 'BLOB_UPLOAD_INVALID')
  }
  if (method === 'GET') return { status: 204, headers: placeOf(upload) }
  if (method === 'DELETE') {
    await storage.cancel(upload)
    return { status: 204 }
  }
  if (method === 'PATCH') return patch(storage, visit, upload)
  return method === 'PUT' ? finish(storage, visit, upload) : refusal(405, 'UNSUPPORTED')
}

async function patch(storage: Storage, visit: Visit, upload: StoredUpload): Promise<DoubleAnswer | null> {
  if (visit.request.headers['content-type'] !== 'application/octet-stream') return refusal(415, 'BLOB_UPLOAD_INVALID', 'bad Content-Type')
  const range = visit.request.headers['content-range']
  if (range !== undefined && !fits(range, upload, Number(visit.request.headers['content-length']))) {
    return { ...refusal(416, 'BLOB_UPLOAD_INVALID', `Content-Range ${range}`), headers: placeOf(upload) }
  }
  if (!(await receive(storage, visit, upload))) return null
  return { status: 202, headers: placeOf(upload) }
}

function fits(range: string, upload: StoredUpload, length: number): boolean {
  const [, from, to] = /^(\d+)-(\d+)$/.exec(range) ?? []
  return Number(from) === upload.told && Number(to) - Number(from) + 1 === length
}

async function finish(storage: Storage, visit: Visit, upload: StoredUpload): Promise<DoubleAnswer | null> {
  const digest = visit.url.searchParams.get('digest') ?? ''
  if (!digestPattern.test(digest)) return refusal(400, 'DIGEST_INVALID', 'no digest')
  if (!(await receive(storage, visit, upload))) return null
  if (!(await storage.seal(upload, digest))) return refusal(400, 'DIGEST_INVALID', { Digest: digest })
  return { status: 201, headers: { location: `/v2/${upload.repository}/blobs/${digest}`, 'docker-content-digest': digest } }
}

/** Keeps what comes; false when the connection broke or was ended. */
async function receive(storage: Storage, visit: Visit, upload: StoredUpload): Promise<boolean> {
  const { request, fault } = visit
  let got = 0
  try {
    for await (const piece of request as AsyncIterable<Buffer>) {
      const most = fault?.kind === 'cut-upload' ? fault.after - got : piece.length
      const part = piece.subarray(0, most)
      await storage.append(upload, part)
      got += part.length
      if (part.length < piece.length) break
    }
  } catch {
    // The client is gone; what came is kept.
    return false
  }
  if (fault?.kind === 'cut-upload') {
    hangUp(visit)
    return false
  }
  if (fault?.kind === 'forget') await storage.lose(upload, fault.bytes, fault.told)
  return true
}
