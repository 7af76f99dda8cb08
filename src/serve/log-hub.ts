import type { Milliseconds } from '../model/instant.ts'
import type { Timers } from '../ports/time.ts'

/** Tells those who follow a log that it grew or ended. It carries no bytes, so that a slow reader costs nothing but itself. */
export interface LogHub {
  /** To be taken before looking, so that growth between the look and the wait is not missed. */
  ticket(attemptId: string): number
  /** Resolves when the log grew since the ticket, when the time is over, or when the reader went away. */
  wait(attemptId: string, wait: { readonly ticket: number; readonly ms: Milliseconds; readonly signal: AbortSignal }): Promise<void>
  grew(attemptId: string): void
  followers(): number
}

interface Followed {
  growth: number
  readonly leave: Set<() => void>
}

export function createLogHub(timers: Timers): LogHub {
  const followed = new Map<string, Followed>()
  let growth = 0

  return {
    ticket: (attemptId) => {
      const entry = followed.get(attemptId)
      if (entry !== undefined) return entry.growth
      followed.set(attemptId, { growth, leave: new Set() })
      return growth
    },
    wait(attemptId, wait) {
      const entry = followed.get(attemptId) ?? { growth: wait.ticket, leave: new Set<() => void>() }
      followed.set(attemptId, entry)
      if (entry.growth !== wait.ticket || wait.signal.aborted) return Promise.resolve()
      return new Promise((resolve) => {
        const timer = timers.after(wait.ms, leave)
        function leave(): void {
          timer.cancel()
          wait.signal.removeEventListener('abort', leave)
          entry.leave.delete(leave)
          if (entry.leave.size === 0 && followed.get(attemptId) === entry) followed.delete(attemptId)
          resolve()
        }
        wait.signal.addEventListener('abort', leave, { once: true })
        entry.leave.add(leave)
      })
    },
    grew(attemptId) {
      growth += 1
      const entry = followed.get(attemptId)
      if (entry === undefined) return
      entry.growth = growth
      for (const leave of entry.leave) leave()
    },
    followers: () => [...followed.values()].reduce((sum, { leave }) => sum + leave.size, 0),
  }
}
