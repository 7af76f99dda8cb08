import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSystemClock } from '../../src/drivers/clocks/system-clock.ts'
import { CideryError } from '../../src/model/errors.ts'
import type { MigratableStore, Reader, Writer } from '../../src/ports/store.ts'
import { compiledOnce } from '../../src/record/compiled.ts'
import { recordLastSeen } from '../../src/record/hosts.ts'
import { migrate, schemaNumber } from '../../src/record/migrate.ts'

export interface StoreUnderTest {
  readonly store: MigratableStore
  /** Opens a second store on the same state, as another controller would; absent where that is refused. */
  readonly openSecond?: () => Promise<MigratableStore>
  readonly dispose: () => Promise<void>
}

export interface StoreCase {
  readonly name: string
  readonly open: (limits?: { readonly workMs?: number; readonly maxQueuedWrites?: number }) => Promise<StoreUnderTest>
}

const clock = createSystemClock()

export function setMeta(tx: Writer, key: string, value: string): Promise<unknown> {
  return tx
    .insertInto('meta')
    .values({ key, value })
    .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
    .execute()
}

async function getMeta(store: MigratableStore, key: string): Promise<string | undefined> {
  return (await store.read((db) => db.selectFrom('meta').select('value').where('key', '=', key).executeTakeFirst()))?.value
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
    return 'resolved'
  } catch (error) {
    return error instanceof CideryError ? error.code : String(error)
  }
}

function hostRow(id: string) {
  return {
    id,
    name: id,
    pool: 'default',
    state: 'up',
    generation: 1,
    desired_generation: 1,
    last_seen_at: null,
    boot_id: null,
    key_hash: null,
    next_key_hash: null,
    enrolled_at: 1,
    doc: '{}',
  }
}

function jobRow(id: string) {
  return { id, queue: 'default', state: 'queued', priority: 0, submitted_at: 1, ended_at: null, outcome: null, generation: 1, doc: '{}' }
}

function attemptRow(id: string, job: string, number: number) {
  return {
    id,
    job_id: job,
    number,
    host_id: 'host_a',
    state: 'assigned',
    generation: 1,
    revision: 0,
    receipt_at: 1,
    ended_at: null as number | null,
    doc: '{}',
  }
}

function operationRow(id: string, state: string, ended: number | null = null) {
  return { id, host_id: 'host_a', kind: 'exec', state, generation: 1, requested_at: 1, ended_at: ended, doc: '{}' }
}

/** What every store must do; run on each of them. */
export function describeStore(kase: StoreCase): void {
  describe(`a store (${kase.name})`, () => {
    let open: StoreUnderTest
    let store: MigratableStore

    beforeAll(async () => {
      open = await kase.open()
      store = open.store
      await migrate(store, { clock })
      await store.write(async (tx) => {
        await tx.insertInto('hosts').values(hostRow('host_a')).execute()
      })
    })
    afterAll(async () => open.dispose())

    it('answers a write with what its closure returned, and shows it to the next read', async () => {
      const answer = await store.write(async (tx) => {
        await setMeta(tx, 'plain', '1')
        return 7
      })
      expect(answer).toBe(7)
      expect(await getMeta(store, 'plain')).toBe('1')
    })

    it('rolls a closure that throws back to where it began and rejects it alone', async () => {
      const results = await Promise.allSettled(
        [0, 1, 2, 3].map((i) =>
          store.write(async (tx) => {
            await setMeta(tx, `alone${i}`, 'x')
            if (i % 2 === 1) throw new Error(`closure ${i} changed its mind`)
            return i
          }),
        ),
      )
      expect(results.map((result) => result.status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'rejected'])
      expect((results[1] as PromiseRejectedResult).reason).toEqual(new Error('closure 1 changed its mind'))
      const kept = await store.read((db) => db.selectFrom('meta').select('key').where('key', 'like', 'alone%').orderBy('key').execute())
      expect(kept.map((row) => row.key)).toEqual(['alone0', 'alone2'])
    })

    it('runs the closures of one controller one after another', async () => {
      await store.write((tx) => setMeta(tx, 'counter', '0'))
      await Promise.all(
        Array.from({ length: 50 }, () =>
          store.write(async (tx) => {
            const row = await tx.selectFrom('meta').select('value').where('key', '=', 'counter').executeTakeFirstOrThrow()
            await setMeta(tx, 'counter', String(Number(row.value) + 1))
          }),
        ),
      )
      expect(await getMeta(store, 'counter')).toBe('50')
    })

    it('lets a read see one snapshot, and never a batch that is half done', async () => {
      await store.write(async (tx) => {
        await setMeta(tx, 'left', '0')
        await setMeta(tx, 'right', '0')
      })
      const progress = { writing: true }
      const writes = (async () => {
        for (let i = 1; i <= 40; i += 1) {
          await store.write(async (tx) => {
            await setMeta(tx, 'left', String(i))
            await new Promise((resolve) => void setImmediate(resolve))
            await setMeta(tx, 'right', String(i))
          })
        }
        progress.writing = false
      })()
      const seen: (readonly (string | undefined)[])[] = []
      while (progress.writing) {
        seen.push(
          await store.read(async (db) => {
            const left = await db.selectFrom('meta').select('value').where('key', '=', 'left').executeTakeFirst()
            await new Promise((resolve) => void setImmediate(resolve))
            const right = await db.selectFrom('meta').select('value').where('key', '=', 'right').executeTakeFirst()
            return [left?.value, right?.value]
          }),
        )
      }
      await writes
      expect(seen.length).toBeGreaterThan(0)
      for (const [left, right] of seen) expect(left).toBe(right)
    })

    it('never changes anything by a read', async () => {
      expect(await codeOf(store.read((db) => db.insertInto('meta').values({ key: 'by-read', value: 'x' }).execute()))).toBe('INTERNAL')
      expect(await getMeta(store, 'by-read')).toBeUndefined()
    })

    it('fails a write of which a statement failed, also when the closure caught the error', async () => {
      const write = store.write(async (tx) => {
        await setMeta(tx, 'swallowed', 'x')
        await tx
          .insertInto('meta')
          .values({ key: 'swallowed', value: 'y' })
          .execute()
          .catch(() => {
            // What this test is about.
          })
        return 'done'
      })
      expect(await codeOf(write)).toBe('CONFLICT')
      expect(await getMeta(store, 'swallowed')).toBeUndefined()
    })

    it('refuses a transaction inside a transaction instead of waiting for itself', async () => {
      expect(await codeOf(store.write(async () => store.write(async () => 1)))).toBe('INTERNAL')
      expect(await codeOf(store.write(async () => store.read(async () => 1)))).toBe('INTERNAL')
      expect(await codeOf(store.read(async () => store.read(async () => 1)))).toBe('INTERNAL')
    })

    it('lets what a closure left behind use the store once the closure is over', async () => {
      let later: Promise<string | undefined> | undefined
      await store.write(async (tx) => {
        await setMeta(tx, 'left-behind', 'x')
        later = new Promise((resolve) => void setTimeout(resolve, 20)).then(async () => getMeta(store, 'left-behind'))
      })
      expect(await later).toBe('x')
    })

    it('refuses a query that comes after its transaction', async () => {
      let kept: Writer | undefined
      await store.write(async (tx) => {
        kept = tx
      })
      expect(await codeOf(setMeta(kept!, 'late', 'x'))).not.toBe('resolved')
      expect(await getMeta(store, 'late')).toBeUndefined()
    })

    it('keeps 64-bit integers, text of any kind and nulls as they are', async () => {
      const big = Number.MAX_SAFE_INTEGER
      const text = 'ä "quoted" \'single\' \n\r\t \\ 🍏 \u{2028}'
      await store.write(async (tx) => {
        await tx.insertInto('blobs').values({ digest: 'd', size_bytes: big, created_at: -1, last_used_at: 0 }).execute()
        await setMeta(tx, 'text', text)
      })
      const row = await store.read((db) => db.selectFrom('blobs').selectAll().where('digest', '=', 'd').executeTakeFirst())
      expect({ ...row }).toEqual({ digest: 'd', size_bytes: big, created_at: -1, last_used_at: 0 })
      const sum = await store.read((db) =>
        db
          .selectFrom('blobs')
          .select((e) => [e.fn.sum<number>('size_bytes').as('sum'), e.fn.countAll<number>().as('count')])
          .executeTakeFirst(),
      )
      expect({ ...sum }).toEqual({ sum: big, count: 1 })
      expect(await getMeta(store, 'text')).toBe(text)
    })

    it('refuses what is no whole number in a column of numbers', async () => {
      const write = (value: unknown) =>
        store.write((tx) =>
          tx
            .insertInto('blobs')
            .values({ digest: 'bad', size_bytes: value as number, created_at: 0, last_used_at: 0 })
            .execute(),
        )
      expect(await codeOf(write(1.5))).toBe('INTERNAL')
      expect(await codeOf(write('many'))).toBe('INTERNAL')
    })

    it('sorts text by its bytes, whatever the language of the server', async () => {
      const names = ['Zebra', 'apple', 'a-b', 'ab', 'a_b', 'äpfel', '_x', '10', '9']
      await store.write(async (tx) => {
        for (const name of names) await setMeta(tx, `sort:${name}`, name)
      })
      const rows = await store.read((db) => db.selectFrom('meta').select('value').where('key', 'like', 'sort:%').orderBy('key').execute())
      expect(rows.map((row) => row.value)).toEqual(['10', '9', 'Zebra', '_x', 'a-b', 'a_b', 'ab', 'apple', 'äpfel'])
    })

    it('counts the rows that a statement changed, and returns rows where asked', async () => {
      await store.write(async (tx) => {
        await setMeta(tx, 'count1', 'x')
        await setMeta(tx, 'count2', 'x')
        const updated = await tx
          .updateTable('meta')
          .set({ value: 'y' })
          .where('key', 'in', ['count1', 'count2', 'count3'])
          .executeTakeFirst()
        expect(updated.numUpdatedRows).toBe(2n)
        const removed = await tx.deleteFrom('meta').where('key', '=', 'count1').returning('value').execute()
        expect(removed.map((row) => row.value)).toEqual(['y'])
      })
    })

    it('sends a query that was compiled once with the values of each call', async () => {
      const between = compiledOnce((db: Reader, from: string, to: string) =>
        db
          .selectFrom('meta')
          .select('key')
          .where('value', '=', 'same')
          .where('key', '>=', from)
          .where('key', '<', to)
          .orderBy('key')
          .limit(2),
      )
      const keys = async (db: Reader, from: string, to: string): Promise<readonly string[]> =>
        (await between(db, from, to)).map(({ key }) => key)
      await store.write(async (tx) => {
        for (const key of ['once-a', 'once-b', 'once-c', 'once-d']) await setMeta(tx, key, 'same')
        await setMeta(tx, 'once-bb', 'other')
        expect(await keys(tx, 'once-c', 'once-z')).toEqual(['once-c', 'once-d'])
      })
      expect(await store.read(async (db) => [await keys(db, 'once-a', 'once-d'), await keys(db, 'once-d', 'once-z')])).toEqual([
        ['once-a', 'once-b'],
        ['once-d'],
      ])
    })

    it('lets a job have one attempt that has not ended', async () => {
      const insert = (tx: Writer, id: string, number: number) =>
        tx
          .insertInto('attempts')
          .values(attemptRow(id, 'job_a', number))
          .execute()
      await store.write(async (tx) => {
        await tx.insertInto('jobs').values(jobRow('job_a')).execute()
        await insert(tx, 'att_1', 1)
      })
      expect(await codeOf(store.write((tx) => insert(tx, 'att_2', 2)))).toBe('CONFLICT')
      await store.write((tx) => tx.updateTable('attempts').set({ state: 'ended', ended_at: 5 }).where('id', '=', 'att_1').execute())
      expect(await codeOf(store.write((tx) => insert(tx, 'att_2', 2)))).toBe('resolved')
      expect(await codeOf(store.write((tx) => insert(tx, 'att_3', 2)))).toBe('CONFLICT')
    })

    it('lets a host have one operation past PENDING that has not ended', async () => {
      const insert = (id: string, state: string, ended: number | null = null) =>
        codeOf(
          store.write((tx) =>
            tx
              .insertInto('operations')
              .values(operationRow(id, state, ended))
              .execute(),
          ),
        )
      expect(await insert('op_1', 'EXECUTING')).toBe('resolved')
      expect(await insert('op_2', 'PENDING')).toBe('resolved')
      expect(await insert('op_3', 'SUCCESS', 5)).toBe('resolved')
      expect(await insert('op_4', 'VALIDATING')).toBe('CONFLICT')
      expect(
        await codeOf(store.write((tx) => tx.updateTable('operations').set({ state: 'VALIDATING' }).where('id', '=', 'op_2').execute())),
      ).toBe('CONFLICT')
    })

    it('refuses an end without the state of an end', async () => {
      const write = store.write((tx) => tx.updateTable('jobs').set({ ended_at: 5 }).where('id', '=', 'job_a').execute())
      expect(await codeOf(write)).toBe('INTERNAL')
    })

    it('leaves no attempt of a job that retention removed', async () => {
      await store.write(async (tx) => {
        await tx.insertInto('jobs').values(jobRow('job_gone')).execute()
        await tx
          .insertInto('attempts')
          .values(attemptRow('att_gone', 'job_gone', 1))
          .execute()
      })
      await store.write((tx) => tx.deleteFrom('jobs').where('id', '=', 'job_gone').execute())
      expect(await store.read((db) => db.selectFrom('attempts').selectAll().where('job_id', '=', 'job_gone').execute())).toEqual([])
    })

    it('refuses a row about a host that is not there', async () => {
      const row = { ...attemptRow('att_x', 'job_a', 9), host_id: 'host_nobody' }
      expect(await codeOf(store.write((tx) => tx.insertInto('attempts').values(row).execute()))).toBe('CONFLICT')
    })

    it('says what was wrong with a statement, and never with which values', async () => {
      const failure = await store
        .write((tx) => sql`insert into nowhere values (${'s3cret'})`.execute(tx))
        .catch((error: unknown) => error as CideryError)
      expect(failure).toMatchObject({ code: 'INTERNAL' })
      expect(JSON.stringify([failure, (failure as CideryError).message, (failure as CideryError).details])).not.toContain('s3cret')
    })

    it('gives the moment of its clock in milliseconds', async () => {
      const now = await store.now()
      expect(Number.isInteger(now)).toBe(true)
      expect(Math.abs(now - clock.now())).toBeLessThan(60_000)
    })

    it('calls back after a commit that changed something, and not after one that did not', async () => {
      let calls = 0
      const stop = store.onCommit(() => {
        calls += 1
      })
      await store.write((tx) => setMeta(tx, 'heard', 'x'))
      await new Promise((resolve) => void setImmediate(resolve))
      expect(calls).toBe(1)
      await store.write((tx) => tx.selectFrom('meta').selectAll().execute())
      await store.write((tx) => tx.updateTable('meta').set({ value: 'z' }).where('key', '=', 'no such key').execute())
      await new Promise((resolve) => void setImmediate(resolve))
      expect(calls).toBe(1)
      stop()
      await store.write((tx) => setMeta(tx, 'heard', 'y'))
      await new Promise((resolve) => void setImmediate(resolve))
      expect(calls).toBe(1)
    })

    it('shares commits: a thousand writes at once are answered within seconds', async () => {
      const results = await Promise.all(Array.from({ length: 1000 }, (_, i) => store.write((tx) => setMeta(tx, `many${i}`, String(i)))))
      expect(results).toHaveLength(1000)
      const count = await store.read((db) =>
        db
          .selectFrom('meta')
          .select((e) => e.fn.countAll<number>().as('n'))
          .where('key', 'like', 'many%')
          .executeTakeFirst(),
      )
      expect(count?.n).toBe(1000)
    })

    it('gives up a closure that holds it for too long, and goes on with the next', async () => {
      const other = await kase.open({ workMs: 200 })
      try {
        await migrate(other.store, { clock })
        const stuck = other.store.write(async (tx) => {
          await setMeta(tx, 'stuck', 'x')
          await new Promise(() => {
            // Never.
          })
        })
        const next = other.store.write((tx) => setMeta(tx, 'next', 'x'))
        expect(await codeOf(stuck)).toBe('UNAVAILABLE')
        await next
        expect(await getMeta(other.store, 'stuck')).toBeUndefined()
        expect(await getMeta(other.store, 'next')).toBe('x')
        expect(await codeOf(other.store.read(async () => new Promise(() => {})))).toBe('UNAVAILABLE')
        expect(await getMeta(other.store, 'next')).toBe('x')
      } finally {
        await other.dispose()
      }
    })

    it('refuses writes when too many wait, and takes them again afterwards', async () => {
      const other = await kase.open({ maxQueuedWrites: 5 })
      try {
        await migrate(other.store, { clock })
        const codes = await Promise.all(Array.from({ length: 9 }, (_, i) => codeOf(other.store.write((tx) => setMeta(tx, `k${i}`, 'x')))))
        expect(codes.filter((code) => code === 'UNAVAILABLE').length).toBeGreaterThan(0)
        expect(codes.slice(0, 5)).toEqual(['resolved', 'resolved', 'resolved', 'resolved', 'resolved'])
        expect(await codeOf(other.store.write((tx) => setMeta(tx, 'again', 'x')))).toBe('resolved')
      } finally {
        await other.dispose()
      }
    })

    it('finishes what was begun when it is closed, and refuses the rest', async () => {
      const other = await kase.open()
      try {
        await migrate(other.store, { clock })
        const begun = other.store.write((tx) => setMeta(tx, 'begun', 'x'))
        const closing = other.store.close()
        expect(await codeOf(other.store.write((tx) => setMeta(tx, 'after', 'x')))).toBe('UNAVAILABLE')
        expect(await codeOf(other.store.read((db) => db.selectFrom('meta').selectAll().execute()))).toBe('UNAVAILABLE')
        await begun
        await closing
        await other.store.close()
      } finally {
        await other.dispose()
      }
    })

    it('takes when hosts and what runs there were last heard of in one go, and no older moment over a newer one', async () => {
      const moment = 1_790_000_000_000
      await store.write(async (tx) => {
        for (const id of ['host_heard', 'host_silent', 'host_later']) await tx.insertInto('hosts').values(hostRow(id)).execute()
        for (const [place, ended_at] of [null, 5].entries()) {
          const state = ended_at === null ? 'running' : 'ended'
          await tx
            .insertInto('jobs')
            .values(jobRow(`job_heard_${place}`))
            .execute()
          const row = { ...attemptRow(`att_heard_${place}`, `job_heard_${place}`, 1), host_id: 'host_heard', state, ended_at }
          await tx.insertInto('attempts').values(row).execute()
        }
        await tx
          .updateTable('hosts')
          .set({ last_seen_at: moment + 9 })
          .where('id', '=', 'host_later')
          .execute()
      })
      const heard = new Map([
        ['host_heard', moment],
        ['host_later', moment],
        ['host_unknown', moment],
      ])
      await store.write((tx) => recordLastSeen(tx, heard))
      const seen = await store.read(async (db) => {
        const hosts = await db
          .selectFrom('hosts')
          .select(['id', 'last_seen_at'])
          .where('id', 'in', ['host_heard', 'host_later', 'host_silent'])
          .orderBy('id')
          .execute()
        const attempts = await db
          .selectFrom('attempts')
          .select(['id', 'receipt_at'])
          .where('host_id', '=', 'host_heard')
          .orderBy('id')
          .execute()
        return { hosts, attempts }
      })
      expect(seen.hosts).toEqual([
        { id: 'host_heard', last_seen_at: moment },
        { id: 'host_later', last_seen_at: moment + 9 },
        { id: 'host_silent', last_seen_at: null },
      ])
      expect(seen.attempts).toEqual([
        { id: 'att_heard_0', receipt_at: moment },
        { id: 'att_heard_1', receipt_at: 1 },
      ])
    })

    it('migrates once, and a second time changes nothing', async () => {
      expect(await migrate(store, { clock })).toMatchObject({ from: schemaNumber, to: schemaNumber, copy: null })
    })
  })
}
