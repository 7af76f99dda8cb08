import { WebSocket } from 'ws'
import { z } from 'zod'
import { CideryError } from '../../../model/errors.ts'
import type { StreamPeer } from '../../../ports/agent.ts'
import { unreachable } from './exchange.ts'
import type { Trust } from './trust.ts'

const connectMs = 15_000
/** Bytes on their way to a slow terminal, at most; then the process waits. */
const highWater = 256 * 1024
const pollMs = 20
/** The controller pings every 30 s. */
const silenceMs = 90_000

const Control = z.looseObject({
  eof: z.literal(true).optional(),
  resize: z.looseObject({ columns: z.int().positive().max(10_000), rows: z.int().positive().max(10_000) }).optional(),
})

/**
 * Connects a stream: binary frames are bytes both ways, text frames are JSON (`{resize}` and `{eof}` in, `{exit}` out). Resolves when it is over, rejects
 * NOT_FOUND when this controller has no such stream, UNREACHABLE when it could not be connected.
 */
export async function attach(trust: Trust, at: { readonly path: string; readonly key: string }, peer: StreamPeer): Promise<void> {
  const url = new URL(at.path, trust.url)
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
  const ca = await trust.ca()
  const socket = new WebSocket(url, {
    headers: { authorization: `Bearer ${at.key}` },
    handshakeTimeout: connectMs,
    maxPayload: 16 * 1024 ** 2,
    ...(ca === null ? {} : { ca }),
  })
  await pump(trust, socket, peer)
}

/** Listens before the connection is there: the first bytes come in the same packet as the end of the handshake. */
function pump(trust: Trust, socket: WebSocket, peer: StreamPeer): Promise<void> {
  return new Promise((resolve, reject) => {
    let open = false
    let silence: NodeJS.Timeout | undefined
    function heard(): void {
      clearTimeout(silence)
      silence = setTimeout(() => socket.terminate(), silenceMs)
    }
    socket.on('ping', heard)
    socket.on('unexpected-response', (_request, response) => {
      const { statusCode } = response
      response.resume()
      reject(
        statusCode === 404
          ? new CideryError('NOT_FOUND', `${trust.url.origin} has no such stream`)
          : unreachable(trust, new Error(`it answered ${statusCode ?? 0}`)),
      )
      socket.terminate()
    })
    socket.on('error', (error) => {
      if (!open) reject(unreachable(trust, error))
      socket.terminate()
    })
    socket.on('close', () => {
      clearTimeout(silence)
      if (open) peer.onClosed()
      resolve()
    })
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      heard()
      if (isBinary) take(socket, peer, data)
      else control(peer, data)
    })
    socket.on('open', () => {
      open = true
      heard()
      peer.start({
        write: (bytes) => write(socket, bytes),
        exit(code, signal) {
          if (socket.readyState !== WebSocket.OPEN) return
          socket.send(JSON.stringify({ exit: { code, signal } }), () => socket.close(1000))
        },
      })
    })
  })
}

/** Nothing more is read while the process takes no more. */
function take(socket: WebSocket, peer: StreamPeer, data: Buffer): void {
  socket.pause()
  peer.onInput(data).then(
    () => socket.resume(),
    () => socket.terminate(),
  )
}

function control(peer: StreamPeer, data: Buffer): void {
  const message = readControl(data)
  if (message?.eof === true) peer.onInputEnd()
  if (message?.resize !== undefined) peer.onResize(message.resize.columns, message.resize.rows)
}

function readControl(data: Buffer): z.infer<typeof Control> | null {
  try {
    return Control.parse(JSON.parse(data.toString('utf8')))
  } catch {
    // A frame that says nothing we know is passed over: newer clients may send more.
    return null
  }
}

async function write(socket: WebSocket, bytes: Uint8Array): Promise<void> {
  if (socket.readyState !== WebSocket.OPEN) return
  socket.send(bytes, { binary: true })
  while (socket.bufferedAmount > highWater && socket.readyState === WebSocket.OPEN) {
    await new Promise((resolve) => void setTimeout(resolve, pollMs))
  }
}
