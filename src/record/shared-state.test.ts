import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { virtualTime, type VirtualTime } from '../../test/doubles/virtual-time.ts'
import { createSqliteStore } from '../drivers/stores/sqlite/sqlite-store.ts'
import type { Blobs } from '../ports/blobs.ts'
import type { MigratableStore } from '../ports/store.ts'
import { memoryBlobs } from '../simulate/blobs.ts'
import { migrate } from './migrate.ts'
import { renewBlobMark, requireSameBlobs, requireSameKeys } from './shared-state.ts'

let time: VirtualTime
let store: MigratableStore

beforeEach(async () => {
  time = virtualTime()
  store = await createSqliteStore({ path: ':memory:', ...time })
  await migrate(store, time)
})
afterEach(() => store.close())

const newBlobs = (): Blobs => memoryBlobs({ now: time.clock.now })
const guard = async (): Promise<void> => undefined

async function namesOf(blobs: Blobs): Promise<readonly string[]> {
  const names: string[] = []
  for await (const { name } of blobs.list('marks/')) names.push(name)
  return names
}

/** Whether a start with these blobs is accepted, in virtual time. */
async function accepts(blobs: Blobs): Promise<true | string> {
  const asked = requireSameBlobs({ store, blobs }, time.timers).then(
    () => true as const,
    (error: Error) => error.message,
  )
  await time.advance(20_000)
  return asked
}

describe('blobs of several controllers', () => {
  it('are taken for the same when what one wrote is read through the other', async () => {
    const shared = newBlobs()
    expect(await accepts(shared)).toBe(true)
    await renewBlobMark({ store, blobs: shared }, { mark: 'one', guard })
    expect(await accepts(shared)).toBe(true)
    expect(await accepts(newBlobs())).toContain('are not those of the other controllers')
  })

  it('are told from a copy of the folder by the next mark, and hold one mark only', async () => {
    const [shared, copy] = [newBlobs(), newBlobs()]
    await renewBlobMark({ store, blobs: shared }, { mark: 'one', guard })
    await copy.append('marks/one', 0, Buffer.from('one'))
    expect(await accepts(copy)).toBe(true)
    await renewBlobMark({ store, blobs: shared }, { mark: 'two', guard })
    expect(await accepts(copy)).toContain('a mark that one of them wrote is not here')
    expect(await namesOf(shared)).toEqual(['marks/two'])
  })

  it('may show a little later what another machine wrote', async () => {
    const late = newBlobs()
    await renewBlobMark({ store, blobs: newBlobs() }, { mark: 'one', guard })
    const asked = requireSameBlobs({ store, blobs: late }, time.timers)
    await time.advance(10_000)
    await late.append('marks/one', 0, Buffer.from('one'))
    await time.advance(1000)
    await expect(asked).resolves.toBeUndefined()
  })

  it('are not marked by one that leads no more', async () => {
    const blobs = newBlobs()
    await renewBlobMark({ store, blobs }, { mark: 'one', guard })
    const stale = renewBlobMark({ store, blobs }, { mark: 'two', guard: () => Promise.reject(new Error('deposed')) })
    await expect(stale).rejects.toThrow('deposed')
    expect(await accepts(blobs)).toBe(true)
  })
})

describe('keys of several controllers', () => {
  it('are those of the first, and others are refused by the name of their file', async () => {
    const keys = { journal: 'j1', secrets: 's1' }
    await requireSameKeys(store, keys)
    await requireSameKeys(store, keys)
    for (const [name, other] of [
      ['journal', { ...keys, journal: 'j2' }],
      ['secrets', { ...keys, secrets: 's2' }],
    ] as const) {
      await expect(requireSameKeys(store, other)).rejects.toMatchObject({
        code: 'CONFLICT',
        message: expect.stringContaining(`keys/${name}.key`),
        hint: expect.stringContaining('copy keys/ and tls/'),
      })
    }
  })
})
