import type { MigratableStore, Writer } from '../../src/ports/store.ts'
import type { Timers } from '../../src/ports/time.ts'

/** The life of one controller process. When it is over, nothing of it acts or hears any more. */
export interface ControllerLife {
  alive(): boolean
  /** Resolves when it is over. */
  readonly died: Promise<void>
  /** At the nth use of the store from now: SIGKILL before it has an effect, or after it and before it is heard; or SIGSTOP before it. */
  strikeAt(use: number, how: 'killed before' | 'killed after' | 'frozen'): void
  frozen(): boolean
  /** SIGCONT: goes on as if no time had passed. */
  thaw(): void
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
    let how: Parameters<ControllerLife['strikeAt']>[1] = 'killed before'
    let thawed: { readonly promise: Promise<void>; readonly resolve: () => void } | null = null
    const { promise: died, resolve: die } = Promise.withResolvers<void>()

    async function whenRunning(): Promise<void> {
      await thawed?.promise
      if (!alive) await never()
    }

    function end(): void {
      alive = false
      sessions.delete(hear)
      die()
    }

    async function use<T>(work: () => Promise<T>): Promise<T> {
      if (!alive) return never()
      left -= 1
      if (left === 0 && how === 'killed before') {
        end()
        return never()
      }
      if (left === 0 && how === 'frozen') thawed = Promise.withResolvers<void>()
      // Looked at now: while this use is under way, others are counted.
      const dies = left === 0 && how === 'killed after'
      await thawed?.promise
      const value = await work().catch((error: unknown) => {
        if (alive) throw error
        return never<T>()
      })
      if (dies) end()
      await thawed?.promise
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
        after: (delay, run) => timers.after(delay, () => void whenRunning().then(run)),
        sleep: (delay, signal) => timers.sleep(delay, signal).then(whenRunning),
      } satisfies Timers,
      life: {
        alive: () => alive,
        died,
        strikeAt(use, what) {
          left = use
          how = what
        },
        frozen: () => thawed !== null,
        thaw() {
          thawed?.resolve()
          thawed = null
        },
      } satisfies ControllerLife,
    }
  }
  return { connect }
}
