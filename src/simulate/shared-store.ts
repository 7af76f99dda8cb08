import { CideryError } from '../model/errors.ts'
import type { Milliseconds } from '../model/instant.ts'
import type { MigratableStore, Reader, Writer } from '../ports/store.ts'
import type { Timers } from '../ports/time.ts'
import { inLife, type Life } from './life.ts'

/** Looks at what is committed, at once. */
export type Look = (sql: string, parameters?: readonly unknown[]) => readonly unknown[]

/** What the simulation hears of its database. */
export interface StoreWatcher {
  /** Told of each statement before it is carried out; what this throws is how the statement fails. */
  beforeStatement(sql: string): void
  /** Told after each commit that may have changed something. */
  committed(look: Look): void
}

/** Opens a database in memory that tells a watcher; `main` brings it. */
export type OpenStore = (watcher: StoreWatcher) => Promise<MigratableStore>

/** What goes wrong with the disk of the database. */
export interface StoreFaults {
  full: boolean
  /** Commits fail: nothing of them happened. */
  commitFails: boolean
  /** Each piece of work takes so much longer, and others wait for it. */
  slowMs: Milliseconds
  /** Names of those that cannot reach it. */
  readonly unreachableFor: Set<string>
}

/** One database as several controller processes see it that may die at any statement; what one announces the others hear when it is committed. */
export interface SharedStore {
  readonly faults: StoreFaults
  connect(life: Life, name: string): MigratableStore
  /** Who could not reach it hears that it may have missed anything. */
  reconnected(name: string): void
  /** The database itself, for what the simulation does by its own hand. */
  readonly own: MigratableStore
}

/** One who cannot reach it gives up after so long. */
const connectTakes: Milliseconds = 1000

export async function openSharedStore(
  open: OpenStore,
  options: { readonly timers: Timers; readonly committed: (look: Look) => void },
): Promise<SharedStore> {
  const faults: StoreFaults = { full: false, commitFails: false, slowMs: 0, unreachableFor: new Set() }
  const sessions = new Map<(text: string | null) => void, string>()
  const announced = new WeakMap<Writer, string[]>()
  /** Whose work the open transaction is. */
  let owner: Life | null = null

  const store = await open({
    beforeStatement(sql) {
      if (faults.full && /^(?:insert|update|delete)/.test(sql)) throw new CideryError('STORAGE_FULL', 'the disk of the database is full')
      if (faults.commitFails && sql === 'commit') throw new CideryError('UNAVAILABLE', 'the disk of the database failed over a commit')
      owner?.statement(sql)
    },
    committed: options.committed,
  })

  async function reached(name: string): Promise<void> {
    if (!faults.unreachableFor.has(name)) return
    await options.timers.sleep(connectTakes)
    throw new CideryError('UNAVAILABLE', 'the database does not answer')
  }

  function connect(life: Life, name: string): MigratableStore {
    const listeners = new Set<(text: string | null) => void>()
    const hear = (text: string | null): void => {
      if (!life.alive || faults.unreachableFor.has(name)) return
      const frozen = life.running()
      if (frozen === null) for (const listener of listeners) listener(text)
      else void frozen.then(() => hear(text))
    }
    sessions.set(hear, name)
    void life.died.then(() => sessions.delete(hear))

    async function owned<T>(work: () => Promise<T>): Promise<T> {
      owner = life
      try {
        if (!life.alive) life.statement('')
        if (faults.slowMs > 0) await options.timers.sleep(faults.slowMs)
        owner = life
        return await work()
      } finally {
        owner = null
      }
    }

    async function write<T>(run: (work: (tx: Writer) => Promise<T>) => Promise<T>, work: (tx: Writer) => Promise<T>): Promise<T> {
      let texts: string[] = []
      const value = await run((tx) =>
        owned(() => {
          texts = []
          announced.set(tx, texts)
          return work(tx)
        }),
      )
      for (const other of sessions.keys()) if (other !== hear) for (const text of texts) other(text)
      return value
    }

    const outward = <T>(work: () => Promise<T>): Promise<T> => inLife(life, () => reached(name).then(work))

    return {
      ...store,
      read: <T>(work: (db: Reader) => Promise<T>) => outward(() => store.read((db) => owned(() => work(db)))),
      write: (work) => outward(() => write((run) => store.write(run), work)),
      exclusively: (work) => outward(() => write((run) => store.exclusively(run), work)),
      now: () => outward(() => store.now()),
      async announce(tx, text) {
        announced.get(tx)?.push(text)
      },
      onAnnounced(listener) {
        listeners.add(listener)
        return () => void listeners.delete(listener)
      },
      async close() {
        // The database outlives each of its controllers.
      },
    }
  }
  function reconnected(name: string): void {
    for (const [hear, of] of sessions) if (of === name) hear(null)
  }

  return { faults, connect, reconnected, own: store }
}
