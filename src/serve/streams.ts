import type { WebSocket } from 'ws'
import { z } from 'zod'
import { CideryError } from '../model/errors.ts'
import { hour, minute, second, type Milliseconds } from '../model/instant.ts'
import type { DesiredStream } from '../model/sync.ts'
import type { Timer, Timers } from '../ports/time.ts'
import { readSandbox, requireSandboxCan, useSandbox } from '../record/sandboxes.ts'
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

interface Stream extends DesiredStream {
  readonly hostId: string
  readonly openedBy: string
  person: WebSocket | null
  host: WebSocket | null
  readonly timers: Set<Timer>
}

/** Shells and commands that people opened: pairs a person's socket with the one that the host's agent opens when told. */
export interface StreamBroker {
  open(stream: {
    readonly id: string
    readonly hostId: string
    readonly sandboxId: string
    readonly command: readonly string[]
    readonly tty: boolean
    readonly openedBy: string
  }): void
  /** Streams that a host's agent should connect to. */
  wantedOf(hostId: string): readonly DesiredStream[]
  connect(side: 'person' | 'host', socket: WebSocket, about: { readonly id: string; readonly who: string }): void
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

  function connect(side: 'person' | 'host', socket: WebSocket, about: { readonly id: string; readonly who: string }): void {
    const stream = streams.get(about.id)
    if (stream === undefined) return socket.close(goneCode, 'there is no such stream (any more)')
    const owner = side === 'person' ? stream.openedBy : stream.hostId
    if (owner !== about.who) return socket.close(refusedCode, 'this stream was opened by somebody else')
    if (stream[side] !== null) return socket.close(refusedCode, 'this end is connected already')
    stream[side] = socket
    socket.pause()
    socket.on('close', () => end(stream, overCode, 'the other end closed'))
    keepAlive(stream, socket)
    pair(stream)
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
    wantedOf: (hostId) =>
      [...streams.values()]
        .filter((stream) => stream.hostId === hostId && stream.host === null)
        .map(({ id, sandboxId, command, tty }) => ({ id, sandboxId, command, tty })),
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
        broker.open({
          id,
          hostId: sandbox.hostId,
          sandboxId: sandbox.id,
          command: body.command,
          tty: body.tty,
          openedBy: actorOf(context.principal),
        })
        await services.recorder.write(authorOf(context), async (tx) => {
          await useSandbox(tx, sandbox.id)
          tx.desire(sandbox.hostId)
          // The words of the command may hold what is secret: the journal has only the first.
          tx.note('exec.opened', `sandbox/${sandbox.id}`, { data: { streamId: id, program: body.command[0] ?? 'shell', tty: body.tty } })
        })
        return { streamId: id }
      },
    }),
  ]
}

export function streamSockets(broker: StreamBroker): readonly SocketRoute[] {
  return [
    {
      path: '/streams/:id',
      summary: "A person's end of a stream",
      access: 'exec',
      connected: (socket, context) => broker.connect('person', socket, { id: idOf(context), who: actorOf(context.principal) }),
    },
    {
      path: '/agent/streams/:id',
      summary: "A host's end of a stream",
      access: 'host',
      connected: (socket, context) => broker.connect('host', socket, { id: idOf(context), who: context.principal.id }),
    },
  ]
}

function idOf(context: SocketContext): string {
  return context.params['id'] ?? ''
}
