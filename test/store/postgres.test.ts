import { createServer, connect, type Socket } from 'node:net'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSystemClock } from '../../src/drivers/clocks/system-clock.ts'
import { createSystemTimers } from '../../src/drivers/clocks/system-timers.ts'
import { createSystemRandom } from '../../src/drivers/randoms/system-random.ts'
import type { StoreLimits } from '../../src/drivers/stores/limits.ts'
import { createPostgresStore } from '../../src/drivers/stores/postgres/postgres-store.ts'
import type { MigratableStore, Reader, Writer } from '../../src/ports/store.ts'
import { migrate } from '../../src/record/migrate.ts'
import { migrations } from '../../src/record/migrations/all.ts'
import { setMeta } from '../contract/store-suite.ts'
import { startLineProcess } from './line-process.ts'
import { startPostgres } from './postgres-server.ts'

const clock = createSystemClock()
const timers = createSystemTimers()
const random = createSystemRandom()
const server = await startPostgres()
afterAll(() => server.stop())

function open(url: string, limits: Partial<StoreLimits> = {}): Promise<MigratableStore> {
  return createPostgresStore({ url, timers, random, limits })
}

async function valueOf(db: Reader, key: string): Promise<string | undefined> {
  return (await db.selectFrom('meta').select('value').where('key', '=', key).executeTakeFirst())?.value
}

async function addOne(tx: Writer, key: string): Promise<void> {
  await setMeta(tx, key, String(Number((await valueOf(tx, key)) ?? '0') + 1))
}

async function until(condition: () => boolean | Promise<boolean>, limitMs = 20_000): Promise<void> {
  const end = performance.now() + limitMs
  while (!(await condition())) {
    if (performance.now() > end) throw new Error('the condition did not come true in time')
    await new Promise((resolve) => void setTimeout(resolve, 10))
  }
}

const waitingForTurn = sql`select pid from pg_locks where locktype = 'advisory' and not granted`

describe('two controllers on one PostgreSQL', () => {
  let url: string
  let one: MigratableStore
  let two: MigratableStore

  beforeAll(async () => {
    url = await server.createDatabase()
    one = await open(url)
    two = await open(url)
    await migrate(one, { clock })
  })
  afterAll(async () => {
    await Promise.all([one.close(), two.close()])
  })

  it('lose no update to each other: conflicts are tried again', async () => {
    const writes = Array.from({ length: 60 }, (_, i) => (i % 2 === 0 ? one : two).write((tx) => addOne(tx, 'shared')))
    await Promise.all(writes)
    expect(await one.read((db) => valueOf(db, 'shared'))).toBe('60')
  })

  it('do not both act on what both have read', async () => {
    const claim = (store: MigratableStore, me: string) =>
      store.write(async (tx) => {
        const taken = await valueOf(tx, 'claim')
        if (taken === undefined) await tx.insertInto('meta').values({ key: 'claim', value: me }).execute()
        return taken ?? me
      })
    const [first, second] = await Promise.all([claim(one, 'one'), claim(two, 'two')])
    expect(first).toBe(second)
  })

  it('hear of each other at once', async () => {
    let heard = 0
    const stop = two.onCommit(() => {
      heard += 1
    })
    const startedAt = performance.now()
    await one.write((tx) => setMeta(tx, 'hello', 'x'))
    await until(() => heard > 0)
    expect(performance.now() - startedAt).toBeLessThan(1000)
    stop()
  })

  it('tell each other what was announced, in order, and only when it was committed', async () => {
    const [heardByOne, heardByTwo]: (string | null)[][] = [[], []]
    const stops = [one.onAnnounced((text) => heardByOne?.push(text)), two.onAnnounced((text) => heardByTwo?.push(text))]
    const refused = one.write(async (tx) => {
      await one.announce(tx, 'refused')
      throw new Error('not this one')
    })
    await expect(refused).rejects.toThrow('not this one')
    await one.write(async (tx) => {
      for (let number = 0; number < 20; number += 1) await one.announce(tx, `${number} ${'x'.repeat(4000)}`)
    })
    await two.write((tx) => two.announce(tx, 'from two'))
    await until(() => heardByTwo?.length === 20 && heardByOne?.length === 1)
    expect(heardByTwo).toEqual(Array.from({ length: 20 }, (_, number) => `${number} ${'x'.repeat(4000)}`))
    expect(heardByOne).toEqual(['from two'])
    for (const stop of stops) stop()
  })

  it('take turns: under load from both, none is refused and none waits for the others to be done', async () => {
    let done = 0
    const writer = async (store: MigratableStore): Promise<void> => {
      for (let number = 0; number < 20; number += 1) {
        await store.write((tx) => addOne(tx, 'turns'))
        done += 1
      }
    }
    await Promise.all(Array.from({ length: 20 }, (_, number) => writer(number % 2 === 0 ? one : two)))
    expect(done).toBe(400)
    expect(await one.read((db) => valueOf(db, 'turns'))).toBe('400')
  })

  it('wait for one that hangs while it is its turn no longer than some seconds, and it goes on when it wakes up', async () => {
    const hanging = startLineProcess('writer.child.ts', [], { STORE_URL: url })
    try {
      await hanging.next('ack')
      await one.write(async () => {
        // It waits for its turn, which comes when it cannot take it any more.
        await until(() => two.read(async (db) => (await waitingForTurn.execute(db)).rows.length > 0))
        hanging.child.kill('SIGSTOP')
      })
      await one.write((tx) => setMeta(tx, 'after a hang', 'x'))
      expect(await two.read((db) => valueOf(db, 'after a hang'))).toBe('x')
      hanging.child.kill('SIGCONT')
      await hanging.next('ack')
      await hanging.next('ack')
    } finally {
      await hanging.kill()
    }
  })

  it('migrate an empty database at the same time, and only once', async () => {
    const fresh = await server.createDatabase()
    const stores = await Promise.all([open(fresh), open(fresh), open(fresh)])
    try {
      const newest = migrations.length
      const results = await Promise.all(stores.map((store) => migrate(store, { clock })))
      expect(results.map((result) => result.from).sort((a, b) => a - b)).toEqual([0, newest, newest])
      expect(results.map((result) => result.to)).toEqual([newest, newest, newest])
    } finally {
      await Promise.all(stores.map((store) => store.close()))
    }
  })
})

describe('a PostgreSQL that goes away', () => {
  it('and comes back within seconds costs time and no write', async () => {
    const url = await server.createDatabase()
    const store = await open(url, { maxAttempts: 60 })
    try {
      await migrate(store, { clock })
      await store.write((tx) => addOne(tx, 'n'))
      await server.kill()
      const waiting = store.write((tx) => addOne(tx, 'n'))
      await server.start()
      await waiting
      expect(await store.read((db) => valueOf(db, 'n'))).toBe('2')
    } finally {
      await store.close()
    }
  })

  it('and stays away refuses writes and reads after a bounded time, and all is well when it is back', async () => {
    const url = await server.createDatabase()
    const store = await open(url, { maxAttempts: 9 })
    try {
      await migrate(store, { clock })
      await server.kill()
      const failures = await Promise.allSettled([
        store.write((tx) => addOne(tx, 'n')),
        store.write((tx) => addOne(tx, 'm')),
        store.read((db) => valueOf(db, 'n')),
        store.now(),
      ])
      for (const failure of failures) expect(failure).toMatchObject({ status: 'rejected', reason: { code: 'UNAVAILABLE' } })
      await server.start()
      await store.write((tx) => addOne(tx, 'n'))
      expect(await store.read((db) => valueOf(db, 'n'))).toBe('1')
    } finally {
      await store.close()
    }
  })

  it('is heard of again after a cut of all connections, by the poll at the latest', async () => {
    const url = await server.createDatabase()
    const proxy = await startProxy(Number(new URL(url).port))
    const proxied = new URL(url)
    proxied.port = String(proxy.port)
    const one = await open(url)
    const two = await open(proxied.href)
    try {
      await migrate(one, { clock })
      let heard = 0
      const announced: (string | null)[] = []
      two.onCommit(() => {
        heard += 1
      })
      two.onAnnounced((text) => announced.push(text))
      proxy.cut()
      await one.write((tx) => setMeta(tx, 'after the cut', 'x'))
      await until(() => heard > 0)
      await until(async () => (await two.read((db) => valueOf(db, 'after the cut'))) === 'x')
      // What was announced while nobody listened is lost, and that it may be is said.
      await until(() => announced.includes(null))
      await two.write((tx) => setMeta(tx, 'from two', 'x'))
      expect(await one.read((db) => valueOf(db, 'from two'))).toBe('x')
    } finally {
      await Promise.all([one.close(), two.close()])
      proxy.close()
    }
  })

  it('is refused at the start with what cannot be reached, and without the password', async () => {
    const failure = (await open('postgres://cidery:s3cretword@127.0.0.1:1/none').catch((error: unknown) => error)) as Error
    expect(failure).toMatchObject({ code: 'UNAVAILABLE' })
    expect(JSON.stringify([failure.message, failure.cause, failure])).not.toContain('s3cretword')
  })
})

describe('a PostgreSQL elsewhere', () => {
  it('is refused in the clear before anything is sent', async () => {
    for (const url of [
      'postgres://cidery:pw@db.example.org/cidery',
      'postgres://cidery:pw@10.0.0.5:5432/cidery?sslmode=disable',
      'postgres://[2001:db8::1]/x?sslmode=prefer',
    ]) {
      await expect(open(url)).rejects.toMatchObject({ code: 'TLS_REQUIRED' })
    }
  })
})

/** A way to the server whose connections can be cut while server and client live. */
async function startProxy(target: number): Promise<{ readonly port: number; readonly cut: () => void; readonly close: () => void }> {
  const sockets = new Set<Socket>()
  const proxy = createServer((client) => {
    const upstream = connect(target, '127.0.0.1')
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from)
      from.pipe(to)
      from.on('error', () => to.destroy())
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
    }
  })
  await new Promise<void>((resolve) => void proxy.listen(0, '127.0.0.1', resolve))
  const address = proxy.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    cut: () => {
      for (const socket of sockets) socket.destroy()
    },
    close: () => {
      for (const socket of sockets) socket.destroy()
      proxy.close()
    },
  }
}
