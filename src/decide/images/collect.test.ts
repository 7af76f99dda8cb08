import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { StoredImage } from '../../model/image/stored.ts'
import { day, hour } from '../../model/instant.ts'
import { collectImages, type KeptLayer, type Stock } from './collect.ts'

const now = 100 * day
const gib = 1024 ** 3

function image(id: string, changes: Partial<StoredImage> & { readonly line?: string | null; readonly builtAt?: number } = {}): StoredImage {
  const { line = 'macos-15', builtAt = now, ...rest } = changes
  return {
    id,
    engine: 'qemu',
    metadata: {
      build: id,
      image: line,
      name: id,
      engine: 'qemu',
      recipe: null,
      base: null,
      productVersion: null,
      guest: { os: 'debian', release: '12', arch: 'x64' },
      builtAt,
      builtOn: 'a',
      tools: [],
      labels: {},
    },
    reference: null,
    sizeBytes: gib,
    storedAt: builtAt,
    lastUsedAt: builtAt,
    users: [],
    problems: [],
    ...rest,
  }
}

const stockOf = (changes: Partial<Stock> = {}): Stock => ({
  images: [],
  layers: [],
  held: new Map(),
  retention: { age: 7 * day, count: 1, budgetBytes: null, freeFloorBytes: 10 * gib },
  room: { usedBytes: 0, freeBytes: 100 * gib },
  neededBytes: 0,
  ...changes,
})

const stocks: fc.Arbitrary<Stock> = fc
  .record({
    images: fc.array(
      fc.record({
        line: fc.constantFrom('macos-14', 'macos-15', null),
        builtAt: fc.integer({ min: now - 30 * day, max: now }),
        sizeBytes: fc.integer({ min: 0, max: 50 }).map((size) => size * gib),
        users: fc.constantFrom<string[]>([], [], [], ['att_1']),
        problems: fc.constantFrom<string[]>([], [], [], ['vmlinuz is missing']),
        isHeld: fc.boolean(),
      }),
      { maxLength: 12 },
    ),
    layers: fc.array(fc.record({ age: fc.integer({ min: 0, max: 30 * day }), size: fc.integer({ min: 0, max: 20 }) }), { maxLength: 6 }),
    age: fc.integer({ min: 0, max: 20 * day }),
    count: fc.integer({ min: 0, max: 4 }),
    budget: fc.option(fc.integer({ min: 0, max: 400 })),
    floor: fc.integer({ min: 0, max: 100 }),
    free: fc.integer({ min: 0, max: 200 }),
    needed: fc.integer({ min: 0, max: 100 }),
  })
  .map((given): Stock => {
    const images = given.images.map((each, index) => image(`bld_${index}`, each))
    const layers = given.layers.map(({ age, size }, index): KeptLayer => ({
      key: `f${index}`,
      sizeBytes: size * gib,
      lastUsedAt: now - age,
    }))
    return {
      images,
      layers,
      held: new Map(given.images.flatMap(({ isHeld }, index) => (isHeld ? [[`bld_${index}`, 'promoted'] as const] : []))),
      retention: {
        age: given.age,
        count: given.count,
        budgetBytes: given.budget === null ? null : given.budget * gib,
        freeFloorBytes: given.floor * gib,
      },
      room: { usedBytes: [...images, ...layers].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0), freeBytes: given.free * gib },
      neededBytes: given.needed * gib,
    }
  })

const removedOf = (stock: Stock): readonly string[] => collectImages(stock, now).remove.map(({ id }) => id)

/** The same host after what was said has been done. */
function after(stock: Stock): Stock {
  const { remove } = collectImages(stock, now)
  const gone = new Set(remove.map(({ id }) => id))
  const freed = remove.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  return {
    ...stock,
    images: stock.images.filter(({ id }) => !gone.has(id)),
    layers: stock.layers.filter(({ key }) => !gone.has(key)),
    room: { usedBytes: stock.room.usedBytes - freed, freeBytes: stock.room.freeBytes + freed },
  }
}

describe('what a host removes of its images', () => {
  it('never one that is in use, held or half there, nor the newest whole build of a line', () => {
    fc.assert(
      fc.property(stocks, (stock) => {
        const removed = new Set(removedOf(stock))
        for (const { id, users } of stock.images) if (users.length > 0 || stock.held.has(id)) expect(removed.has(id)).toBe(false)
        for (const line of ['macos-14', 'macos-15']) {
          const whole = stock.images.filter(({ metadata, problems }) => metadata?.image === line && problems.length === 0)
          expect(whole.length === 0 || whole.some(({ id }) => !removed.has(id))).toBe(true)
          const newest = Math.max(...whole.map(({ metadata }) => metadata?.builtAt ?? 0))
          expect(whole.length === 0 || whole.some(({ id, metadata }) => metadata?.builtAt === newest && !removed.has(id))).toBe(true)
        }
      }),
    )
  })

  it('says of everything whether it goes or stays, and why', () => {
    fc.assert(
      fc.property(stocks, (stock) => {
        const { remove, keep } = collectImages(stock, now)
        const said = [...remove, ...keep].map(({ id }) => id).toSorted()
        expect(said).toEqual([...stock.images.map(({ id }) => id), ...stock.layers.map(({ key }) => key)].toSorted())
        for (const { reason } of [...remove, ...keep]) expect(reason).not.toBe('')
      }),
    )
  })

  it('leaves nothing to do once it was done, and removes no more than what is asked', () => {
    fc.assert(
      fc.property(stocks, (stock) => {
        expect(removedOf(after(stock))).toEqual([])
        const { remove, shortBytes } = collectImages(stock, now)
        const forRoom = remove.filter(({ reason }) => !/not whole|nobody used/.test(reason))
        // Without the last of them the room would not suffice.
        if (forRoom.length > 0 && shortBytes === 0) {
          const freed = remove.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) - (forRoom.at(-1)?.sizeBytes ?? 0)
          const { retention, room, neededBytes } = stock
          const belowFloor = room.freeBytes + freed < retention.freeFloorBytes + neededBytes
          const aboveBudget = retention.budgetBytes !== null && room.usedBytes - freed + neededBytes > retention.budgetBytes
          expect(belowFloor || aboveBudget).toBe(true)
        }
      }),
    )
  })

  it('old ones go only when enough newer ones are there [001-26] [001-27]', () => {
    const images = [0, 8, 9, 10].map((age) => image(`bld_${age}`, { builtAt: now - age * day }))
    const retention = { age: 7 * day, count: 2, budgetBytes: null, freeFloorBytes: 0 }
    expect(removedOf(stockOf({ images, retention }))).toEqual(['bld_10', 'bld_9'])
    expect(removedOf(stockOf({ images: images.slice(1), retention }))).toEqual(['bld_10'])
    expect(removedOf(stockOf({ images: images.slice(1, 2), retention }))).toEqual([])
  })

  it('below the floor, layers go before images, and of each the one that was used longest ago', () => {
    const stock = stockOf({
      images: [
        image('bld_new'),
        image('bld_used', { builtAt: now - 3 * day, lastUsedAt: now - hour }),
        image('bld_old', { builtAt: now - 2 * day }),
      ],
      layers: [{ key: 'aa', sizeBytes: gib, lastUsedAt: now }],
      room: { usedBytes: 4 * gib, freeBytes: 8 * gib },
    })
    expect(collectImages(stock, now).remove).toEqual([
      { kind: 'layer', id: 'aa', sizeBytes: gib, reason: 'the disk has too little free space' },
      { kind: 'image', id: 'bld_old', sizeBytes: gib, reason: 'the disk has too little free space' },
    ])
  })

  it('says how much is missing when nothing more may go', () => {
    const images = [image('bld_1', { users: ['att_1'] })]
    expect(collectImages(stockOf({ images, room: { usedBytes: gib, freeBytes: 4 * gib }, neededBytes: 20 * gib }), now)).toMatchObject({
      remove: [],
      shortBytes: 26 * gib,
    })
  })
})
