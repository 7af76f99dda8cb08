import type { WebSocket } from 'ws'
import { z } from 'zod'
import { CideryError } from '../model/errors.ts'
import { hour, minute, second, type Milliseconds } from '../model/instant.ts'
import type { Timer, Timers } from '../ports/time.ts'
import { system } from '../record/commit.ts'
import { forgetStream, readSandbox, requireSandboxCan, wantStream } from '../record/sandboxes.ts'
import { actorOf } from './actor.ts'
import { route, type Route, type SocketContext, type SocketRoute } from './route.ts'
import { authorOf, type Services } from './services.ts'

/** How long both ends may take to connect. */
const connectWithin: Milliseconds = minute
const longestLife: Milliseconds = 12 * hour
const pingEvery: Milliseconds = 30 * second
const perHost = 50
/** Bytes that may wait for a slow end before the other one is not read any more. */
const highWater = 1024 * 1024
const longestText = 4096

const refusedCode = 4403
const goneCode = 4404
const overCode = 1000
const goingAway = 1001

interface Stream {
  readonly id: string
  readonly hostId: string
  readonly sandboxId: string
  readonly openedBy: string
  person: WebSocket | null
  host: WebSocket | null
  readonly timers: Set<Timer>
}

/** Shells and commands that people opened: pairs a person's socket with the one that the host's agent opens when told. */
export interface StreamBroker {
  open(stream: { readonly id: string; readonly hostId: string; readonly sandboxId: string; readonly openedBy: string }): void
  /** Whether this controller has a stream that such an end may connect to. */
  has(id: string): boolean
  /** Answers the sandbox of the stream; null when the socket was refused and closed. */
  connect(side: 'person' | 'host', socket: WebSocket, about: { readonly id: string; readonly who: string }): string | null
  close(): void
}

export function createStreamBroker(timers: Timers): StreamBroker {
  const streams = new Map<string, Stream>()

  function end(stream: Stream, code: number, reason: string): void {
    if (!streams.delete(stream.id)) return
    for (const timer of stream.timers) timer.cancel()
    for (const socket of [stream.person, stream.host]) {
      socket?.resume()
      socket?.close(code, reason)
    }
  }

  function later(stream: Stream, ms: Milliseconds, run: () => void): void {
    const timer = timers.after(ms, () => {
      stream.timers.delete(timer)
      if (streams.has(stream.id)) run()
    })
    stream.timers.add(timer)
  }

  /** A peer that does not answer pings is gone, though its connection does not say so. */
  function keepAlive(stream: Stream, socket: WebSocket): void {
    let answered = true
    socket.on('pong', () => (answered = true))
    const turn = (): void => {
      if (!answered) return end(stream, goingAway, 'the other end does not answer')
      answered = false
      socket.ping()
      later(stream, pingEvery, turn)
    }
    later(stream, pingEvery, turn)
  }

  function pair(stream: Stream): void {
    const { person, host } = stream
    if (person === null || host === null) return
    forward(person, host)
    forward(host, person)
  }

  function connect(side: 'person' | 'host', socket: WebSocket, about: { readonly id: string; readonly who: string }): string | null {
    const refuse = (code: number, reason: string): null => {
      socket.close(code, reason)
      return null
    }
    const stream = streams.get(about.id)
    if (stream === undefined) return refuse(goneCode, 'there is no such stream (any more)')
    const owner = side === 'person' ? stream.openedBy : stream.hostId
    if (owner !== about.who) return refuse(refusedCode, 'this stream was opened by somebody else')
    if (stream[side] !== null) return refuse(refusedCode, 'this end is connected already')
    stream[side] = socket
    socket.pause()
    socket.on('close', () => end(stream, overCode, 'the other end closed'))
    keepAlive(stream, socket)
    pair(stream)
    return stream.sandboxId
  }

  return {
    open(wanted) {
      const ofHost = [...streams.values()].filter(({ hostId }) => hostId === wanted.hostId)
      if (ofHost.length >= perHost)
        throw new CideryError('TOO_MANY_REQUESTS', `${perHost} streams to this host are open`, { hint: 'close one of them' })
      const stream: Stream = { ...wanted, person: null, host: null, timers: new Set() }
      streams.set(stream.id, stream)
      later(stream, connectWithin, () => {
        if (stream.person === null || stream.host === null) end(stream, goneCode, 'the other end did not connect in time')
      })
      later(stream, longestLife, () => end(stream, overCode, 'the longest life of a stream is over'))
    },
    has: (id) => streams.has(id),
    connect,
    close() {
      for (const stream of streams.values()) end(stream, goingAway, 'the controller is stopping')
    },
  }
}

/** Passes frames on; while more than a bound waits to be sent the sender is not read. */
function forward(from: WebSocket, to: WebSocket): void {
  from.on('message', (data: Buffer, isBinary: boolean) => {
    if (!isBinary && data.length > longestText) return from.close(refusedCode, 'a text frame is too long')
    to.send(data, { binary: isBinary }, () => {
      if (to.bufferedAmount <= highWater / 2) from.resume()
    })
    if (to.bufferedAmount > highWater) from.pause()
  })
  from.resume()
}

const StreamCreate = z.strictObject({ command: z.array(z.string().max(131_072)).max(1000), tty: z.boolean().default(false) })
const StreamCreated = z.strictObject({ streamId: z.string() })

/** `POST /sandboxes/:id/streams`: opens a shell or command; both ends then connect a WebSocket. */
export function streamRoutes(services: Services, broker: StreamBroker): readonly Route[] {
  return [
    route({
      method: 'POST',
      path: '/sandboxes/:id/streams',
      summary: 'Open a command or shell in a sandbox; then connect to /streams/:id',
      tag: 'sandboxes',
      access: 'exec',
      params: z.strictObject({ id: z.string() }),
      body: StreamCreate,
      response: StreamCreated,
      status: 201,
      handler: async (context, { params, body }) => {
        const sandbox = await services.recorder.read((db) => readSandbox(db, params.id))
        requireSandboxCan(sandbox, 'exec')
        const id = services.ids.next('str')
        broker.open({ id, hostId: sandbox.hostId, sandboxId: sandbox.id, openedBy: actorOf(context.principal) })
        await services.recorder.write(authorOf(context), async (tx) => {
          await wantStream(tx, sandbox.id, { id, command: body.command, tty: body.tty, until: tx.now + connectWithin })
          tx.desire(sandbox.hostId)
          // The words of the command may hold what is secret: the journal has only the first.
          tx.note('exec.opened', `sandbox/${sandbox.id}`, { data: { streamId: id, program: body.command[0] ?? 'shell', tty: body.tty } })
        })
        return { streamId: id }
      },
    }),
  ]
}

export function streamSockets(services: Services, broker: StreamBroker): readonly SocketRoute[] {
  return [
    {
      path: '/streams/:id',
      summary: "A person's end of a stream",
      access: 'exec',
      connected: (socket, context) => void broker.connect('person', socket, { id: idOf(context), who: actorOf(context.principal) }),
    },
    {
      path: '/agent/streams/:id',
      summary: "A host's end of a stream",
      access: 'host',
      exists: (params) => broker.has(params['id'] ?? ''),
      async connected(socket, context) {
        const streamId = idOf(context)
        const sandboxId = broker.connect('host', socket, { id: streamId, who: context.principal.id })
        if (sandboxId !== null) await services.recorder.write(system, (tx) => forgetStream(tx, { sandboxId, streamId }))
      },
    },
  ]
}

function idOf(context: SocketContext): string {
  return context.params['id'] ?? ''
}
