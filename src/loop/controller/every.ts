import type { Milliseconds } from '../../model/instant.ts'
import type { Log } from '../../ports/log.ts'
import type { Timer, Timers } from '../../ports/time.ts'

export interface Chore {
  readonly name: string
  readonly every: Milliseconds
  readonly run: () => Promise<void>
}

/** Does a chore again and again, never twice at once, until it is stopped; a failure is logged and the next turn tries again. */
export function startChore(chore: Chore, ports: { readonly timers: Timers; readonly log: Log }): { stop(): Promise<void> } {
  let timer: Timer | null = null
  let stopped = false
  let running: Promise<void> = Promise.resolve()

  function plan(): void {
    if (!stopped) timer = ports.timers.after(chore.every, () => void (running = turn()))
  }

  async function turn(): Promise<void> {
    try {
      await chore.run()
    } catch (error) {
      if (!stopped) ports.log.warn(`${chore.name} failed; it is tried again`, { error })
    }
    plan()
  }

  plan()
  return {
    async stop() {
      stopped = true
      timer?.cancel()
      await running
    },
  }
}
