import type { Timer, Timers } from '../../ports/time.ts'

/** Longer delays overflow the event loop's timer and would fire at once. */
const longest = 2 ** 31 - 1

/** Timers of the event loop. They stand still while the machine sleeps: who must not be late looks at `Clock.steady` when woken. */
export function createSystemTimers(): Timers {
  return { after, sleep }
}

function after(delay: number, run: () => void): Timer {
  let rest = Math.max(0, delay)
  let handle: NodeJS.Timeout
  function start(): void {
    const part = Math.min(rest, longest)
    rest -= part
    handle = setTimeout(rest > 0 ? start : run, part)
  }
  start()
  return { cancel: () => clearTimeout(handle) }
}

function sleep(delay: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(reasonOf(signal))
      return
    }
    const timer = after(delay, () => {
      signal?.removeEventListener('abort', abort)
      resolve()
    })
    function abort(): void {
      timer.cancel()
      reject(reasonOf(signal))
    }
    signal?.addEventListener('abort', abort, { once: true })
  })
}

function reasonOf(signal: AbortSignal | undefined): Error {
  const reason: unknown = signal?.reason
  return reason instanceof Error ? reason : new Error('the wait was aborted', { cause: reason })
}
