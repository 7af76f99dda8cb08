import { request as httpRequest, Agent as HttpAgent } from 'node:http'
import type { IncomingMessage, RequestOptions } from 'node:http'
import { request as httpsRequest, Agent as HttpsAgent } from 'node:https'
import type { Socket } from 'node:net'
import type { HttpAnswer, HttpRequest, Transport } from '../cli/client/transport.ts'

const connectMs = 10_000

/** HTTP and WebSocket over the sockets of this machine. Connections are kept between calls of one process. */
export function nodeTransport(): Transport {
  const agents = new Map<string, HttpAgent>()

  function agentFor(request: Pick<HttpRequest, 'url' | 'trust' | 'untrusted'>): HttpAgent {
    const secure = request.url.protocol === 'https:'
    const key = `${secure}|${request.untrusted === true}|${request.trust ?? ''}`
    const known = agents.get(key)
    if (known !== undefined) return known
    const agent = secure
      ? new HttpsAgent({
          keepAlive: true,
          rejectUnauthorized: request.untrusted !== true,
          ...(request.trust === undefined ? {} : { ca: request.trust }),
        })
      : new HttpAgent({ keepAlive: true })
    agents.set(key, agent)
    return agent
  }

  return {
    send: (request) => send(request, agentFor(request)),
    async openSocket(request) {
      const { openWebSocket } = await import('./cli-socket.ts')
      return openWebSocket(request)
    },
  }
}

function send(request: HttpRequest, agent: HttpAgent): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const body = request.body
    const options: RequestOptions = {
      method: request.method,
      headers: body === undefined ? { ...request.headers } : { ...request.headers, 'content-length': String(body.byteLength) },
      agent,
      ...(request.signal === undefined ? {} : { signal: request.signal }),
    }
    const start = request.url.protocol === 'https:' ? httpsRequest : httpRequest
    const outgoing = start(request.url, options, (incoming) => resolve(toAnswer(incoming)))
    outgoing.setTimeout(request.idleMs, () =>
      outgoing.destroy(Object.assign(new Error(`no byte for ${request.idleMs / 1000} s`), { code: 'ETIMEDOUT' })),
    )
    outgoing.on('socket', (socket) => {
      socket.setKeepAlive(true, 15_000)
      if (socket.connecting) limitConnecting(socket)
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

/** A machine that is gone refuses nothing: without this the next controller would be asked only after the whole patience for an answer. */
function limitConnecting(socket: Socket): void {
  const late = setTimeout(
    () => socket.destroy(Object.assign(new Error(`no connection within ${connectMs / 1000} s`), { code: 'ETIMEDOUT' })),
    connectMs,
  )
  const over = (): void => clearTimeout(late)
  socket.once('connect', over).once('close', over)
}

function toAnswer(incoming: IncomingMessage): HttpAnswer {
  // A cut in the body is thrown by the iterator; without a listener it would also end the process.
  incoming.on('error', () => undefined)
  const headers: Record<string, string | undefined> = {}
  for (const [name, value] of Object.entries(incoming.headers)) headers[name] = Array.isArray(value) ? value.join(', ') : value
  return { status: incoming.statusCode ?? 0, headers, body: incoming }
}
