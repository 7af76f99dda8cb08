import type { SealedEvent } from '../model/event.ts'
import type { Instant } from '../model/instant.ts'
import type { Signer } from '../ports/secrets.ts'
import type { Reader, Writer } from '../ports/store.ts'
import { chainHash, genesisHash, readCheckpoint, signCheckpoint, type Checkpoint } from './chain.ts'
import { compiledOnce } from './compiled.ts'
import { appendEvents, readEvent } from './journal.ts'
import { requireEpoch } from './lead.ts'

export interface SealOptions {
  /** The leader's; another one is refused with STALE_EPOCH. */
  readonly epoch: number
  readonly now: Instant
  readonly signer: Signer
  /** Events to seal at most. */
  readonly limit?: number
}

export interface SealResult {
  readonly events: readonly SealedEvent[]
  /** The new head, for agents and the log; null when there was nothing to seal. */
  readonly checkpoint: Checkpoint | null
  /** More is waiting than the limit allowed. */
  readonly more: boolean
}

const defaultLimit = 1000
/** One checkpoint of every so many events is kept; the newest always is. */
const checkpointStride = 1000

/**
 * Gives waiting events their numbers, without holes, and chains each to the one before. The newest checkpoint always stands at the
 * last sealed event: a cut tail shows as long as either survives.
 */
export async function sealEvents(tx: Writer, options: SealOptions): Promise<SealResult> {
  await requireEpoch(tx, options.epoch)
  const limit = options.limit ?? defaultLimit
  const waiting = await tx
    .selectFrom('events')
    .selectAll()
    .where('number', 'is', null)
    .orderBy('epoch')
    .orderBy('seq')
    .limit(limit + 1)
    .execute()
  const rows = waiting.slice(0, limit)
  if (rows.length === 0) return { events: [], checkpoint: null, more: false }

  const before = await readHead(tx)
  let head = before
  const events: SealedEvent[] = []
  for (const row of rows) {
    const sealed = { ...row, number: head.number + 1, previous_hash: head.hash, hash: '' }
    sealed.hash = chainHash(head.hash, sealed)
    await tx
      .updateTable('events')
      .set({ number: sealed.number, previous_hash: sealed.previous_hash, hash: sealed.hash })
      .where('epoch', '=', row.epoch)
      .where('seq', '=', row.seq)
      .execute()
    events.push(readEvent(sealed))
    head = sealed
  }
  const checkpoint = signCheckpoint(options.signer, { number: head.number, hash: head.hash, at: options.now, cut: false })
  await storeCheckpoint(tx, checkpoint)
  await dropCheckpoint(tx, before.number, head.number)
  return { events, checkpoint, more: waiting.length > limit }
}

/** The last sealed event, or where the journal was cut, or the beginning. */
async function readHead(db: Reader): Promise<{ readonly number: number; readonly hash: string }> {
  const last = await db
    .selectFrom('events')
    .select(['number', 'hash'])
    .where('number', 'is not', null)
    .orderBy('number', 'desc')
    .limit(1)
    .executeTakeFirst()
  if (last !== undefined) return { number: last.number ?? 0, hash: last.hash ?? '' }
  return (await readNewestCheckpoint(db)) ?? { number: 0, hash: genesisHash }
}

/** The newest checkpoint, which stands at the last sealed event. */
export async function readNewestCheckpoint(db: Reader): Promise<Checkpoint | null> {
  const [row] = await newestCheckpoint(db)
  return row === undefined ? null : readCheckpoint(row)
}

const newestCheckpoint = compiledOnce((db: Reader) => db.selectFrom('checkpoints').selectAll().orderBy('number', 'desc').limit(1))

/** Whether events wait for their numbers. */
export async function hasUnsealed(db: Reader): Promise<boolean> {
  return (await firstUnsealed(db)).length > 0
}

const firstUnsealed = compiledOnce((db: Reader) =>
  db.selectFrom('events').select('seq').where('number', 'is', null).orderBy('epoch').orderBy('seq').limit(1),
)

async function storeCheckpoint(tx: Writer, checkpoint: Checkpoint): Promise<void> {
  const row = { hash: checkpoint.hash, at: checkpoint.at, signature: checkpoint.signature, cut: checkpoint.cut ? 1 : 0 }
  await tx
    .insertInto('checkpoints')
    .values({ number: checkpoint.number, ...row })
    .onConflict((conflict) => conflict.column('number').doUpdateSet(row))
    .execute()
}

async function dropCheckpoint(tx: Writer, number: number, newest: number): Promise<void> {
  if (Math.floor(number / checkpointStride) !== Math.floor(newest / checkpointStride)) return
  await tx.deleteFrom('checkpoints').where('number', '=', number).where('cut', '=', 0).execute()
}

export interface CutOptions extends SealOptions {
  /** Events before this moment go, as far as no younger one stands before them. */
  readonly before: Instant
}

/**
 * Removes the oldest events up to a signed checkpoint that the rest follows, at most `limit` at a time. Answers how many went; the cut is
 * an event itself.
 */
export async function cutJournal(tx: Writer, options: CutOptions): Promise<number> {
  await requireEpoch(tx, options.epoch)
  const rows = await tx
    .selectFrom('events')
    .select(['number', 'hash', 'at'])
    .where('number', 'is not', null)
    .orderBy('number')
    .limit(options.limit ?? defaultLimit)
    .execute()
  const young = rows.findIndex((row) => row.at >= options.before)
  const old = young === -1 ? rows : rows.slice(0, young)
  const last = old.at(-1)
  if (last === undefined || last.number === null || last.hash === null) return 0
  await storeCheckpoint(tx, signCheckpoint(options.signer, { number: last.number, hash: last.hash, at: options.now, cut: true }))
  await tx.deleteFrom('checkpoints').where('number', '<', last.number).execute()
  await tx.deleteFrom('events').where('number', '<=', last.number).execute()
  await appendEvents(tx, options.epoch, [
    {
      kind: 'journal.cut',
      at: options.now,
      actor: 'system',
      subject: 'journal',
      origin: null,
      result: 'ok',
      data: { upTo: last.number, events: old.length },
    },
  ])
  return old.length
}
