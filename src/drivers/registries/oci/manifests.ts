import { createHash } from 'node:crypto'
import { z } from 'zod'
import { CideryError } from '../../../model/errors.ts'
import type { Manifest, Repository, ResolvedManifest } from '../../../ports/registry.ts'
import { isDigest } from './addresses.ts'
import type { Answer } from './connections.ts'
import type { Ask, Site } from './site.ts'
import { persist } from './tries.ts'

const accept = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
].join(', ')

/** A manifest of 400 layers has about 250 kB; registries take 4 MiB at least. */
const longestManifest = 8 * 1024 ** 2
const digestPattern = /^sha256:[0-9a-f]{64}$/
const Typed = z.looseObject({ mediaType: z.string().optional() })

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

/** A manifest by its tag or digest. */
export interface Named {
  readonly where: Repository
  readonly name: string
  readonly signal: AbortSignal
}

function asking({ where, name, signal }: Named): Omit<Ask, 'method' | 'what'> {
  return {
    path: `${where.repository}/manifests/${name}`,
    scopes: [`repository:${where.repository}:pull`],
    headers: { accept },
    signal,
  }
}

/** HEAD where the registry answers it with all that is needed, else the manifest itself. */
export async function resolve(site: Site, named: Named): Promise<ResolvedManifest | null> {
  const { where, name, signal } = named
  const what = `resolve ${name} of ${where.repository}`
  const tries = site.tries(what, signal)
  return persist(tries, async () => {
    const answer = await site.send({ ...asking(named), method: 'HEAD', what, takes: [400, 404, 405, 501] })
    answer.drop()
    if (answer.status === 404) return null
    const head = answer.status < 300 ? headOf(answer) : null
    if (head === null) return found(await readOnce(site, named))
    checkAsked(head.digest, name, `${site.name}/${where.repository}`)
    return head
  })
}

function found(manifest: Manifest | null): ResolvedManifest | null {
  if (manifest === null) return null
  const { digest, mediaType, sizeBytes } = manifest
  return { digest, mediaType, sizeBytes }
}

function headOf(answer: Answer): ResolvedManifest | null {
  const digest = answer.header('docker-content-digest')
  const mediaType = mediaTypeOf(answer)
  const length = answer.header('content-length')
  if (digest === undefined || !digestPattern.test(digest) || mediaType === null || length === undefined) return null
  return { digest, mediaType, sizeBytes: Number(length) }
}

/** Null for what says nothing: every document is JSON. */
function mediaTypeOf(answer: Answer): string | null {
  const type = (answer.header('content-type') ?? '').split(';')[0]?.trim() ?? ''
  return type === '' || type === 'application/json' || type.startsWith('text/') || type === 'application/octet-stream' ? null : type
}

export async function readManifest(site: Site, named: Named): Promise<Manifest | null> {
  return persist(site.tries(`read the manifest ${named.name} of ${named.where.repository}`, named.signal), () => readOnce(site, named))
}

async function readOnce(site: Site, named: Named): Promise<Manifest | null> {
  const { where, name } = named
  const what = `read the manifest ${name} of ${where.repository}`
  const answer = await site.send({ ...asking(named), method: 'GET', what, takes: [404] })
  if (answer.status === 404) {
    answer.drop()
    return null
  }
  const bytes = await whole(answer, `${site.name}/${where.repository}`)
  const digest = digestOf(bytes)
  const place = `${site.name}/${where.repository}`
  checkAsked(digest, name, place)
  const told = answer.header('docker-content-digest')
  if (told !== undefined && digestPattern.test(told) && told !== digest) throw mismatch(`the manifest ${name} of ${place}`, told, digest)
  return { digest, mediaType: mediaTypeOf(answer) ?? typeInside(bytes), sizeBytes: bytes.length, bytes }
}

async function whole(answer: Answer, place: string): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  let size = 0
  for await (const piece of answer.bytes) {
    size += piece.length
    if (size > longestManifest) throw new CideryError('PAYLOAD_TOO_LARGE', `${place} has a manifest of more than ${longestManifest} bytes`)
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}

function typeInside(bytes: Uint8Array): string {
  try {
    return Typed.parse(JSON.parse(Buffer.from(bytes).toString('utf8'))).mediaType ?? 'application/json'
  } catch {
    // Its digest is right, so it is what was stored; the reader finds out that it is no manifest.
    return 'application/octet-stream'
  }
}

function checkAsked(digest: string, name: string, place: string): void {
  if (isDigest(name) && digest !== name) throw mismatch(`the manifest of ${place}`, name, digest)
}

export function mismatch(what: string, named: string, digest: string): CideryError {
  return new CideryError('DIGEST_MISMATCH', `${what} is not what its name says: named ${named}, but its bytes are ${digest}`, {
    hint: 'something between here and the registry, or the registry, changed it',
    details: { named, digest },
  })
}

export interface SentManifest extends Named {
  readonly mediaType: string
  readonly bytes: Uint8Array
}

export async function writeManifest(site: Site, manifest: SentManifest): Promise<ResolvedManifest> {
  const { where, name, mediaType, bytes, signal } = manifest
  const digest = digestOf(bytes)
  const place = `${site.name}/${where.repository}`
  checkAsked(digest, name, place)
  const what = `write the manifest ${name} of ${where.repository}`
  return persist(site.tries(what, signal), async () => {
    const answer = await site.send({
      method: 'PUT',
      path: `${where.repository}/manifests/${name}`,
      scopes: [`repository:${where.repository}:pull,push`],
      headers: { 'content-type': mediaType },
      body: { sizeBytes: bytes.length, bytes: () => once(bytes) },
      what,
      signal,
    })
    answer.drop()
    const told = answer.header('docker-content-digest')
    if (told !== undefined && digestPattern.test(told) && told !== digest) throw mismatch(`the manifest ${name} of ${place}`, digest, told)
    return { digest, mediaType, sizeBytes: bytes.length }
  })
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

export async function deleteManifest(site: Site, { where, name: digest, signal }: Named): Promise<void> {
  const what = `delete the manifest ${digest} of ${where.repository}`
  await persist(site.tries(what, signal), async (tried) => {
    const answer = await site.send({
      method: 'DELETE',
      path: `${where.repository}/manifests/${digest}`,
      scopes: [`repository:${where.repository}:delete,pull,push`],
      what,
      // The try before this one may have done it, and its answer was lost.
      takes: tried > 0 ? [404] : [],
      signal,
    })
    answer.drop()
  })
}
