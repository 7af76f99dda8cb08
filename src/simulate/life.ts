import type { Timer, Timers } from '../ports/time.ts'

/** How a process dies at a call: before the call has an effect, or after it and before its answer is heard. */
export type Moment = 'before' | 'after'

/** The life of one simulated process. When it is over, nothing of it acts or hears any more; while it is frozen, it waits. */
export interface Life {
  readonly alive: boolean
  readonly frozen: boolean
  /** Resolves when it is over. What is asked of a process again and again listens by `onEnd`: a promise keeps all that ever waited for it. */
  readonly died: Promise<void>
  /** Calls back when it is over. Returns how to stop. */
  onEnd(listener: () => void): () => void
  end(): void
  /** Ends at the nth call of a port from now; `of`: only calls of this name count. */
  endAtCall(calls: number, moment: Moment, of?: string): void
  /**
   * Ends before the nth statement from now that it sends to its store, whatever else went through before. `into`: ends instead after its nth insert into
   * that table, before the statement that follows, so that it was made and never kept.
   */
  endAtStatement(statements: number, into?: string): void
  /** It does not end at a call or statement that it has not come to yet. */
  spare(): void
  /** SIGSTOP: no call goes out and no answer is heard until `thaw`. */
  freeze(): void
  thaw(): void
  /** Counts a call: whether it goes out, and whether its answer is heard. */
  call(name: string): 'heard' | 'unheard' | 'never'
  /** Counts a statement; throws when the process died over it. */
  statement(sql: string): void
  /** Resolves when it runs: at once but while it is frozen. */
  running(): Promise<void> | null
}

class ProcessDied extends Error {
  constructor() {
    super('the process died')
    this.name = 'ProcessDied'
  }
}

export function newLife(): Life {
  const { promise: died, resolve: die } = Promise.withResolvers<void>()
  let alive = true
  let calls = Number.POSITIVE_INFINITY
  let statements = Number.POSITIVE_INFINITY
  let moment: Moment = 'before'
  let callsOf: string | null = null
  let into: string | null = null
  let struck = false
  let thawed: PromiseWithResolvers<void> | null = null
  const listeners: (() => void)[] = []

  function end(): void {
    alive = false
    die()
    for (const listener of listeners.splice(0)) listener()
  }

  return {
    get alive() {
      return alive
    },
    get frozen() {
      return thawed !== null
    },
    died,
    onEnd(listener) {
      listeners.push(listener)
      return () => {
        const at = listeners.indexOf(listener)
        if (at >= 0) listeners.splice(at, 1)
      }
    },
    end,
    endAtCall(count, when, of) {
      calls = count
      moment = when
      callsOf = of ?? null
    },
    endAtStatement(count, table) {
      statements = count
      into = table ?? null
    },
    spare() {
      calls = Number.POSITIVE_INFINITY
      statements = Number.POSITIVE_INFINITY
    },
    freeze() {
      thawed ??= Promise.withResolvers<void>()
    },
    thaw() {
      thawed?.resolve()
      thawed = null
    },
    call(name) {
      if (!alive) return 'never'
      if (callsOf !== null && callsOf !== name) return 'heard'
      calls -= 1
      if (calls > 0) return 'heard'
      if (moment === 'before') end()
      return moment === 'before' ? 'never' : 'unheard'
    },
    statement(sql) {
      if (!alive) throw new ProcessDied()
      if (!struck) {
        if (into !== null && !sql.startsWith(`insert into "${into}"`)) return
        statements -= 1
        if (statements > 0) return
        struck = into !== null
        if (struck) return
      }
      end()
      throw new ProcessDied()
    },
    running: () => thawed?.promise ?? null,
  }
}

export function never<T>(): Promise<T> {
  return new Promise(() => undefined)
}

/** Makes a call for a process, if it lives to see it. */
export async function inLife<T>(life: Life, work: () => Promise<T>, name = ''): Promise<T> {
  const frozenBefore = life.running()
  if (frozenBefore !== null) await frozenBefore
  const fate = life.call(name)
  if (fate === 'never') return never()
  let value: T
  try {
    value = await work()
  } catch (error) {
    if (!hears(life)) await heard(life)
    throw error
  }
  if (fate === 'unheard') life.end()
  if (!hears(life)) await heard(life)
  return value
}

/** Whether an answer reaches the process now. */
function hears(life: Life): boolean {
  return life.alive && !life.frozen
}

/** Resolves when the process may go on; never when it is dead. */
async function heard(life: Life): Promise<void> {
  const frozen = life.running()
  if (frozen !== null) await frozen
  if (!life.alive) await never()
}

/** A port as a process sees it that may die at any call. Members that give no promise are passed on as they are. */
export function mortalPort<T extends object>(port: T, life: Life): T {
  const wrapped = new Map<PropertyKey, unknown>()
  return new Proxy(port, {
    get(target, name) {
      const known = wrapped.get(name)
      if (known !== undefined) return known
      const member: unknown = Reflect.get(target, name)
      if (typeof member !== 'function') return member
      const called = String(name)
      const mortal = (...args: unknown[]): unknown => inLife(life, () => Reflect.apply(member, target, args) as Promise<unknown>, called)
      wrapped.set(name, mortal)
      return mortal
    },
    has: (target, name) => Reflect.has(target, name),
  })
}

/** Timers of a process: they do not fire when it is dead, and late when it was frozen. */
export function mortalTimers(timers: Timers, life: Life): Timers {
  return {
    after(delay, run): Timer {
      return timers.after(delay, () => {
        const frozen = life.running()
        if (frozen !== null) void frozen.then(() => (life.alive ? run() : undefined))
        else if (life.alive) run()
      })
    },
    sleep: (delay, signal) =>
      timers.sleep(delay, signal).then(
        () => heard(life),
        async (error: unknown) => {
          await heard(life)
          throw error
        },
      ),
  }
}
