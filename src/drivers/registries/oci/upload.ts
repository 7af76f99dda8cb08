import { createHash } from 'node:crypto'
import type { BlobSource, Repository } from '../../../ports/registry.ts'
import type { PlainHttp } from './addresses.ts'
import type { Body } from './connections.ts'
import { mismatch } from './manifests.ts'
import { Passing } from './passing.ts'
import { locationOf, type Ask, type Site, type SiteAnswer } from './site.ts'

export interface BlobSending {
  readonly where: Repository
  readonly source: BlobSource
  readonly mountFrom: string | undefined
  /** Undefined: all in one request. */
  readonly pieceBytes: number | undefined
  readonly plain: PlainHttp
  readonly signal: AbortSignal
}

/** An upload that the registry keeps until it is whole. */
interface Session {
  readonly location: URL
  /** Bytes that the registry has. */
  readonly offset: number
}

const octets = { 'content-type': 'application/octet-stream' }

/** The registry does not know the upload any more. */
export class Forgotten extends Passing {}

/** One blob on its way. */
export interface Upload {
  /** Begins one, if none is open; false when the registry took the blob from another repository. */
  start(mount: boolean): Promise<boolean>
  /** Asks where it stands after a cut; false when the registry does not know. */
  resume(): Promise<boolean>
  /** Bytes that the registry has. */
  offset(): number
  /** Sends what is missing and ends the upload. */
  send(): Promise<void>
  forget(): void
  /** Bytes that were sent so far. */
  sent(): number
  /** False when all bytes were hashed on their way and are not what the digest says. */
  mayBeRight(): boolean
}

export function createUpload(site: Site, { where, source, mountFrom, pieceBytes, plain, signal }: BlobSending): Upload {
  const base = `${where.repository}/blobs/uploads/`
  const scopes = [`repository:${where.repository}:pull,push`]
  const common = { scopes, what: `send the blob ${source.digest} to ${where.repository}`, signal }
  let session: Session | null = null
  /** Of a piece, by the registry's word; the last one may be shorter. */
  let fewestBytes = 0
  let sent = 0
  let hashed = { hash: createHash('sha256'), to: 0 }

  /** Hashes what is sent as long as it goes from the first byte to the last. */
  async function* counted(from: number, length: number): AsyncGenerator<Uint8Array> {
    let at = from
    const end = from + length
    if (from === 0) hashed = { hash: createHash('sha256'), to: 0 }
    for await (const piece of source.read(from)) {
      // What is behind the last byte of the blob goes on, and is refused where it is sent.
      const part = end < source.sizeBytes ? piece.subarray(0, end - at) : piece
      if (hashed.to === at) {
        hashed.hash.update(part)
        hashed.to += part.length
      }
      at += part.length
      sent += part.length
      if (part.length > 0) yield part
      if (at === end && end < source.sizeBytes) return
    }
  }

  function body(from: number, length: number): Body {
    return { sizeBytes: length, bytes: () => counted(from, length) }
  }

  async function ask(asked: Pick<Ask, 'method' | 'path'> & Partial<Ask>): Promise<SiteAnswer> {
    const answer = await site.send({ ...common, ...asked, takes: [404, 416] })
    if (answer.status !== 404 && answer.status !== 416) return answer
    answer.drop()
    throw new Forgotten(`${site.name} answered HTTP ${answer.status} to an upload that it began`)
  }

  function sessionOf(answer: SiteAnswer, expected: number): Session {
    answer.drop()
    return { location: locationOf(answer, answer.url, plain), offset: offsetOf(answer.header('range'), expected) }
  }

  async function start(mount: boolean): Promise<boolean> {
    if (session !== null) return true
    const from = mount ? mountFrom : undefined
    const query = from === undefined ? '' : `?mount=${encodeURIComponent(source.digest)}&from=${encodeURIComponent(from)}`
    const ask = { ...common, method: 'POST', path: `${base}${query}` } as const
    const answer = await site.send(from === undefined ? ask : { ...ask, scopes: [...scopes, `repository:${from}:pull`] })
    if (answer.status === 201 && from !== undefined) answer.drop()
    else session = sessionOf(answer, 0)
    fewestBytes = Number(answer.header('oci-chunk-min-length') ?? 0) || 0
    return session !== null
  }

  async function resume(): Promise<boolean> {
    if (session === null) return false
    const answer = await site.send({ ...common, method: 'GET', path: session.location, takes: [400, 404, 405, 416] })
    if (answer.status < 300) session = sessionOf(answer, 0)
    else answer.drop()
    if (answer.status >= 300 || session.offset > source.sizeBytes) session = null
    return session !== null
  }

  async function piece(now: Session): Promise<Session> {
    const length = Math.min(Math.max(pieceBytes ?? Infinity, fewestBytes), source.sizeBytes - now.offset)
    const headers = { ...octets, 'content-range': `${now.offset}-${now.offset + length - 1}` }
    const answer = await ask({ method: 'PATCH', path: now.location, headers, body: body(now.offset, length) })
    const next = sessionOf(answer, now.offset + length)
    if (next.offset > source.sizeBytes) throw new Forgotten(`${site.name} says that it has more than was sent`)
    if (next.offset <= now.offset) throw new Passing(`${site.name} took a piece and has no byte of it`)
    return next
  }

  async function finish({ location, offset }: Session): Promise<void> {
    const url = new URL(location)
    // As text: an address that is signed must not be written anew.
    url.search = `${url.search === '' ? '?' : `${url.search}&`}digest=${encodeURIComponent(source.digest)}`
    const rest = source.sizeBytes - offset
    const answer = await ask({
      method: 'PUT',
      path: url,
      headers: octets,
      worksLong: true,
      ...(rest === 0 ? {} : { body: body(offset, rest) }),
    })
    answer.drop()
    const told = answer.header('docker-content-digest')
    if (told !== undefined && told.startsWith('sha256:') && told !== source.digest)
      throw mismatch('a blob that was sent', source.digest, told)
  }

  return {
    start,
    resume,
    offset: () => session?.offset ?? 0,
    async send() {
      if (session === null) return
      // All in one goes with the request that ends the upload.
      if (pieceBytes !== undefined || session.offset > 0) {
        while (session.offset < source.sizeBytes) session = await piece(session)
      }
      await finish(session)
    },
    forget() {
      session = null
    },
    sent: () => sent,
    mayBeRight: () => hashed.to < source.sizeBytes || `sha256:${hashed.hash.copy().digest('hex')}` === source.digest,
  }
}

/**
 * `Range: 0-<last byte>`. The distribution project's registry says `0-0` for one byte and for none: it is none unless one was expected.
 */
function offsetOf(range: string | undefined, expected: number): number {
  const last = /^(?:bytes=)?0-(\d+)$/.exec(range ?? '')?.[1]
  if (last === undefined) return expected
  return last === '0' ? Math.min(1, expected) : Number(last) + 1
}
