import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createSystemClock } from '../drivers/clocks/system-clock.ts'
import { createSystemTimers } from '../drivers/clocks/system-timers.ts'
import { createSqliteStore } from '../drivers/stores/sqlite/sqlite-store.ts'
import type { MigratableStore } from '../ports/store.ts'
import { readLead, releaseLead, renewLead, requireEpoch, takeLead, type TakeLeadOptions } from './lead.ts'
import { migrate } from './migrate.ts'

let store: MigratableStore
beforeEach(async () => {
  const clock = createSystemClock()
  store = await createSqliteStore({ path: ':memory:', clock, timers: createSystemTimers() })
  await migrate(store, { clock })
})
afterEach(() => store.close())

function take(holder: string, now: number, more: Partial<TakeLeadOptions> = {}) {
  return store.write((tx) => takeLead(tx, { holder, now, ttl: 100, ...more }))
}

describe('the lead', () => {
  it('is taken by the first, under epoch 1', async () => {
    expect(await store.read(readLead)).toBeNull()
    expect(await take('one', 1000)).toEqual({ epoch: 1, holder: 'one', expiresAt: 1100 })
    expect(await store.read(readLead)).toEqual({ epoch: 1, holder: 'one', expiresAt: 1100 })
  })

  it('stays with its holder until the lease is over, and goes to the next under a higher epoch', async () => {
    await take('one', 1000)
    expect(await take('two', 1099)).toBeNull()
    expect(await take('two', 1100)).toEqual({ epoch: 2, holder: 'two', expiresAt: 1200 })
  })

  it('is held on to by renewing', async () => {
    await take('one', 1000)
    expect(await store.write((tx) => renewLead(tx, { epoch: 1, now: 1090, ttl: 100 }))).toMatchObject({ epoch: 1, expiresAt: 1190 })
    expect(await take('two', 1150)).toBeNull()
  })

  it('can be renewed late when nobody else took it', async () => {
    await take('one', 1000)
    expect(await store.write((tx) => renewLead(tx, { epoch: 1, now: 5000, ttl: 100 }))).toMatchObject({ expiresAt: 5100 })
  })

  it('refuses everything of an epoch that is over', async () => {
    await take('one', 1000)
    await take('two', 2000)
    const stale = { code: 'STALE_EPOCH', details: { epoch: 1, leads: 2 } }
    await expect(store.write((tx) => renewLead(tx, { epoch: 1, now: 2001, ttl: 100 }))).rejects.toMatchObject(stale)
    await expect(store.write((tx) => releaseLead(tx, 1))).rejects.toMatchObject(stale)
    await expect(store.read((db) => requireEpoch(db, 1))).rejects.toMatchObject(stale)
    expect(await store.read((db) => requireEpoch(db, 2))).toMatchObject({ holder: 'two' })
  })

  it('is free at once when it was given up', async () => {
    await take('one', 1000)
    await store.write((tx) => releaseLead(tx, 1))
    expect(await take('two', 1001)).toMatchObject({ epoch: 2 })
  })

  it('is taken from the dead without waiting by who is alone on the state', async () => {
    await take('dead', 1000, { ttl: 60_000 })
    expect(await take('next', 1001)).toBeNull()
    expect(await take('next', 1001, { alone: true })).toMatchObject({ epoch: 2, holder: 'next' })
  })

  it('rises by one with every taking, also by the same holder', async () => {
    for (let epoch = 1; epoch <= 5; epoch += 1) expect(await take('one', 1000)).toMatchObject({ epoch })
  })
})
