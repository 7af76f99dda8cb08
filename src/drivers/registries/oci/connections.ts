import { readFileSync } from 'node:fs'
import { Agent as HttpAgent, request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { getCACertificates } from 'node:tls'
import { CideryError } from '../../../model/errors.ts'
import type { Milliseconds } from '../../../model/instant.ts'
import type { Timers } from '../../../ports/time.ts'
import { createLine, type Line } from './line.ts'

export interface Body {
  readonly sizeBytes: number
  /** Called once for each time it is sent. */
  readonly bytes: () => AsyncIterable<Uint8Array>
}

export interface Outgoing {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Body
  /** The other side may have to copy all that it got before it answers. */
  readonly worksLong?: boolean
  readonly signal: AbortSignal
}

export interface Answer {
  readonly status: number
  header(name: string): string | undefined
  /** To be read once. Throws Passing when it breaks off. */
  readonly bytes: AsyncIterable<Uint8Array>
  /** The beginning of it, for messages and small documents; ends the answer. */
  text(longestBytes: number): Promise<string>
  /** Nobody wants the rest. */
  drop(): void
}

export interface Connections {
  /**
   * Sends one request and gives its answer as it begins, whatever its status. Throws Passing when there is none, what the source of the body threw, or
   * the signal's reason.
   */
  open(outgoing: Outgoing): Promise<Answer>
  close(): void
}

export interface ConnectionOptions {
  readonly timers: Timers
  readonly silenceMs: Milliseconds
  readonly caFile: string | undefined
}

const agentOptions = { keepAlive: true, keepAliveMsecs: 15_000, maxSockets: 64, maxFreeSockets: 8 }
/** Silences, where the other side works. */
const longWork = 5
const shortRestBytes = 64 * 1024
const restMs = 10_000

/** Node's own HTTP: it streams both ways at the pace of the slower side, and its sockets can be watched. */
export function createConnections(options: ConnectionOptions): Connections {
  const plain = new HttpAgent(agentOptions)
  const secure = new HttpsAgent({ ...agentOptions, ...(options.caFile === undefined ? {} : { ca: trusted(options.caFile) }) })

  let closed = false

  function begin({ method, url, headers, body }: Outgoing): ClientRequest {
    const isSecure = url.protocol === 'https:'
    const sends = body !== undefined || method === 'POST' || method === 'PUT'
    return (isSecure ? httpsRequest : httpRequest)(url, {
      method,
      agent: isSecure ? secure : plain,
      headers: { 'user-agent': 'cidery', ...headers, ...(sends ? { 'content-length': String(body?.sizeBytes ?? 0) } : {}) },
    })
  }

  async function open(outgoing: Outgoing): Promise<Answer> {
    const { method, body, signal } = outgoing
    signal.throwIfAborted()
    if (closed) throw new CideryError('UNAVAILABLE', 'the registry client was closed')
    const request = begin(outgoing)
    const line = createLine(request, { ...options, signal })
    const answered = answerOf(request)
    try {
      await line.connected()
      if (body === undefined) request.end()
      // An answer that comes before all was sent is a refusal: the rest is not sent.
      else await Promise.race([feed(request, line, body), answered])
      const response = await line.within(outgoing.worksLong === true ? longWork * options.silenceMs : options.silenceMs, answered)
      return answerFrom(response, line, method)
    } catch (error) {
      line.end()
      throw error instanceof SourceFailure && !signal.aborted ? error.cause : line.broken(error)
    }
  }

  return {
    open,
    close() {
      closed = true
      plain.destroy()
      secure.destroy()
    },
  }
}

function trusted(file: string): string[] {
  try {
    return [...getCACertificates('default'), readFileSync(file, 'utf8')]
  } catch (cause) {
    throw new CideryError('INVALID_INPUT', `the certificates of ${file} cannot be read`, {
      cause,
      hint: 'caFile names a file of PEM certificates',
    })
  }
}

function answerOf(request: ClientRequest): Promise<IncomingMessage> {
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve)
    // Stays, so that what breaks after the answer began is no event that nobody hears.
    request.on('error', reject)
    request.once('close', () => reject(new Error('the connection was closed before an answer')))
  })
  answered.catch(() => {
    // Seen by whoever waits for it, which may be nobody any more.
  })
  return answered
}

/** What the source of a body threw: no fault of the connection, and not tried again. */
class SourceFailure extends Error {}

async function feed(request: ClientRequest, line: Line, body: Body): Promise<void> {
  const pieces = body.bytes()[Symbol.asyncIterator]()
  let sent = 0
  try {
    for (;;) {
      const next = await fromSource(pieces)
      // Refused or cut while the source was read.
      if (request.destroyed || line.ended()) return
      if (next.done === true) break
      sent += next.value.length
      if (sent > body.sizeBytes) throw unequal(body, 'more')
      if (!request.write(next.value)) await line.within(line.silenceMs, writable(request))
    }
    if (sent !== body.sizeBytes) throw unequal(body, 'fewer')
    request.end()
  } finally {
    await pieces.return?.()
  }
}

async function fromSource(pieces: AsyncIterator<Uint8Array>): Promise<IteratorResult<Uint8Array>> {
  try {
    return await pieces.next()
  } catch (cause) {
    throw new SourceFailure('the source of a body failed', { cause })
  }
}

function unequal(body: Body, than: string): SourceFailure {
  const cause = new CideryError('DIGEST_MISMATCH', `what is to be sent has ${than} than its ${body.sizeBytes} bytes`)
  return new SourceFailure(cause.message, { cause })
}

function writable(request: ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    if (request.destroyed) return resolve()
    const done = (): void => {
      request.off('drain', done).off('close', done)
      resolve()
    }
    request.on('drain', done).on('close', done)
  })
}

function answerFrom(response: IncomingMessage, line: Line, method: Outgoing['method']): Answer {
  async function* bytes(): AsyncGenerator<Uint8Array> {
    const iterator = response[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>
    try {
      for (;;) {
        // Counted only while somebody waits for bytes: a slow reader is no silent registry.
        const next = await line.within(line.silenceMs, iterator.next())
        if (next.done === true) return
        yield next.value
      }
    } catch (error) {
      throw line.broken(error)
    } finally {
      if (!response.complete) response.destroy()
      line.end()
    }
  }

  function drop(): void {
    // A short rest is read, so that the connection can be used again; a long one is cut.
    const isShort = method === 'HEAD' || Number(response.headers['content-length'] ?? Infinity) <= shortRestBytes
    if (isShort) response.setTimeout(restMs, () => response.destroy()).resume()
    else response.destroy()
    line.end()
  }

  return {
    status: response.statusCode ?? 0,
    header(name) {
      const value = response.headers[name]
      return Array.isArray(value) ? value.join(', ') : value
    },
    bytes: { [Symbol.asyncIterator]: bytes },
    async text(longestBytes) {
      const pieces: Uint8Array[] = []
      let size = 0
      for await (const piece of { [Symbol.asyncIterator]: bytes }) {
        pieces.push(piece)
        size += piece.length
        if (size >= longestBytes) break
      }
      return Buffer.concat(pieces).subarray(0, longestBytes).toString('utf8')
    },
    drop,
  }
}
