import { createHash } from 'node:crypto'
import { refusal, type DoubleAnswer, type Visit } from './answer.ts'
import type { Storage } from './storage.ts'
import { onUpload, startUpload, type UploadRules } from './uploads.ts'

export interface RouteRules extends UploadRules {
  /** Where blobs are really; undefined: here. */
  readonly blobsAt?: (digest: string) => string
}

export interface Route {
  readonly repository: string
  readonly kind: 'blob' | 'manifest' | 'tags' | 'uploads' | 'upload'
  /** Digest, tag or id. */
  readonly name: string
}

const repositoryPattern = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*'
const patterns = [
  ['uploads', new RegExp(`^/v2/(${repositoryPattern})/blobs/uploads/()$`)],
  ['upload', new RegExp(`^/v2/(${repositoryPattern})/blobs/uploads/([0-9a-f-]{36})$`)],
  ['blob', new RegExp(`^/v2/(${repositoryPattern})/blobs/(sha256:[0-9a-f]{64})$`)],
  ['manifest', new RegExp(`^/v2/(${repositoryPattern})/manifests/(\\w[\\w.-]{0,127}|sha256:[0-9a-f]{64})$`)],
  ['tags', new RegExp(`^/v2/(${repositoryPattern})/tags/list()$`)],
] as const

export function routeOf(path: string): Route | null {
  for (const [kind, pattern] of patterns) {
    const [, repository, name] = pattern.exec(path) ?? []
    if (repository !== undefined) return { kind, repository, name: name ?? '' }
  }
  return null
}

/** What a request must be allowed to do. */
export function needsOf({ kind, repository }: Route, visit: Visit): readonly (readonly [string, string])[] {
  const method = visit.request.method ?? ''
  const from = visit.url.searchParams.get('from')
  if (method === 'DELETE' && kind !== 'upload') return [[repository, 'delete']]
  if (kind !== 'uploads' && kind !== 'upload' && (method === 'GET' || method === 'HEAD')) return [[repository, 'pull']]
  return [[repository, 'pull'], [repository, 'push'], ...(from === null ? [] : [[from, 'pull'] as const])]
}

/** Null when the connection was ended. */
export async function carryOut(
  storage: Storage,
  visit: Visit,
  { route, rules }: { route: Route; rules: RouteRules },
): Promise<DoubleAnswer | null> {
  const { repository, name } = route
  switch (route.kind) {
    case 'uploads':
      return visit.request.method === 'POST' ? startUpload(storage, visit, repository) : refusal(405, 'UNSUPPORTED')
    case 'upload':
      return onUpload(storage, visit, { upload: storage.upload(repository, name), rules })
    case 'blob':
      return onBlob(storage, visit, { route, rules })
    case 'manifest':
      return onManifest(storage, visit, route)
    case 'tags':
      return listTags(storage, visit, repository)
  }
}

function onBlob(storage: Storage, visit: Visit, { route, rules }: { route: Route; rules: RouteRules }): DoubleAnswer {
  const { repository, name: digest } = route
  if (!storage.has(repository, digest)) return refusal(404, 'BLOB_UNKNOWN', { digest })
  if (visit.request.method === 'DELETE') {
    storage.forget(repository, digest)
    return { status: 202 }
  }
  if (rules.blobsAt !== undefined && visit.request.method === 'GET') return { status: 307, headers: { location: rules.blobsAt(digest) } }
  return bytesOf(storage, visit, digest)
}

/** A blob or the part of it that was asked for. */
export function bytesOf(storage: Storage, visit: Visit, digest: string): DoubleAnswer {
  const size = storage.sizeOf(digest)
  const headers = { 'content-type': 'application/octet-stream', 'accept-ranges': 'bytes', 'docker-content-digest': digest }
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(visit.request.headers.range ?? '') ?? []
  if (first === undefined || visit.fault?.kind === 'whole') {
    return { status: 200, headers, body: { size, pieces: storage.read(digest, 0, size) } }
  }
  const from = Number(first) + (visit.fault?.kind === 'other-part' ? 1 : 0)
  if (from >= size) return { status: 416, headers: { 'content-range': `bytes */${size}` } }
  const to = Math.min(size, last === '' ? size : Number(last) + 1)
  const range = { 'content-range': `bytes ${from}-${to - 1}/${size}` }
  return { status: 206, headers: { ...headers, ...range }, body: { size: to - from, pieces: storage.read(digest, from, to) } }
}

const longestManifest = 4 * 1024 ** 2

async function onManifest(storage: Storage, visit: Visit, route: Route): Promise<DoubleAnswer> {
  const { repository, name } = route
  if (visit.request.method === 'PUT') return putManifest(storage, visit, route)
  if (visit.request.method === 'DELETE') {
    if (!name.startsWith('sha256:')) return refusal(400, 'DIGEST_INVALID')
    return storage.remove(repository, name) ? { status: 202 } : refusal(404, 'MANIFEST_UNKNOWN')
  }
  const manifest = storage.manifest(repository, name)
  if (manifest === undefined) return refusal(404, 'MANIFEST_UNKNOWN', { Tag: name })
  const accepted = new Set((visit.request.headers.accept ?? '').split(',').map((type) => type.trim()))
  if (!accepted.has(manifest.mediaType) && !accepted.has('*/*')) return refusal(404, 'MANIFEST_UNKNOWN', 'not accepted')
  return { status: 200, headers: { 'content-type': manifest.mediaType, 'docker-content-digest': manifest.digest }, body: manifest.bytes }
}

async function putManifest(storage: Storage, visit: Visit, { repository, name }: Route): Promise<DoubleAnswer> {
  const bytes = await bodyOf(visit)
  if (bytes.length > longestManifest) return refusal(413, 'MANIFEST_INVALID')
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
  if (name.startsWith('sha256:') && name !== digest) return refusal(400, 'DIGEST_INVALID')
  const mediaType = visit.request.headers['content-type'] ?? ''
  const missing = missingOf(storage, repository, { bytes, mediaType })
  if (missing === null) return refusal(400, 'MANIFEST_INVALID')
  if (missing.length > 0) return refusal(400, 'MANIFEST_BLOB_UNKNOWN', missing[0])
  storage.put(repository, { digest, mediaType, bytes }, name.startsWith('sha256:') ? null : name)
  return { status: 201, headers: { location: `/v2/${repository}/manifests/${digest}`, 'docker-content-digest': digest } }
}

async function bodyOf({ request }: Visit): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of request as AsyncIterable<Buffer>) pieces.push(piece)
  return Buffer.concat(pieces)
}

interface Document {
  readonly schemaVersion?: unknown
  readonly mediaType?: unknown
  readonly config?: { readonly digest: string }
  readonly layers?: readonly { readonly digest: string }[]
  readonly manifests?: readonly { readonly digest: string }[]
}

/** What a manifest names and the repository does not have; null for what is no manifest. */
function missingOf(
  storage: Storage,
  repository: string,
  { bytes, mediaType }: { bytes: Buffer; mediaType: string },
): readonly string[] | null {
  let document: Document
  try {
    document = JSON.parse(bytes.toString('utf8')) as Document
  } catch {
    // No JSON: no manifest.
    return null
  }
  if (document.schemaVersion !== 2 || (document.mediaType !== undefined && document.mediaType !== mediaType)) return null
  const blobs = [...(document.config === undefined ? [] : [document.config]), ...(document.layers ?? [])].map(({ digest }) => digest)
  const manifests = (document.manifests ?? []).map(({ digest }) => digest)
  return [
    ...blobs.filter((digest) => !storage.has(repository, digest)),
    ...manifests.filter((digest) => storage.manifest(repository, digest) === undefined),
  ]
}

/** At most ten at once, whatever was asked for, and the way to the next as a path. */
function listTags(storage: Storage, visit: Visit, repository: string): DoubleAnswer {
  const tags = storage.tags(repository)
  if (tags === undefined) return refusal(404, 'NAME_UNKNOWN', { name: repository })
  const last = visit.url.searchParams.get('last')
  const rest = last === null ? tags : tags.filter((tag) => tag > last)
  const page = rest.slice(0, Math.min(10, Number(visit.url.searchParams.get('n') ?? 10)))
  const next = `</v2/${repository}/tags/list?n=10&last=${encodeURIComponent(page.at(-1) ?? '')}>; rel="next"`
  return {
    status: 200,
    headers: { 'content-type': 'application/json', ...(page.length < rest.length ? { link: next } : {}) },
    body: Buffer.from(JSON.stringify({ name: repository, tags: page.length === 0 ? null : page })),
  }
}
