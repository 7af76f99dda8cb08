import type { Milliseconds } from '../../model/instant.ts'
import type { Timers } from '../../ports/time.ts'

/** Requests that wait for something about a host, one per host: a second one sends the first on its way. */
export interface Parking {
  /** To be taken before looking: a call that comes between the look and `park` is then not missed. */
  ticket(hostId: string): number
  /** Resolves when the host was called since the ticket, when the time is over, or when the caller went away. */
  park(hostId: string, wait: ParkOptions): Promise<void>
  call(hostIds: Iterable<string>): void
  callAll(): void
  has(hostId: string): boolean
  hosts(): readonly string[]
  size(): number
}

export interface ParkOptions {
  readonly ms: Milliseconds
  readonly ticket: number
  readonly signal: AbortSignal
}

export function createParking(timers: Timers): Parking {
  const parked = new Map<string, () => void>()
  const calls = new Map<string, number>()
  let callsToAll = 0

  function ticket(hostId: string): number {
    return callsToAll + (calls.get(hostId) ?? 0)
  }

  function park(hostId: string, wait: ParkOptions): Promise<void> {
    parked.get(hostId)?.()
    if (wait.signal.aborted || wait.ms <= 0 || ticket(hostId) !== wait.ticket) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = timers.after(wait.ms, leave)
      function leave(): void {
        timer.cancel()
        wait.signal.removeEventListener('abort', leave)
        if (parked.get(hostId) === leave) parked.delete(hostId)
        resolve()
      }
      wait.signal.addEventListener('abort', leave, { once: true })
      parked.set(hostId, leave)
    })
  }

  return {
    ticket,
    park,
    call(hostIds) {
      for (const id of hostIds) {
        calls.set(id, (calls.get(id) ?? 0) + 1)
        parked.get(id)?.()
      }
    },
    callAll() {
      callsToAll += 1
      for (const leave of parked.values()) leave()
    },
    has: (hostId) => parked.has(hostId),
    hosts: () => [...parked.keys()],
    size: () => parked.size,
  }
}
