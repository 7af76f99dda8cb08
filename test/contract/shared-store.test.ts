import { afterEach, describe, expect, it } from 'vitest'
import { createSystemClock } from '../../src/drivers/clocks/system-clock.ts'
import { createSystemTimers } from '../../src/drivers/clocks/system-timers.ts'
import { createSqliteStore } from '../../src/drivers/stores/sqlite/sqlite-store.ts'
import type { MigratableStore } from '../../src/ports/store.ts'
import { sharedStore } from '../doubles/shared-store.ts'

describe('a controller on a shared store', () => {
  const opened: MigratableStore[] = []
  afterEach(async () => {
    for (const store of opened.splice(0)) await store.close()
  })

  async function connect() {
    const timers = createSystemTimers()
    const base = await createSqliteStore({ path: ':memory:', clock: createSystemClock(), timers })
    opened.push(base)
    return sharedStore(base).connect(timers)
  }

  it.each(['killed before', 'killed after'] as const)('is %s the use that was named, though others are under way', async (how) => {
    const { store, life } = await connect()
    life.strikeAt(2, how)
    const answered: number[] = []
    const begun: number[] = []
    for (const use of [1, 2, 3, 4]) {
      const work = async (): Promise<void> => void begun.push(use)
      void store.read(work).then(() => answered.push(use))
    }
    await life.died
    await new Promise((resolve) => void setImmediate(resolve))
    expect(life.alive()).toBe(false)
    expect(begun.includes(2)).toBe(how === 'killed after')
    expect(answered).not.toContain(2)
  })

  it('stands still before the use that was named, with all others that are under way, until it goes on', async () => {
    const { store, life } = await connect()
    life.strikeAt(2, 'frozen')
    const answered: number[] = []
    const all = [1, 2, 3].map((use) => store.read(async () => use).then((value) => answered.push(value)))
    await new Promise((resolve) => void setImmediate(resolve))
    expect({ frozen: life.frozen(), alive: life.alive(), answered }).toEqual({ frozen: true, alive: true, answered: [] })
    life.thaw()
    await Promise.all(all)
    expect(new Set(answered)).toEqual(new Set([1, 2, 3]))
    expect(life.frozen()).toBe(false)
  })
})
