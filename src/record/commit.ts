import { CideryError } from '../model/errors.ts'
import type { Event } from '../model/event.ts'
import type { Instant } from '../model/instant.ts'
import type { Reader, Store, Writer } from '../ports/store.ts'
import type { Clock } from '../ports/time.ts'
import { chunks } from './chunks.ts'
import { announceTouched, readAnnouncement, type Subject, type Touched } from './touched.ts'

/** Who makes a change, and from which address; for the journal. */
export interface Author {
  readonly actor: string
  readonly origin: string | null
}

/** What cidery does by itself. */
export const system: Author = { actor: 'system', origin: null }

/** What came of a step: `stale` when what it was decided for has changed since, and nothing was done. */
export type Applied = 'done' | 'stale'

/** One transaction of the record: the rows, the moment, and what else belongs into the same commit. */
export interface RecordTx {
  readonly db: Writer
  readonly now: Instant
  readonly author: Author
  /** Marks a row as changed, so that whoever keeps a copy reads it again after the commit. */
  touch(of: Subject, id: string): void
  /** Raises the desired generation of a host in this commit, once, and wakes its parked poll after it. */
  desire(hostId: string): void
  /** Appends a fact to the journal in this commit. */
  note(
    kind: Event['kind'],
    subject: string,
    about?: { readonly data?: Event['data']; readonly result?: Event['result']; readonly by?: Author },
  ): void
}

export interface Recorder {
  read<T>(work: (db: Reader) => Promise<T>): Promise<T>
  /** `door` is another way into a write of the same store (a request's own, which remembers its answer by idempotency key). */
  write<T>(author: Author, work: (tx: RecordTx) => Promise<T>, door?: WriteDoor): Promise<T>
  /** Calls back after each commit, by any controller, that touched something, and after one of which nobody knows whether it happened. Returns how to stop. */
  onTouched(listener: (touched: Touched) => void): () => void
  /** Calls back with the hosts that another controller heard of. Returns how to stop. */
  onHeardOf(listener: (hostIds: readonly string[]) => void): () => void
  /** Says that rows changed by other hands: every controller reads them again. */
  touch(of: Subject, ids: readonly string[]): Promise<void>
  /** No more word of other controllers. */
  close(): void
}

export type WriteDoor = <T>(work: (db: Writer) => Promise<T>) => Promise<T>

export interface RecorderOptions {
  readonly store: Store
  readonly clock: Clock
  /** Puts events into the journal, inside the transaction of what they tell of. */
  readonly append: (db: Writer, events: readonly Event[]) => Promise<void>
}

interface Draft extends RecordTx {
  readonly rows: Map<Subject, Set<string>>
  readonly desired: Set<string>
  readonly events: Event[]
}

/** Makes the one door through which rows of jobs, attempts, hosts, operations and sandboxes change. */
export function createRecorder(options: RecorderOptions): Recorder {
  const { store } = options
  const listeners = new Set<(touched: Touched) => void>()
  const heardOf = new Set<(hostIds: readonly string[]) => void>()
  const tell = (touched: Touched): void => {
    for (const listener of listeners) listener(touched)
  }

  async function write<T>(author: Author, work: (tx: RecordTx) => Promise<T>, door: WriteDoor = (run) => store.write(run)): Promise<T> {
    let last: Draft | undefined
    const tellOfLast = (): void => {
      if (last !== undefined && (last.rows.size > 0 || last.desired.size > 0)) tell(touchedBy(last))
    }
    try {
      const result = await door(async (db) => {
        const draft = startDraft(db, author, options.clock.now())
        last = draft
        const value = await work(draft)
        await raiseDesired(draft)
        if (draft.events.length > 0) await options.append(db, draft.events)
        await announceTouched(store, db, touchedBy(draft))
        return value
      })
      tellOfLast()
      return result
    } catch (error) {
      // The connection may have been cut in the middle of the commit: whether it happened says a look at the rows.
      if (error instanceof CideryError && error.code === 'UNAVAILABLE') tellOfLast()
      throw error
    }
  }

  function hear(text: string | null): void {
    const announced = text === null ? null : readAnnouncement(text)
    if (announced === null) return tell({ rows: new Map(), desiredOf: new Set(), everything: true })
    const { rows, desiredOf } = announced
    if (announced.heardOf.length > 0) for (const listener of heardOf) listener(announced.heardOf)
    if (rows.size > 0 || desiredOf.size > 0) tell({ rows, desiredOf, everything: false })
  }
  const close = store.onAnnounced(hear)

  return {
    read: (work) => store.read(work),
    write,
    onTouched(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    onHeardOf(listener) {
      heardOf.add(listener)
      return () => void heardOf.delete(listener)
    },
    async touch(of, ids) {
      const touched = { rows: new Map([[of, new Set(ids)]]), desiredOf: new Set<string>(), everything: false }
      tell(touched)
      await store.write((tx) => announceTouched(store, tx, touched))
    },
    close,
  }
}

function touchedBy(draft: Draft): Touched {
  return { rows: draft.rows, desiredOf: draft.desired, everything: false }
}

function startDraft(db: Writer, author: Author, now: Instant): Draft {
  const rows = new Map<Subject, Set<string>>()
  const desired = new Set<string>()
  const events: Event[] = []
  return {
    db,
    now,
    author,
    rows,
    desired,
    events,
    touch(of, id) {
      const ids = rows.get(of) ?? new Set<string>()
      rows.set(of, ids.add(id))
    },
    desire(hostId) {
      desired.add(hostId)
    },
    note(kind, subject, about = {}) {
      const by = about.by ?? author
      events.push({ kind, at: now, actor: by.actor, subject, origin: by.origin, result: about.result ?? 'ok', data: about.data ?? {} })
    },
  }
}

async function raiseDesired(draft: Draft): Promise<void> {
  if (draft.desired.size === 0) return
  const ids = [...draft.desired].toSorted()
  for (const part of chunks(ids, 500)) {
    await draft.db
      .updateTable('hosts')
      .set((eb) => ({ desired_generation: eb('desired_generation', '+', 1) }))
      .where('id', 'in', part)
      .execute()
  }
  for (const id of ids) draft.touch('host', id)
}
