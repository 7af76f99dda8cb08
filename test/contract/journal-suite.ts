import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createSystemClock } from '../../src/drivers/clocks/system-clock.ts'
import { canonicalJson } from '../../src/model/canonical-json.ts'
import type { Event } from '../../src/model/event.ts'
import type { Signer } from '../../src/ports/secrets.ts'
import type { MigratableStore, Tables, Writer } from '../../src/ports/store.ts'
import { chainHash, genesisHash } from '../../src/record/chain.ts'
import { appendEvents, listEvents, readJournalBounds } from '../../src/record/journal.ts'
import { takeLead } from '../../src/record/lead.ts'
import { migrate } from '../../src/record/migrate.ts'
import { cutJournal, readNewestCheckpoint, sealEvents } from '../../src/record/seal.ts'
import { verifyJournal, type JournalVerdict } from '../../src/record/verify-journal.ts'

export interface JournalCase {
  readonly name: string
  readonly open: () => Promise<MigratableStore>
  readonly signer: Signer
  /** How many tamperings to try. */
  readonly runs: number
}

function event(i: number, at = 1000 + i): Event {
  return {
    kind: i % 2 === 0 ? 'job.submitted' : 'host.cordoned',
    at,
    actor: 'user:alice',
    subject: `job/job_${i % 3}`,
    origin: i % 4 === 0 ? null : '127.0.0.1',
    result: 'ok',
    data: { i, text: 'ä\n"x"', nested: { b: [1, null, true], a: 0.5 } },
  }
}

interface Snapshot {
  readonly events: readonly Tables['events'][]
  readonly checkpoints: readonly Tables['checkpoints'][]
}

/** What an attacker with the database in hands could do to a journal in one go. `pick` are free choices of 0…1. */
const tamperings: Record<string, (tx: Writer, rows: readonly Tables['events'][], pick: readonly [number, number]) => Promise<unknown>> = {
  'changes a document': (tx, rows, [a]) =>
    onRow(tx, choose(rows, a))
      .set({ doc: choose(rows, a).doc.replace('alice', 'mallory') })
      .execute(),
  'rewrites a document without changing what it says': (tx, rows, [a]) =>
    onRow(tx, choose(rows, a))
      .set({ doc: ` ${choose(rows, a).doc}` })
      .execute(),
  'changes a time': (tx, rows, [a]) =>
    onRow(tx, choose(rows, a))
      .set({ at: choose(rows, a).at + 1 })
      .execute(),
  'changes a kind': (tx, rows, [a]) => onRow(tx, choose(rows, a)).set({ kind: 'user.login' }).execute(),
  'changes a subject': (tx, rows, [a]) => onRow(tx, choose(rows, a)).set({ subject: 'job/other' }).execute(),
  'changes an epoch': (tx, rows, [a]) => onRow(tx, choose(rows, a)).set({ epoch: 77 }).execute(),
  'changes a sequence number': (tx, rows, [a]) => onRow(tx, choose(rows, a)).set({ seq: 9999 }).execute(),
  'changes a hash': (tx, rows, [a]) =>
    onRow(tx, choose(rows, a))
      .set({ hash: 'f'.repeat(64) })
      .execute(),
  'changes what an event follows': (tx, rows, [a]) =>
    onRow(tx, choose(rows, a))
      .set({ previous_hash: 'f'.repeat(64) })
      .execute(),
  'removes an event': (tx, rows, [a]) => removeRow(tx, choose(rows, a)),
  'removes an event and closes the gap': async (tx, rows, [a]) => {
    const gone = choose(rows, a)
    await removeRow(tx, gone)
    for (const row of rows)
      if (row.number! > gone.number!)
        await onRow(tx, row)
          .set({ number: row.number! - 1 })
          .execute()
  },
  'unseals an event': (tx, rows, [a]) => onRow(tx, choose(rows, a)).set({ number: null, hash: null, previous_hash: null }).execute(),
  'swaps two events': async (tx, rows, [a, b]) => {
    const first = choose(rows, a)
    const others = rows.filter((row) => row !== first)
    const second = choose(others, b)
    await onRow(tx, first).set({ doc: second.doc, at: second.at, kind: second.kind, subject: second.subject }).execute()
    await onRow(tx, second).set({ doc: first.doc, at: first.at, kind: first.kind, subject: first.subject }).execute()
  },
  'swaps the numbers of two events': async (tx, rows, [a, b]) => {
    const first = choose(rows, a)
    const second = choose(
      rows.filter((row) => row !== first),
      b,
    )
    await onRow(tx, first).set({ number: null }).execute()
    await onRow(tx, second).set({ number: first.number }).execute()
    await onRow(tx, first).set({ number: second.number }).execute()
  },
  'cuts off the tail': (tx, rows, [a]) => tx.deleteFrom('events').where('number', '>=', choose(rows, a).number).execute(),
  'cuts off the head': (tx, rows, [a]) => tx.deleteFrom('events').where('number', '<=', choose(rows, a).number).execute(),
  'cuts off the tail with its checkpoints': async (tx, rows, [a]) => {
    const from = choose(rows, a).number!
    await tx.deleteFrom('events').where('number', '>=', from).execute()
    await tx.deleteFrom('checkpoints').where('number', '>=', from).execute()
  },
  'removes the newest checkpoint': (tx, rows) => tx.deleteFrom('checkpoints').where('number', '=', rows.at(-1)!.number!).execute(),
  'forges a checkpoint': (tx, rows, [a]) =>
    tx
      .updateTable('checkpoints')
      .set({ hash: choose(rows, a).hash!.replace(/^./, 'e'), at: 5 })
      .execute(),
  'calls a checkpoint a cut': async (tx, rows) => {
    await tx.updateTable('checkpoints').set({ cut: 1 }).execute()
    await tx.deleteFrom('events').where('number', '<=', rows.at(-1)!.number!).execute()
  },
  'adds an event with a hash that fits': async (tx, rows) => {
    const last = rows.at(-1)!
    const doc = canonicalJson(event(99))
    const added = { epoch: 50, seq: 1, number: last.number! + 1, doc }
    await tx
      .insertInto('events')
      .values({
        ...added,
        at: 1099,
        kind: 'host.cordoned',
        subject: 'job/job_0',
        previous_hash: last.hash,
        hash: chainHash(last.hash!, added),
      })
      .execute()
  },
  'rewrites the whole tail with hashes that fit': async (tx, rows, [a]) => {
    let previous = genesisHash
    const from = choose(rows, a).number!
    for (const row of rows) {
      const doc = row.number! >= from ? row.doc.replace('alice', 'mallory') : row.doc
      const hash = chainHash(previous, { ...row, number: row.number!, doc })
      await onRow(tx, row).set({ doc, previous_hash: previous, hash }).execute()
      previous = hash
    }
  },
}

function choose<T>(rows: readonly T[], pick: number): T {
  const row = rows[Math.min(rows.length - 1, Math.floor(pick * rows.length))]
  if (row === undefined) throw new Error('nothing to choose from')
  return row
}

function onRow(tx: Writer, row: Tables['events']) {
  return tx.updateTable('events').where('epoch', '=', row.epoch).where('seq', '=', row.seq)
}

function removeRow(tx: Writer, row: Tables['events']): Promise<unknown> {
  return tx.deleteFrom('events').where('epoch', '=', row.epoch).where('seq', '=', row.seq).execute()
}

export function describeJournal(kase: JournalCase): void {
  const { signer } = kase
  let store: MigratableStore

  async function restore(snapshot: Snapshot): Promise<void> {
    await store.write(async (tx) => {
      await tx.deleteFrom('events').execute()
      await tx.deleteFrom('checkpoints').execute()
      if (snapshot.events.length > 0)
        await tx
          .insertInto('events')
          .values([...snapshot.events])
          .execute()
      if (snapshot.checkpoints.length > 0)
        await tx
          .insertInto('checkpoints')
          .values([...snapshot.checkpoints])
          .execute()
    })
  }

  function snapshot(): Promise<Snapshot> {
    return store.read(async (db) => ({
      events: await db.selectFrom('events').selectAll().where('number', 'is not', null).orderBy('number').execute(),
      checkpoints: await db.selectFrom('checkpoints').selectAll().orderBy('number').execute(),
    }))
  }

  function verify(remembered: readonly { number: number; hash: string }[] = []): Promise<JournalVerdict> {
    return verifyJournal(store, { signer, remembered, pageSize: 7 })
  }

  async function tamper(name: string, rows: readonly Tables['events'][], pick: readonly [number, number]): Promise<void> {
    await store.write(async (tx) => tamperings[name]?.(tx, rows, pick))
  }

  async function append(count: number, epoch = 1, at = 1000): Promise<void> {
    await store.write((tx) =>
      appendEvents(
        tx,
        epoch,
        Array.from({ length: count }, (_, i) => event(i, at + i)),
      ),
    )
  }

  function seal(epoch: number, limit = 1000) {
    return store.write((tx) => sealEvents(tx, { epoch, now: 5000, signer, limit }))
  }

  describe(`the journal (${kase.name})`, () => {
    let epoch: number

    beforeAll(async () => {
      store = await kase.open()
      await migrate(store, { clock: createSystemClock() })
    })
    afterAll(() => store.close())
    beforeEach(async () => {
      await restore({ events: [], checkpoints: [] })
      epoch = (await store.write((tx) => takeLead(tx, { holder: 'ctl_test', now: 1000, ttl: 10_000, alone: true })))!.epoch
    })

    it('is whole when it is empty', async () => {
      expect(await verify()).toEqual({ ok: true, first: null, last: null, checked: 0, problem: null })
    })

    it('shows events only once they are sealed, in one order without holes', async () => {
      await append(5, 2)
      await append(5, 1)
      expect(await store.read((db) => listEvents(db, { after: 0, limit: 100 }))).toEqual([])
      const first = await seal(epoch, 4)
      expect(first.more).toBe(true)
      expect(first.events.map((sealed) => [sealed.number, sealed.epoch, sealed.seq])).toEqual([
        [1, 1, 1],
        [2, 1, 2],
        [3, 1, 3],
        [4, 1, 4],
      ])
      const rest = await seal(epoch)
      expect(rest.more).toBe(false)
      const all = await store.read((db) => listEvents(db, { after: 0, limit: 100 }))
      expect(all.map((sealed) => sealed.number)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
      expect(all[0]).toEqual({ ...event(0), number: 1, epoch: 1, seq: 1, previousHash: genesisHash, hash: first.events[0]?.hash })
      for (const [i, sealed] of all.entries()) if (i > 0) expect(sealed.previousHash).toBe(all[i - 1]?.hash)
      expect(await verify()).toEqual({ ok: true, first: 1, last: 10, checked: 10, problem: null })
      expect(await seal(epoch)).toEqual({ events: [], checkpoint: null, more: false })
    })

    it('lists from a number on, by page and by subject', async () => {
      await append(9)
      await seal(epoch)
      expect((await store.read((db) => listEvents(db, { after: 4, limit: 3 }))).map((sealed) => sealed.number)).toEqual([5, 6, 7])
      expect(
        (await store.read((db) => listEvents(db, { after: 0, limit: 9, subject: 'job/job_1' }))).map((sealed) => sealed.number),
      ).toEqual([2, 5, 8])
      expect(await store.read(readJournalBounds)).toEqual({ first: 1, last: 9 })
    })

    it('leaves no event of a change that did not happen', async () => {
      const write = store.write(async (tx) => {
        await appendEvents(tx, 1, [event(1)])
        throw new Error('changed my mind')
      })
      await expect(write).rejects.toThrow('changed my mind')
      await append(1)
      const { events } = await seal(epoch)
      expect(events.map((sealed) => sealed.seq)).toEqual([1])
    })

    it('is sealed and cut by the leader alone', async () => {
      await append(3)
      await store.write((tx) => takeLead(tx, { holder: 'ctl_next', now: 100_000, ttl: 10_000 }))
      await expect(seal(epoch)).rejects.toMatchObject({ code: 'STALE_EPOCH' })
      await expect(store.write((tx) => cutJournal(tx, { epoch, now: 1, signer, before: 9999 }))).rejects.toMatchObject({
        code: 'STALE_EPOCH',
      })
    })

    it('gives every event one number when many writers and the sealer run at once', async () => {
      const writers = Array.from({ length: 30 }, (_, i) => append(3, 1 + (i % 3)))
      const sealers = Array.from({ length: 10 }, () => seal(epoch, 7))
      await Promise.all([...writers, ...sealers])
      while ((await seal(epoch, 50)).more);
      expect(await verify()).toMatchObject({ ok: true, checked: 90, last: 90 })
    })

    it('finds any single tampering', async () => {
      await append(12)
      await seal(epoch, 5)
      await seal(epoch)
      await append(8, 2)
      await seal(epoch)
      const whole = await snapshot()
      expect(whole.events).toHaveLength(20)
      const head = whole.events.at(-1)!
      const remembered = [{ number: head.number!, hash: head.hash! }]
      expect(await verify(remembered)).toMatchObject({ ok: true })
      const fraction = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
      await fc.assert(
        fc.asyncProperty(fc.constantFrom(...Object.keys(tamperings)), fraction, fraction, async (name, a, b) => {
          await restore(whole)
          await tamper(name, whole.events, [a, b])
          const verdict = await verify(remembered)
          expect({ name, ok: verdict.ok }).toEqual({ name, ok: false })
          expect(verdict.problem).not.toBeNull()
        }),
        // Every kind of tampering at least once, whatever the dice say.
        {
          numRuns: kase.runs,
          examples: Object.keys(tamperings).flatMap(
            (name) =>
              [
                [name, 0, 0.5],
                [name, 0.5, 0.2],
                [name, 0.99, 0],
              ] as [string, number, number][],
          ),
        },
      )
      await restore(whole)
      expect(await verify(remembered)).toMatchObject({ ok: true })
    })

    it('finds most of them without the memory of others: the newest checkpoint has to stand at the last event', async () => {
      await append(20)
      await seal(epoch)
      const whole = await snapshot()
      for (const name of Object.keys(tamperings)) {
        await restore(whole)
        await tamper(name, whole.events, [0.4, 0.7])
        expect({ name, ok: (await verify()).ok }).toEqual({ name, ok: false })
      }
    })

    it('stays whole after retention cut it, and still finds what was tampered with', async () => {
      await append(30)
      await seal(epoch, 11)
      await seal(epoch)
      const cutAt = 1000 + 12
      expect(await store.write((tx) => cutJournal(tx, { epoch, now: 6000, signer, before: cutAt }))).toBe(12)
      await seal(epoch)
      expect(await verify()).toMatchObject({ ok: true, first: 13, last: 31, checked: 19 })
      const [cut] = (await store.read((db) => listEvents(db, { after: 30, limit: 5 }))).slice(-1)
      expect(cut).toMatchObject({ kind: 'journal.cut', data: { upTo: 12, events: 12 } })

      const whole = await snapshot()
      for (const name of [
        'changes a document',
        'removes an event',
        'cuts off the head',
        'cuts off the tail',
        'swaps two events',
      ] as const) {
        await restore(whole)
        await tamper(name, whole.events, [0.3, 0.6])
        expect({ name, ok: (await verify()).ok }).toEqual({ name, ok: false })
      }
      await restore(whole)
      await store.write((tx) => tx.deleteFrom('checkpoints').where('cut', '=', 1).execute())
      expect(await verify()).toMatchObject({ ok: false })
    })

    it('can be cut to nothing, and goes on from there', async () => {
      await append(5)
      await seal(epoch)
      expect(await store.write((tx) => cutJournal(tx, { epoch, now: 6000, signer, before: 99_999 }))).toBe(5)
      expect(await verify()).toMatchObject({ ok: true, checked: 0 })
      await seal(epoch)
      await append(3)
      await seal(epoch)
      expect(await verify()).toMatchObject({ ok: true, first: 6, last: 9, checked: 4 })
    })

    it('keeps a young event that stands before an old one', async () => {
      await append(3, 1, 1000)
      await append(1, 1, 90_000)
      await append(3, 1, 2000)
      await seal(epoch)
      expect(await store.write((tx) => cutJournal(tx, { epoch, now: 6000, signer, before: 50_000 }))).toBe(3)
      expect(await store.write((tx) => cutJournal(tx, { epoch, now: 6000, signer, before: 50_000 }))).toBe(0)
    })

    it('keeps few checkpoints, the newest always', async () => {
      for (let i = 0; i < 12; i += 1) {
        await append(1)
        await seal(epoch)
      }
      const checkpoints = (await snapshot()).checkpoints
      expect(checkpoints.map((checkpoint) => checkpoint.number)).toEqual([12])
      expect(await store.read(readNewestCheckpoint)).toMatchObject({ number: 12, cut: false })
    })

    it('finds a tail that was cut off with its checkpoints by what an agent remembers', async () => {
      await append(5)
      const early = (await seal(epoch)).checkpoint!
      const state = await snapshot()
      await append(5)
      const late = (await seal(epoch)).checkpoint!
      expect(await verify([early, late])).toMatchObject({ ok: true })
      await restore(state)
      expect(await verify([early])).toMatchObject({ ok: true })
      expect(await verify([early, late])).toMatchObject({ ok: false, problem: expect.stringContaining('tail was cut off') as string })
    })
  })
}
