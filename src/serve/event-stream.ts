import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { SealedEvent } from '../model/event.ts'
import type { EventTail } from './event-tail.ts'
import type { ServePorts } from './serve-ports.ts'

export interface StreamOptions {
  readonly ports: ServePorts
  readonly tail: EventTail
  /** Number of the last event that the client has. */
  readonly after: number
  readonly signal: AbortSignal
}

/** Proxies close what is silent; a comment line every so often also finds clients that are gone. */
const heartbeatMs = 15_000
const page = 200
/** A client that has not taken what was sent by then is dropped; it comes back with Last-Event-ID and misses nothing. */
const slowMs = 10_000

/**
 * Writes sealed events as server-sent events until the client leaves, is too slow, or the server stops. At most one page waits in memory per client.
 */
export async function streamEvents(response: ServerResponse, options: StreamOptions): Promise<void> {
  const { ports, tail } = options
  const ended = new AbortController()
  const signal = AbortSignal.any([options.signal, ended.signal])
  const sender = createSender(response, ports, ended)
  let last = options.after
  try {
    await sender.send(': cidery events\nretry: 2000\n\n')
    while (!signal.aborted) {
      const events = await tail.after(last, page)
      if (events.length > 0) {
        await sender.send(events.map(textOf).join(''))
        last = events.at(-1)?.number ?? last
      } else {
        await waitOrBeat({ ports, tail, last, signal, beat: () => sender.send(': still here\n\n') })
      }
    }
  } finally {
    ended.abort()
    if (sender.isSlow()) response.destroy()
    else response.end()
  }
}

function textOf(event: SealedEvent): string {
  return `id: ${event.number}\ndata: ${JSON.stringify(event)}\n\n`
}

interface Sender {
  send(text: string): Promise<void>
  readonly isSlow: () => boolean
}

function createSender(response: ServerResponse, ports: ServePorts, ended: AbortController): Sender {
  let slow = false

  async function send(text: string): Promise<void> {
    if (response.write(text)) return
    const timer = ports.timers.after(slowMs, () => {
      slow = true
      ended.abort()
    })
    try {
      await once(response, 'drain', { signal: ended.signal })
    } catch {
      // Aborted: the client is too slow, left, or the server stops. The caller looks at the signal next.
    } finally {
      timer.cancel()
    }
  }

  response.once('close', () => ended.abort())
  return { send, isSlow: () => slow }
}

interface Waiting {
  readonly ports: ServePorts
  readonly tail: EventTail
  readonly last: number
  readonly signal: AbortSignal
  readonly beat: () => Promise<void>
}

/** Waits for an event; sends a comment when none came for one heartbeat. */
async function waitOrBeat(waiting: Waiting): Promise<void> {
  const { ports, tail, last, signal, beat } = waiting
  const silence = new AbortController()
  const timer = ports.timers.after(heartbeatMs, () => silence.abort())
  await tail.changed(last, AbortSignal.any([signal, silence.signal]))
  timer.cancel()
  if (silence.signal.aborted && !signal.aborted) await beat()
}
