import type { Milliseconds } from '../model/instant.ts'
import type { Timers } from '../ports/time.ts'

/** A sleep that can be cut short. A wake that comes while nobody sleeps ends the next sleep at once. */
export interface WakeUp {
  wake(): void
  /** Sleeps until the next wake, so long at most; `Infinity`: however long that takes. Says whether it was woken. */
  wait(ms: Milliseconds): Promise<boolean>
  /** Sleeps so long, whatever wakes; only `close` ends it. */
  pause(ms: Milliseconds): Promise<void>
  close(): void
}

export function createWakeUp(timers: Timers): WakeUp {
  let woken = false
  let closed = false
  let endWait: (() => void) | null = null
  /** Two at most: of a wait, and of a pause. No `Set`: its old tables keep alive what the new ones hold, until the next full collection. */
  const endings: (() => void)[] = []

  function sleep(ms: Milliseconds, begun: (end: () => void) => void): Promise<void> {
    return new Promise((resolve) => {
      const timer = ms === Number.POSITIVE_INFINITY ? null : timers.after(ms, end)
      function end(): void {
        timer?.cancel()
        const at = endings.indexOf(end)
        if (at >= 0) endings.splice(at, 1)
        resolve()
      }
      endings.push(end)
      begun(end)
    })
  }

  return {
    wake() {
      woken = true
      endWait?.()
    },
    async wait(ms) {
      if (!woken && !closed) await sleep(ms, (end) => (endWait = end))
      const was = woken
      endWait = null
      woken = false
      return was
    },
    async pause(ms) {
      if (!closed) await sleep(ms, () => undefined)
    },
    close() {
      closed = true
      for (const end of endings.splice(0)) end()
    },
  }
}
