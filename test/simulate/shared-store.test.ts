import { sql } from 'kysely'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { simulationDrivers } from '../../src/main/simulate.ts'
import type { MigratableStore, Writer } from '../../src/ports/store.ts'
import { newLife, type Life } from '../../src/simulate/life.ts'
import { openSharedStore, type Look, type SharedStore } from '../../src/simulate/shared-store.ts'
import { virtualTime, type VirtualTime } from '../../src/simulate/virtual-time.ts'
import { turn } from './turn.ts'

let time: VirtualTime
let store: SharedStore
let look: Look
let commits: number

beforeEach(async () => {
  time = virtualTime({ turn })
  commits = 0
  store = await openSharedStore(simulationDrivers().openStore(time), {
    timers: time.timers,
    committed: (looking) => {
      commits += 1
      look = looking
    },
  })
  await store.own.write((tx) => sql`create table things (name text primary key)`.execute(tx))
})

afterEach(() => store.own.close())

function connect(name = 'controller-1'): { readonly life: Life; readonly db: MigratableStore } {
  const life = newLife()
  return { life, db: store.connect(life, name) }
}

async function add(tx: Writer, name: string): Promise<void> {
  await sql`insert into "things" ("name") values (${name})`.execute(tx)
}

function names(): readonly unknown[] {
  return look('select name from things order by name').map((row) => (row as { readonly name: string }).name)
}

/** What came of it in so much time: `done`, an error's code or words, or nothing. */
async function fate(work: Promise<unknown>, ms = 60_000): Promise<string> {
  let result = 'nothing'
  work.then(
    () => (result = 'done'),
    (error: Error & { readonly code?: string }) => (result = error.code ?? error.message),
  )
  await time.runTo(time.elapsed() + ms)
  return result
}

describe('a database that controllers share', () => {
  it('keeps what was committed and nothing of a transaction that its process died in, at whichever statement', async () => {
    const survivor = connect('controller-2')
    for (let statement = 1; statement <= 3; statement += 1) {
      const { life, db } = connect()
      await db.write((tx) => add(tx, `kept-${statement}`))
      life.endAtStatement(statement)
      const half = db.write(async (tx) => {
        await add(tx, `half-${statement}`)
        await add(tx, `other half-${statement}`)
      })
      // It sends two statements: a death at the third finds it committed.
      const isThrough = statement > 2
      expect(await fate(half)).toBe(isThrough ? 'done' : 'nothing')
      expect(life.alive).toBe(isThrough)
      await survivor.db.write((tx) => add(tx, `after-${statement}`))
    }
    expect(names()).toEqual(['after-1', 'after-2', 'after-3', 'half-3', 'kept-1', 'kept-2', 'kept-3', 'other half-3'])
  })

  it('that is full takes no change, and still answers', async () => {
    const { db } = connect()
    await db.write((tx) => add(tx, 'before'))
    store.faults.full = true
    expect(await fate(db.write((tx) => add(tx, 'in vain')))).toBe('STORAGE_FULL')
    expect(await fate(db.read((reader) => sql`select * from things`.execute(reader)))).toBe('done')
    store.faults.full = false
    expect(await fate(db.write((tx) => add(tx, 'later')))).toBe('done')
    expect(names()).toEqual(['before', 'later'])
  })

  it('whose commits fail has nothing of them, and tells nobody of one', async () => {
    const { db } = connect()
    const before = commits
    store.faults.commitFails = true
    expect(await fate(db.write((tx) => add(tx, 'in vain')))).toBe('UNAVAILABLE')
    store.faults.commitFails = false
    expect(commits).toBe(before)
    expect(await fate(db.write((tx) => add(tx, 'later')))).toBe('done')
    expect(names()).toEqual(['later'])
  })

  it('that is slow does one thing after the other', async () => {
    const { db } = connect()
    store.faults.slowMs = 1000
    const done: (readonly [string, number])[] = []
    for (const name of ['one', 'two', 'three']) void db.write((tx) => add(tx, name)).then(() => done.push([name, time.elapsed()]))
    await time.runTo(10_000)
    expect(done.map(([name]) => name)).toEqual(['one', 'two', 'three'])
    expect(done[0]?.[1]).toBeGreaterThanOrEqual(1000)
  })

  it('cannot be reached by one, and by the other it can', async () => {
    const [one, other] = [connect('controller-1'), connect('controller-2')]
    store.faults.unreachableFor.add('controller-1')
    expect(await fate(one.db.write((tx) => add(tx, 'in vain')))).toBe('UNAVAILABLE')
    expect(await fate(other.db.write((tx) => add(tx, 'there')))).toBe('done')
    store.faults.unreachableFor.delete('controller-1')
    expect(await fate(one.db.write((tx) => add(tx, 'back')))).toBe('done')
    expect(names()).toEqual(['back', 'there'])
  })

  it('tells the others what one announced once it is committed, and only then', async () => {
    const [one, other] = [connect('controller-1'), connect('controller-2')]
    const heard: (string | null)[] = []
    one.db.onAnnounced((text) => heard.push(`self: ${text ?? ''}`))
    other.db.onAnnounced((text) => heard.push(text))
    store.faults.commitFails = true
    await fate(one.db.write((tx) => one.db.announce(tx, 'nothing of it')))
    store.faults.commitFails = false
    await fate(
      one.db.write(async (tx) => {
        await add(tx, 'x')
        await one.db.announce(tx, 'job 1')
        expect(heard).toEqual([])
      }),
    )
    expect(heard).toEqual(['job 1'])
    other.life.freeze()
    await fate(one.db.write((tx) => one.db.announce(tx, 'job 2')))
    expect(heard).toEqual(['job 1'])
    other.life.thaw()
    await turn()
    expect(heard).toEqual(['job 1', 'job 2'])
    other.life.end()
    await turn()
    await fate(one.db.write((tx) => one.db.announce(tx, 'job 3')))
    expect(heard).toEqual(['job 1', 'job 2'])
  })
})
