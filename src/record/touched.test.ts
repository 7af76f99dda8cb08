import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { sharedStore } from '../../test/doubles/shared-store.ts'
import { createSystemClock } from '../drivers/clocks/system-clock.ts'
import { createSystemTimers } from '../drivers/clocks/system-timers.ts'
import { createSqliteStore } from '../drivers/stores/sqlite/sqlite-store.ts'
import type { MigratableStore } from '../ports/store.ts'
import { announceTouched, readAnnouncement, type Subject, type Touched } from './touched.ts'

let base: MigratableStore
beforeEach(async () => {
  base = await createSqliteStore({ path: ':memory:', clock: createSystemClock(), timers: createSystemTimers() })
})
afterEach(() => base.close())

/** What another controller on the same store hears. */
async function textsOf(rows: Touched['rows'], desiredOf: ReadonlySet<string>): Promise<readonly string[]> {
  const shared = sharedStore(base)
  const { store } = shared.connect(createSystemTimers())
  const texts: string[] = []
  shared.connect(createSystemTimers()).store.onAnnounced((text) => texts.push(text ?? ''))
  await store.write((tx) => announceTouched(store, tx, { rows, desiredOf }))
  return texts
}

/** Ids as long as the longest. */
function ids(prefix: string, count: number): ReadonlySet<string> {
  return new Set(Array.from({ length: count }, (_, number) => `${prefix}_${String(number).padStart(39 - prefix.length, '0')}`))
}

describe('what a commit tells the other controllers', () => {
  it('is one text for all that a step changes: the job, its attempt, the host, and that the host should look different', async () => {
    const rows = new Map<Subject, ReadonlySet<string>>([
      ['job', new Set(['job_1'])],
      ['attempt', new Set(['att_1'])],
      ['host', new Set(['host_1'])],
    ])
    const texts = await textsOf(rows, new Set(['host_1']))
    expect(texts).toHaveLength(1)
    expect(readAnnouncement(texts[0] ?? '')).toEqual({ rows, desiredOf: new Set(['host_1']), heardOf: [] })
  })

  it('is nothing when nothing changed', async () => {
    expect(await textsOf(new Map(), new Set())).toEqual([])
  })

  it('loses none of many, in texts that a store takes', async () => {
    const [jobs, hosts, desired] = [ids('job', 130), ids('host', 70), ids('host', 90)]
    const texts = await textsOf(
      new Map<Subject, ReadonlySet<string>>([
        ['job', jobs],
        ['host', hosts],
      ]),
      desired,
    )
    expect(texts).toHaveLength(4)
    for (const text of texts) expect(Buffer.byteLength(text)).toBeLessThanOrEqual(4096)
    const heard = texts.map((text) => readAnnouncement(text))
    const all = (of: Subject) => new Set(heard.flatMap((one) => [...(one?.rows.get(of) ?? [])]))
    expect([all('job'), all('host')]).toEqual([jobs, hosts])
    expect(new Set(heard.flatMap((one) => [...(one?.desiredOf ?? [])]))).toEqual(desired)
  })
})
