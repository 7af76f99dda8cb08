import { createHash, type Hash } from 'node:crypto'
import { CideryError } from '../../../model/errors.ts'
import type { ByteRange, Repository } from '../../../ports/registry.ts'
import { mismatch } from './manifests.ts'
import { Passing } from './passing.ts'
import type { Site, SiteAnswer } from './site.ts'

export interface BlobAsk {
  readonly where: Repository
  readonly digest: string
  readonly range: ByteRange | undefined
  readonly signal: AbortSignal
}

/** A failure after so many new bytes is the first of a row again: big blobs outlive any number of cuts. */
const progressBytes = 64 * 1024

interface Place {
  /** The next byte that is wanted. */
  at: number
  /** The one behind the last; null until the registry says how long the blob is. */
  end: number | null
}

/** Asks the sites one after the other, each from where the one before stopped; the last one decides. */
export async function* readBlob(sites: readonly Site[], ask: BlobAsk, distrust: (site: Site) => void): AsyncGenerator<Uint8Array> {
  const { range, digest, where, signal } = ask
  const place = placeOf(range)
  if (place.at === place.end) return
  const hash = range === undefined ? createHash('sha256') : null
  const asked: Site[] = []
  for (const site of sites) {
    asked.push(site)
    try {
      yield* readFrom(site, ask, { place, hash })
      break
    } catch (error) {
      if (asked.length === sites.length || signal.aborted) throw error
      distrust(site)
    }
  }
  const read = hash === null ? digest : `sha256:${hash.digest('hex')}`
  if (read === digest) return
  for (const site of asked) distrust(site)
  throw mismatch(`the blob of ${where.registry}/${where.repository}`, digest, read)
}

function placeOf(range: ByteRange | undefined): Place {
  if (range === undefined) return { at: 0, end: null }
  const { from, to } = range
  if (Number.isSafeInteger(from) && Number.isSafeInteger(to) && from >= 0 && from <= to) return { at: from, end: to }
  throw new CideryError('INVALID_INPUT', `${from} to ${to} is no range of bytes`)
}

async function* readFrom(
  site: Site,
  ask: BlobAsk,
  { place, hash }: { readonly place: Place; readonly hash: Hash | null },
): AsyncGenerator<Uint8Array> {
  const tries = site.tries(`read the blob ${ask.digest} of ${ask.where.repository}`, ask.signal)
  for (;;) {
    const start = place.at
    try {
      for await (const piece of part(site, ask, place)) {
        hash?.update(piece)
        place.at += piece.length
        yield piece
      }
      return
    } catch (error) {
      if (place.at - start >= progressBytes) tries.progressed()
      await tries.failed(error)
    }
  }
}

/** One request: the bytes from `place.at` on, as many as come. */
async function* part(site: Site, ask: BlobAsk, place: Place): AsyncGenerator<Uint8Array> {
  const { at } = place
  const answer = await askFor(site, ask, place)
  if (answer === null) return
  const { from, total } = extentOf(answer)
  if (from > at) {
    answer.drop()
    throw new Passing(`${answer.url.host} answered with bytes from ${from} on, not from ${at}`)
  }
  if (ask.range === undefined) place.end = total ?? place.end
  yield* cut(answer.bytes, { skip: at - from, most: (place.end ?? Infinity) - at })
  if (place.end !== null && place.at < place.end) throw new Passing(`${answer.url.host} ended after ${place.at} of ${place.end} bytes`)
}

/** Null: the blob ends where we are. */
async function askFor(site: Site, { where, digest, range, signal }: BlobAsk, { at, end }: Place): Promise<SiteAnswer | null> {
  const answer = await site.send({
    method: 'GET',
    path: `${where.repository}/blobs/${digest}`,
    scopes: [`repository:${where.repository}:pull`],
    what: `read the blob ${digest} of ${where.repository}`,
    headers: range !== undefined || at > 0 ? { range: `bytes=${at}-${end === null ? '' : end - 1}` } : {},
    takes: [416],
    signal,
  })
  if (answer.status !== 416) return answer
  answer.drop()
  if (range === undefined && answer.header('content-range') === `bytes */${at}`) return null
  throw new CideryError('INVALID_INPUT', `the blob ${digest} of ${site.name}/${where.repository} has no bytes from ${at} on`)
}

/** Where the bytes of an answer begin, and how many the whole has. Some answer with the whole also where a part was asked for. */
function extentOf(answer: SiteAnswer): { readonly from: number; readonly total: number | null } {
  const length = answer.header('content-length')
  if (answer.status !== 206) return { from: 0, total: length === undefined ? null : Number(length) }
  const [, from, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(answer.header('content-range') ?? '') ?? []
  if (from === undefined) {
    answer.drop()
    throw new Passing(`${answer.url.host} answered with a part and does not say where it begins`)
  }
  return { from: Number(from), total: total === undefined || total === '*' ? null : Number(total) }
}

/** Ends with the last byte that is wanted: some registries hang up when they are asked for what is behind it. */
async function* cut(
  bytes: AsyncIterable<Uint8Array>,
  { skip, most }: { readonly skip: number; readonly most: number },
): AsyncGenerator<Uint8Array> {
  let skipped = 0
  let given = 0
  for await (const piece of bytes) {
    const rest = piece.subarray(Math.min(piece.length, skip - skipped)).subarray(0, most - given)
    skipped = Math.min(skip, skipped + piece.length)
    given += rest.length
    if (rest.length > 0) yield rest
    if (given >= most) return
  }
}
