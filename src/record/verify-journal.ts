import { canonicalJson } from '../model/canonical-json.ts'
import type { Signer } from '../ports/secrets.ts'
import type { Reader, Store, Tables } from '../ports/store.ts'
import { chainHash, genesisHash, isSignedBy, readCheckpoint, type Checkpoint } from './chain.ts'

export interface VerifyOptions {
  readonly signer: Signer
  /** Heads that others remember (agents, the log, an export): each must still be in the journal. */
  readonly remembered?: readonly { readonly number: number; readonly hash: string }[]
  /** Rows read at a time. */
  readonly pageSize?: number
}

/** `problem` is the first thing found wrong, in words; null when the journal is whole. */
export interface JournalVerdict {
  readonly ok: boolean
  readonly first: number | null
  readonly last: number | null
  readonly checked: number
  readonly problem: string | null
}

/** How far the walk has come: what the next event must follow. */
interface Walk {
  first: number | null
  number: number
  hash: string
  checked: number
}

const defaultPageSize = 1000
/** Retention may cut the journal while it is being read; then the walk starts again. */
const maxTries = 3

/**
 * Reads the whole sealed journal and finds a changed, missing, added or swapped event, and a tail that is cut off below a checkpoint that
 * is stored or remembered by others. Retention leaves no problem behind: it cuts at a signed checkpoint.
 */
export async function verifyJournal(store: Pick<Store, 'read'>, options: VerifyOptions): Promise<JournalVerdict> {
  for (let attempt = 1; ; attempt += 1) {
    const extent = await store.read(readExtent)
    const verdict = await verifyExtent(store, extent, options)
    if (verdict.ok || attempt === maxTries) return verdict
    const now = await store.read(readExtent)
    if (now.start.number === extent.start.number) return verdict
  }
}

/** What the journal reaches over at one moment; events sealed later are not looked at. */
interface Extent {
  readonly checkpoints: readonly Checkpoint[]
  /** Where it was cut last, or its beginning. */
  readonly start: { readonly number: number; readonly hash: string }
  readonly last: number
  /** Sealed events that retention should have removed. */
  readonly strays: number
}

async function verifyExtent(store: Pick<Store, 'read'>, extent: Extent, options: VerifyOptions): Promise<JournalVerdict> {
  const walk: Walk = { first: null, number: extent.start.number, hash: extent.start.hash, checked: 0 }
  const remembered = options.remembered ?? []
  const problem =
    findUnsigned(extent, options.signer) ??
    (await walkEvents(store, walk, {
      extent,
      pageSize: options.pageSize ?? defaultPageSize,
      marks: [...extent.checkpoints, ...remembered],
    }))
  return { ok: problem === null, first: walk.first, last: walk.checked === 0 ? null : walk.number, checked: walk.checked, problem }
}

function findUnsigned(extent: Extent, signer: Signer): string | null {
  const forged = extent.checkpoints.find((checkpoint) => !isSignedBy(signer, checkpoint))
  if (forged !== undefined) return `the checkpoint at event ${forged.number} is not signed by this installation`
  return extent.strays === 0 ? null : `${extent.strays} events stand before event ${extent.start.number}, where the journal was cut`
}

/** A head that the journal must have had. */
interface Mark {
  readonly number: number
  readonly hash: string
}

interface WalkOptions {
  readonly extent: Extent
  readonly pageSize: number
  readonly marks: readonly Mark[]
}

async function walkEvents(store: Pick<Store, 'read'>, walk: Walk, options: WalkOptions): Promise<string | null> {
  const { extent, marks, pageSize } = options
  const wanted = new Set(marks.map((mark) => mark.number))
  const heads = new Map([[walk.number, walk.hash]])
  while (walk.number < extent.last) {
    const rows = await store.read((db) => readPage(db, { after: walk.number, upTo: extent.last, limit: pageSize }))
    if (rows.length === 0) return `event ${walk.number + 1} is missing`
    for (const row of rows) {
      const problem = checkRow(row, walk)
      if (problem !== null) return problem
      walk.first ??= row.number
      walk.number += 1
      walk.hash = row.hash ?? ''
      walk.checked += 1
      if (wanted.has(walk.number)) heads.set(walk.number, walk.hash)
    }
  }
  return findMissingHead(extent, heads, marks)
}

function checkRow(row: Tables['events'], walk: Walk): string | null {
  const expected = walk.number + 1
  if (row.number !== expected) return `event ${expected} is missing`
  if (row.previous_hash !== walk.hash) return `event ${expected} does not follow the one before it`
  if (row.hash !== chainHash(walk.hash, { ...row, number: expected })) return `event ${expected} was changed`
  return columnsAgree(row) ? null : `event ${expected} was changed outside of its document`
}

/** Columns repeat what lists filter by; the hash covers the document. */
function columnsAgree(row: Tables['events']): boolean {
  const doc = parseObject(row.doc)
  return (
    doc !== null && doc['at'] === row.at && doc['kind'] === row.kind && doc['subject'] === row.subject && canonicalJson(doc) === row.doc
  )
}

function parseObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null
  } catch {
    // Not JSON at all: the caller reports the event.
    return null
  }
}

function findMissingHead(extent: Extent, heads: ReadonlyMap<number, string>, marks: readonly Mark[]): string | null {
  const end = Math.max(extent.last, extent.start.number)
  for (const mark of marks) {
    if (mark.number > end) return `the journal ends at event ${end}, but a checkpoint names event ${mark.number}: its tail was cut off`
    // What retention removed cannot be compared any more; the cut itself is signed.
    if (mark.number < extent.start.number) continue
    if (heads.get(mark.number) !== mark.hash) return `event ${mark.number} is not the one that a checkpoint names`
  }
  // Sealing moves the newest checkpoint along in the same transaction.
  const newest = extent.checkpoints.at(-1)?.number ?? 0
  return newest === end ? null : `the checkpoint at event ${end} is missing`
}

async function readExtent(db: Reader): Promise<Extent> {
  const checkpoints = (await db.selectFrom('checkpoints').selectAll().orderBy('number').execute()).map(readCheckpoint)
  const cut = checkpoints.findLast((checkpoint) => checkpoint.cut)
  const start = { number: cut?.number ?? 0, hash: cut?.hash ?? genesisHash }
  const sealed = await db
    .selectFrom('events')
    .select((e) => e.fn.max('number').as('last'))
    .where('number', 'is not', null)
    .executeTakeFirst()
  const before = await db
    .selectFrom('events')
    .select((e) => e.fn.countAll<number>().as('count'))
    .where('number', '<=', start.number)
    .executeTakeFirst()
  return { checkpoints, start, last: sealed?.last ?? 0, strays: before?.count ?? 0 }
}

async function readPage(
  db: Reader,
  page: { readonly after: number; readonly upTo: number; readonly limit: number },
): Promise<readonly Tables['events'][]> {
  return db
    .selectFrom('events')
    .selectAll()
    .where('number', '>', page.after)
    .where('number', '<=', page.upTo)
    .orderBy('number')
    .limit(page.limit)
    .execute()
}
