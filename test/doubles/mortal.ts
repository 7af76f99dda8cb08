import type { AgentPorts } from '../../src/ports/agent.ts'
import type { Timer } from '../../src/ports/time.ts'

/** The life of one process: when it is over, nothing of it acts or hears any more. */
export interface Life {
  readonly alive: boolean
  end(): void
  /** Ends at the nth call of a port from now: before the call has an effect, or after it, before its answer is heard. */
  endAtCall(calls: number, when: 'before' | 'after'): void
}

export function newLife(): Life & { pass(): 'call' | 'never' | 'unheard' } {
  let alive = true
  let left = Number.POSITIVE_INFINITY
  let moment: 'before' | 'after' = 'before'
  return {
    get alive() {
      return alive
    },
    end() {
      alive = false
    },
    endAtCall(calls, when) {
      left = calls
      moment = when
    },
    pass() {
      if (!alive) return 'never'
      left -= 1
      if (left > 0) return 'call'
      alive = false
      return moment === 'before' ? 'never' : 'unheard'
    },
  }
}

function never(): Promise<never> {
  return new Promise(() => undefined)
}

/** A port as a process sees it that may die at any call. */
function mortalPort<T extends object>(port: T, life: ReturnType<typeof newLife>): T {
  return new Proxy(port, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name)
      if (typeof member !== 'function') return member
      return (...args: unknown[]): unknown => {
        const fate = life.pass()
        if (fate === 'never') return never()
        const result: unknown = Reflect.apply(member, target, args)
        if (fate === 'unheard') return never()
        if (!(result instanceof Promise)) return result
        return new Promise((resolve, reject) => {
          result.then(
            (value) => (life.alive ? resolve(value) : undefined),
            (error: unknown) => (life.alive ? reject(error as Error) : undefined),
          )
        })
      }
    },
  })
}

/** The ports of one agent process; those of the next one reach the same journal, engines and supervisors. */
export function mortalPorts(ports: AgentPorts, life: ReturnType<typeof newLife>): AgentPorts {
  const { timers, journal, link, supervisors, processes, engines } = ports
  return {
    ...ports,
    journal: mortalPort(journal, life),
    link: mortalPort(link, life),
    supervisors: mortalPort(supervisors, life),
    processes: mortalPort(processes, life),
    engines: new Map([...engines].map(([name, engine]) => [name, mortalPort(engine, life)])),
    timers: {
      after(delay, run): Timer {
        return timers.after(delay, () => (life.alive ? run() : undefined))
      },
      sleep(delay, signal) {
        return new Promise((resolve, reject) => {
          timers.sleep(delay, signal).then(
            () => (life.alive ? resolve() : undefined),
            (error: unknown) => (life.alive ? reject(error as Error) : undefined),
          )
        })
      },
    },
  }
}
