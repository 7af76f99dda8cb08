import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { createSystemClock } from '../../src/drivers/clocks/system-clock.ts'
import { createSystemTimers } from '../../src/drivers/clocks/system-timers.ts'
import { createSystemRandom } from '../../src/drivers/randoms/system-random.ts'
import { createPostgresStore } from '../../src/drivers/stores/postgres/postgres-store.ts'
import { createSqliteStore } from '../../src/drivers/stores/sqlite/sqlite-store.ts'
import type { BuildId, HostId } from '../../src/model/id.ts'
import type { BuildReport } from '../../src/model/image/build.ts'
import type { MigratableStore } from '../../src/ports/store.ts'
import { buildsOfImage, promotedBuilds, readBuild } from '../../src/record/build-list.ts'
import { recordBuildReport, startBuild } from '../../src/record/builds.ts'
import { createRecorder, type Recorder } from '../../src/record/commit.ts'
import { readAllChanges, readChanges } from '../../src/record/feed.ts'
import { dropHold, holdBuild, imagesOfHosts } from '../../src/record/image-holds.ts'
import { readLine } from '../../src/record/image-lines.ts'
import { countAssigned, countEnded, promoteByStep, rollBack, rollBackCanary, startCanary } from '../../src/record/image-promotion.ts'
import { putRecipe } from '../../src/record/image-recipes.ts'
import { forceReadiness, noteReady, removeBuild } from '../../src/record/image-states.ts'
import { migrate } from '../../src/record/migrate.ts'
import { hostDoc } from '../../src/record/rows.ts'
import { idOf } from '../decide/build-world.ts'
import { givenRecipe } from '../doubles/image-recipes.ts'
import { startPostgres } from './postgres-server.ts'

const clock = createSystemClock()
const timers = createSystemTimers()
const server = await startPostgres()
afterAll(() => server.stop())

const kinds = {
  sqlite: () => createSqliteStore({ path: ':memory:', clock, timers }),
  postgres: async () => createPostgresStore({ url: await server.createDatabase(), timers, random: createSystemRandom() }),
}

const image = 'macos-15'
const hostId: HostId = idOf('host', 1)

describe.each(Object.entries(kinds))('images in the record (%s)', (_kind, open) => {
  let store: MigratableStore
  let recorder: Recorder

  beforeEach(async () => {
    store = await open()
    await migrate(store, { clock })
    recorder = createRecorder({ store, clock, append: async () => {} })
    await store.write((tx) =>
      tx
        .insertInto('hosts')
        .values({
          id: hostId,
          name: 'mini-1',
          pool: 'default',
          state: 'up',
          generation: 1,
          desired_generation: 1,
          last_seen_at: null,
          boot_id: 'boot-1',
          key_hash: null,
          next_key_hash: null,
          enrolled_at: 1,
          doc: hostDoc({ labels: {}, schedulable: { kind: 'open' }, facts: null, failureStreak: 0, repairedAt: null }),
        })
        .execute(),
    )
    return async () => {
      recorder.close()
      await store.close()
    }
  })

  const write = <T>(work: Parameters<typeof recorder.write<T>>[1]): Promise<T> =>
    recorder.write({ actor: 'user:alice', origin: null }, work)
  const line = () => recorder.read((db) => readLine(db, image))

  async function begin(number: number): Promise<{ readonly id: BuildId; readonly applied: string }> {
    const id: BuildId = idOf('bld', number)
    const { generation, recipe } = await line()
    const applied = await write((tx) =>
      startBuild(tx, {
        id,
        image,
        lineGeneration: generation,
        recipeGeneration: recipe?.generation ?? 0,
        hostId,
        hostGeneration: 1,
        fromBase: false,
        dueAt: null,
        why: 'test',
        timeoutMs: null,
        naming: () => ({ name: 'macos', pushTo: null }),
      }),
    )
    return { id, applied }
  }

  function report(id: string, change: Partial<BuildReport>): BuildReport {
    const nothing = { phases: [], tools: [], metadata: null, sizeBytes: 1, reference: null, flakiness: null, pushSkipped: '', logBytes: 0 }
    return { id, generation: 1, revision: 1, state: 'built', reason: '', ...nothing, ...change }
  }

  async function built(number: number): Promise<BuildId> {
    const { id } = await begin(number)
    await write((tx) => recordBuildReport(tx, hostId, report(id, {})))
    return id
  }

  async function promotion(buildId: BuildId) {
    const build = await recorder.read((db) => readBuild(db, buildId))
    return { buildId, generation: build.generation, image, lineGeneration: (await line()).generation, why: 'test' }
  }

  async function promote(buildId: BuildId): Promise<string> {
    const step = await promotion(buildId)
    return write((tx) => promoteByStep(tx, step))
  }

  it('keep one build of an image under way, also against one who does not ask', async () => {
    await write((tx) => putRecipe(tx, image, givenRecipe(image)))
    const first = await begin(1)
    expect([first.applied, (await begin(2)).applied]).toEqual(['done', 'stale'])
    const row = await store.read((db) => db.selectFrom('builds').selectAll().executeTakeFirstOrThrow())
    await expect(
      store.write((tx) =>
        tx
          .insertInto('builds')
          .values({ ...row, id: 'bld_other', name: 'other' })
          .execute(),
      ),
    ).rejects.toThrow(/unique/i)
    // Late and repeated reports change nothing, nor does one of another host.
    await write((tx) => recordBuildReport(tx, hostId, report(first.id, { state: 'building', reason: 'half way', revision: 2 })))
    expect(await write((tx) => recordBuildReport(tx, hostId, report(first.id, { revision: 1 })))).toEqual({
      id: first.id,
      revision: 2,
      ended: false,
    })
    expect(await write((tx) => recordBuildReport(tx, idOf('host', 2), report(first.id, { revision: 9 })))).toMatchObject({ ended: true })
    expect(await recorder.read((db) => readBuild(db, first.id))).toMatchObject({ state: 'building', reason: 'half way', generation: 1 })
  })

  it('promote one build at a time, keep the last good one, and take a canary back with what it counted', async () => {
    await write((tx) => putRecipe(tx, image, givenRecipe(image)))
    const first = await built(1)
    expect(await promote(first)).toBe('done')
    const second = await built(2)
    const stale = await promotion(second)
    expect(await write((tx) => startCanary(tx, stale))).toBe('done')
    expect(await write((tx) => promoteByStep(tx, stale))).toBe('stale')
    await write(async (tx) => {
      await countAssigned(tx, image, second)
      await countAssigned(tx, image, first)
      await countEnded(tx, second, { kind: 'infrastructure', part: 'boot', code: 'X', message: 'x' })
      await countEnded(tx, first, { kind: 'exited', code: 1 })
      await countEnded(tx, first, { kind: 'cancelled', by: 'user:alice' })
    })
    expect((await line()).canary).toMatchObject({
      assigned: { canary: 1, control: 1 },
      ended: { canary: { jobs: 1, failures: 1 }, control: { jobs: 1, failures: 0 } },
    })
    const back = await promotion(second)
    expect(await write((tx) => rollBackCanary(tx, back))).toBe('done')
    expect(await line()).toMatchObject({ canary: null, promoted: first, rejected: [second] })
    const third = await built(3)
    expect(await promote(third)).toBe('done')
    expect(await line()).toMatchObject({ promoted: third, lastGood: first })
    await expect(write((tx) => removeBuild(tx, first))).rejects.toMatchObject({ code: 'CONFLICT' })
    await write((tx) => rollBack(tx, image, ''))
    expect(await line()).toMatchObject({ promoted: first, lastGood: null })
    expect(await recorder.read(promotedBuilds)).toEqual(new Map([[image, first]]))
    await write((tx) => removeBuild(tx, third))
    const left = await recorder.read((db) => buildsOfImage(db, image, 10))
    expect(left.map(({ id, state, name }) => [id, state, name])).toEqual([
      [second, 'retired', `macos-${second.slice(-6)}`],
      [first, 'promoted', 'macos'],
    ])
  })

  it('hold builds on hosts by turns that are told apart, and keep what people force', async () => {
    await write((tx) => putRecipe(tx, image, givenRecipe(image)))
    const id = await built(1)
    const [kept] = (await recorder.read((db) => imagesOfHosts(db, [hostId]))).get(hostId)?.holds ?? []
    const step = { hostId, buildId: id, image, fetch: true, bandwidth: 5, tries: 0 }
    expect(await write((tx) => holdBuild(tx, { ...step, before: null }))).toBe('stale')
    expect(await write((tx) => holdBuild(tx, { ...step, before: kept?.since ?? 0 }))).toBe('done')
    const [turn] = (await recorder.read((db) => imagesOfHosts(db, null))).get(hostId)?.holds ?? []
    expect(turn).toMatchObject({ fetch: true, bandwidth: 5 })
    await write((tx) => forceReadiness(tx, { host: 'mini-1', image, ready: false, reason: 'r', expiresAt: null }))
    const told = { hostId, image, build: id, before: null, reason: '' }
    expect([await write((tx) => noteReady(tx, told)), await write((tx) => noteReady(tx, told))]).toEqual(['done', 'stale'])
    const all = await recorder.read(readAllChanges)
    const touched = new Map([
      ['build', new Set([id as string])],
      ['image', new Set([image])],
      ['hostImages', new Set([hostId as string])],
    ] as const)
    expect(await recorder.read((db) => readChanges(db, touched))).toEqual(all.filter(({ of }) => touched.has(of as 'build')))
    expect(await write((tx) => dropHold(tx, { hostId, buildId: id, before: 1 }))).toBe('stale')
    expect(await write((tx) => dropHold(tx, { hostId, buildId: id, before: turn?.since ?? 0 }))).toBe('done')
    expect((await recorder.read((db) => imagesOfHosts(db, [hostId]))).get(hostId)).toMatchObject({
      holds: [],
      states: [{ readyBuild: id, forced: { ready: false, by: 'user:alice' } }],
    })
  })

  it('keep recipes of the past only while a build goes by them', async () => {
    await write((tx) => putRecipe(tx, image, givenRecipe(image, 'one')))
    await begin(1)
    await write((tx) => putRecipe(tx, image, givenRecipe(image, 'two')))
    await write((tx) => putRecipe(tx, image, givenRecipe(image, 'three')))
    const generations = await store.read((db) => db.selectFrom('image_recipes').select('generation').orderBy('generation').execute())
    expect(generations.map(({ generation }) => generation)).toEqual([1, 3])
  })
})
