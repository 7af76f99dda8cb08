import { canonicalJson } from '../model/canonical-json.ts'
import type { Event, SealedEvent } from '../model/event.ts'
import type { Reader, Tables, Writer } from '../ports/store.ts'

/**
 * Appends events in the transaction of the change that they tell of, so that neither exists without the other. They get their number
 * and hash when the leader seals them. `epoch` is that of the lead this controller knows; the order within it is that of the commits.
 *
 * @example await appendEvents(tx, lead.epoch, [{ kind: 'host.cordoned', … }])
 */
export async function appendEvents(tx: Writer, epoch: number, events: readonly Event[]): Promise<void> {
  if (events.length === 0) return
  const last = await tx.selectFrom('events').select('seq').where('epoch', '=', epoch).orderBy('seq', 'desc').limit(1).executeTakeFirst()
  let seq = last?.seq ?? 0
  const rows = events.map((event) => {
    seq += 1
    return {
      epoch,
      seq,
      number: null,
      at: event.at,
      kind: event.kind,
      subject: event.subject,
      doc: canonicalJson(event),
      previous_hash: null,
      hash: null,
    }
  })
  // PostgreSQL takes 65,535 values in a statement.
  for (let i = 0; i < rows.length; i += 1000)
    await tx
      .insertInto('events')
      .values(rows.slice(i, i + 1000))
      .execute()
}

export interface ListEventsOptions {
  /** Number of the last event that the reader has; 0 for all. */
  readonly after: number
  readonly limit: number
  /** Only events about this (`job/job_…`). */
  readonly subject?: string
}

/** Sealed events in order of number. */
export async function listEvents(db: Reader, options: ListEventsOptions): Promise<readonly SealedEvent[]> {
  let query = db.selectFrom('events').selectAll().where('number', '>', options.after)
  if (options.subject !== undefined) query = query.where('subject', '=', options.subject)
  const rows = await query.orderBy('number').limit(options.limit).execute()
  return rows.map(readEvent)
}

/** First and last number of the sealed journal; both null when it is empty. After a cut, `first` is above 1. */
export async function readJournalBounds(db: Reader): Promise<{ readonly first: number | null; readonly last: number | null }> {
  const ends = await Promise.all(
    (['asc', 'desc'] as const).map((direction) =>
      db.selectFrom('events').select('number').where('number', 'is not', null).orderBy('number', direction).limit(1).executeTakeFirst(),
    ),
  )
  return { first: ends[0]?.number ?? null, last: ends[1]?.number ?? null }
}

/** A row of a sealed event as people and programs get it. */
export function readEvent(row: Tables['events']): SealedEvent {
  const event = JSON.parse(row.doc) as Event
  return { ...event, number: row.number ?? 0, epoch: row.epoch, seq: row.seq, previousHash: row.previous_hash ?? '', hash: row.hash ?? '' }
}
