import type { Milliseconds } from '../../model/instant.ts'
import type { Timers } from '../../ports/time.ts'

/** Requests that wait for something about a host, one per host: a second one sends the first on its way. */
export interface Parking {
  /** To be taken before looking: a call that comes between the look and `park` is then not missed. */
  ticket(hostId: string): number
  /** Resolves when the host was called since the ticket, when the time is over, when the caller went away, or when another poll took its place. */
  park(hostId: string, wait: ParkOptions): Promise<Left>
  call(hostIds: Iterable<string>): void
  callAll(): void
  has(hostId: string): boolean
  hosts(): readonly string[]
  size(): number
}

export type Left = 'called' | 'over' | 'displaced'

export interface ParkOptions {
  readonly ms: Milliseconds
  readonly ticket: number
  readonly signal: AbortSignal
}

export function createParking(timers: Timers): Parking {
  /** Null: nobody of the host waits. Its entry stays: a table that shrinks and grows with each poll keeps the old ones alive until the next full collection. */
  const parked = new Map<string, ((how: Left) => void) | null>()
  let waiting = 0
  const calls = new Map<string, number>()
  let callsToAll = 0

  function ticket(hostId: string): number {
    return callsToAll + (calls.get(hostId) ?? 0)
  }

  function park(hostId: string, wait: ParkOptions): Promise<Left> {
    parked.get(hostId)?.('displaced')
    if (wait.signal.aborted || wait.ms <= 0) return Promise.resolve('over')
    if (ticket(hostId) !== wait.ticket) return Promise.resolve('called')
    return new Promise((resolve) => {
      const timer = timers.after(wait.ms, () => leave('over'))
      const abort = (): void => leave('over')
      function leave(how: Left): void {
        timer.cancel()
        wait.signal.removeEventListener('abort', abort)
        if (parked.get(hostId) === leave) {
          parked.set(hostId, null)
          waiting -= 1
        }
        resolve(how)
      }
      wait.signal.addEventListener('abort', abort, { once: true })
      parked.set(hostId, leave)
      waiting += 1
    })
  }

  return {
    ticket,
    park,
    call(hostIds) {
      for (const id of hostIds) {
        calls.set(id, (calls.get(id) ?? 0) + 1)
        parked.get(id)?.('called')
      }
    },
    callAll() {
      callsToAll += 1
      for (const leave of parked.values()) leave?.('called')
    },
    has: (hostId) => (parked.get(hostId) ?? null) !== null,
    hosts: () => [...parked].flatMap(([id, leave]) => (leave === null ? [] : [id])),
    size: () => waiting,
  }
}
