import type { MigratableStore, Writer } from '../../src/ports/store.ts'
import type { Timers } from '../../src/ports/time.ts'

/** The life of one controller process. When it is over, nothing of it acts or hears any more. */
export interface ControllerLife {
  alive(): boolean
  /** Resolves when it is over. */
  readonly died: Promise<void>
  /** SIGKILL at the nth use of the store from now: before it has an effect, or after it, before it is heard. */
  killAt(use: number, when: 'before' | 'after'): void
}

function never<T>(): Promise<T> {
  return new Promise(() => undefined)
}

/** One database as several controllers see it that may die at any moment; what one announces the others hear when it is committed. */
export function sharedStore(store: MigratableStore): {
  connect(timers: Timers): {
    readonly store: MigratableStore
    readonly timers: Timers
    readonly life: ControllerLife
  }
} {
  const sessions = new Set<(text: string | null) => void>()
  const announced = new WeakMap<Writer, string[]>()

  function connect(timers: Timers) {
    const listeners = new Set<(text: string | null) => void>()
    const hear = (text: string | null): void => {
      for (const listener of listeners) listener(text)
    }
    sessions.add(hear)
    let alive = true
    let left = Number.POSITIVE_INFINITY
    let when: 'before' | 'after' = 'before'
    const { promise: died, resolve: die } = Promise.withResolvers<void>()

    function end(): void {
      alive = false
      sessions.delete(hear)
      die()
    }

    async function use<T>(work: () => Promise<T>): Promise<T> {
      if (!alive) return never()
      left -= 1
      if (left === 0 && when === 'before') {
        end()
        return never()
      }
      const dies = left === 0
      const value = await work().catch((error: unknown) => {
        if (alive) throw error
        return never<T>()
      })
      if (dies) end()
      return alive ? value : never()
    }

    async function write<T>(run: (work: (tx: Writer) => Promise<T>) => Promise<T>, work: (tx: Writer) => Promise<T>): Promise<T> {
      let texts: string[] = []
      const value = await run((tx) => {
        texts = []
        announced.set(tx, texts)
        return work(tx)
      })
      for (const other of sessions) if (other !== hear) for (const text of texts) other(text)
      return value
    }

    return {
      store: {
        ...store,
        read: (work) => use(() => store.read(work)),
        write: (work) => use(() => write((run) => store.write(run), work)),
        exclusively: (work) => use(() => write((run) => store.exclusively(run), work)),
        now: () => use(() => store.now()),
        async announce(tx, text) {
          announced.get(tx)?.push(text)
        },
        onAnnounced(listener) {
          listeners.add(listener)
          return () => void listeners.delete(listener)
        },
        async close() {},
      } satisfies MigratableStore,
      timers: {
        after: (delay, run) => timers.after(delay, () => (alive ? run() : undefined)),
        sleep: (delay, signal) => timers.sleep(delay, signal).then(() => (alive ? undefined : never())),
      } satisfies Timers,
      life: {
        alive: () => alive,
        died,
        killAt(count, moment) {
          left = count
          when = moment
        },
      } satisfies ControllerLife,
    }
  }
  return { connect }
}
