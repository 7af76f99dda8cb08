import { WebSocket } from 'ws'
import type { RawData } from 'ws'
import type { HttpRequest, Socket, SocketMessage } from '../cli/client/transport.ts'

const highWater = 1_048_576

/** Opens a WebSocket; rejects when the server answers with anything but an upgrade. */
export function openWebSocket(request: Pick<HttpRequest, 'url' | 'headers' | 'trust' | 'signal'>): Promise<Socket> {
  const url = new URL(request.url)
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
  const socket = new WebSocket(url, {
    headers: { ...request.headers },
    handshakeTimeout: 15_000,
    ...(request.trust === undefined ? {} : { ca: request.trust }),
  })
  const queue = messageQueue(socket)
  return new Promise((resolve, reject) => {
    socket.on('error', reject)
    request.signal?.addEventListener('abort', () => socket.terminate(), { once: true })
    socket.once('open', () =>
      resolve({
        send: (data) =>
          new Promise((done, failed) => {
            socket.send(data, (error) => (error === undefined || error === null ? done() : failed(error)))
          }),
        messages: queue,
        close: () => socket.close(),
      }),
    )
  })
}

/** Holds what came until it is read, from the first byte on; stops reading the socket while more than 1 MiB waits. */
function messageQueue(socket: WebSocket): AsyncIterable<SocketMessage> {
  const waiting: SocketMessage[] = []
  let bytes = 0
  let ended = false
  let failure: Error | undefined
  let wake: (() => void) | undefined
  socket.on('message', (raw: RawData, binary: boolean) => {
    const data = bytesOf(raw)
    waiting.push({ binary, data })
    bytes += data.byteLength
    if (bytes > highWater) socket.pause()
    wake?.()
  })
  socket.on('close', () => {
    ended = true
    wake?.()
  })
  socket.on('error', (error: Error) => {
    failure = error
    wake?.()
  })

  async function* read(): AsyncGenerator<SocketMessage> {
    for (;;) {
      const next = waiting.shift()
      if (next !== undefined) {
        bytes -= next.data.byteLength
        if (bytes <= highWater && socket.isPaused) socket.resume()
        yield next
      } else if (failure !== undefined) {
        throw failure
      } else if (ended) {
        return
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    }
  }
  return read()
}

function bytesOf(raw: RawData): Uint8Array {
  if (Buffer.isBuffer(raw)) return raw
  return Array.isArray(raw) ? Buffer.concat(raw) : Buffer.from(raw)
}
