import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Socket } from 'node:net'
import { CideryError, errorCodes, type ErrorCode } from '../../../model/errors.ts'
import type { Trust } from './trust.ts'

export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH'
  readonly path: string
  readonly key?: string
  /** Sent as JSON. */
  readonly json?: unknown
  /** Sent as they are. */
  readonly bytes?: Uint8Array
  readonly headers?: Readonly<Record<string, string>>
  /** Until the answer begins. */
  readonly limitMs: number
  readonly signal?: AbortSignal
}

/** A machine that is gone refuses nothing: it is given up after this, however long an answer may take. */
const connectMs = 5_000
const longestAnswer = 64 * 1024 ** 2
/** While an answer comes, no longer than this without a byte. */
const silenceMs = 60_000

/** Sends a request and gives the answer as it begins. UNREACHABLE when none does; else the controller's own error. */
export async function call(trust: Trust, options: Call): Promise<IncomingMessage> {
  const response = await send(trust, options)
  const status = response.statusCode ?? 0
  if (status >= 200 && status < 300) return response
  throw problem(status, await textOf(response), options)
}

/** A call whose answer is JSON; null for an empty one. */
export async function callJson(trust: Trust, options: Call): Promise<unknown> {
  const response = await call(trust, options)
  const text = await textOf(response)
  if (text === '') return null
  try {
    return JSON.parse(text) as unknown
  } catch (cause) {
    throw new CideryError('UNREACHABLE', `${trust.url.origin} answered ${options.path} with something that is no JSON`, { cause })
  }
}

async function send(trust: Trust, options: Call): Promise<IncomingMessage> {
  options.signal?.throwIfAborted()
  const agent = await trust.connections()
  options.signal?.throwIfAborted()
  const body = options.json === undefined ? options.bytes : Buffer.from(JSON.stringify(options.json))
  const headers: Record<string, string> = { accept: 'application/json', ...options.headers }
  if (options.key !== undefined) headers['authorization'] = `Bearer ${options.key}`
  if (body !== undefined) {
    headers['content-type'] = options.json === undefined ? 'application/octet-stream' : 'application/json'
    headers['content-length'] = String(body.byteLength)
  }
  const url = new URL(options.path, trust.url)
  const start = url.protocol === 'https:' ? httpsRequest : httpRequest
  return new Promise((resolve, reject) => {
    const { signal } = options
    const request = start(url, { method: options.method, headers, agent })
    const late = setTimeout(() => request.destroy(new Error(`no answer within ${options.limitMs} ms`)), options.limitMs)
    request.on('socket', (socket) => limitConnecting(socket))
    function onAbort(): void {
      request.destroy(signal?.reason as Error)
    }
    function fail(cause: unknown): void {
      clearTimeout(late)
      signal?.removeEventListener('abort', onAbort)
      reject(signal?.aborted === true ? (signal.reason as Error) : unreachable(trust, cause))
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    request.on('error', fail)
    request.on('response', (response) => {
      clearTimeout(late)
      signal?.removeEventListener('abort', onAbort)
      response.setTimeout(silenceMs, () => response.destroy(new Error(`no byte within ${silenceMs} ms`)))
      resolve(response)
    })
    request.end(body)
  })
}

function limitConnecting(socket: Socket): void {
  if (!socket.connecting) return
  const late = setTimeout(() => socket.destroy(new Error(`no connection within ${connectMs} ms`)), connectMs)
  const over = (): void => clearTimeout(late)
  socket.once('connect', over).once('close', over)
}

export function unreachable(trust: Trust, cause: unknown): CideryError {
  return new CideryError('UNREACHABLE', `the controller ${trust.url.origin} could not be reached`, { cause })
}

/** The whole answer as text, bounded. UNREACHABLE when it breaks off. */
export async function textOf(response: IncomingMessage): Promise<string> {
  const pieces: Uint8Array[] = []
  let size = 0
  try {
    for await (const piece of response as AsyncIterable<Uint8Array>) {
      size += piece.length
      if (size > longestAnswer) throw new Error(`an answer of more than ${longestAnswer} bytes`)
      pieces.push(piece)
    }
  } catch (cause) {
    throw new CideryError('UNREACHABLE', 'the answer of the controller broke off', { cause })
  }
  return Buffer.concat(pieces).toString('utf8')
}

const codeOfStatus: Readonly<Record<number, ErrorCode>> = {
  400: 'INVALID_INPUT',
  401: 'UNAUTHENTICATED',
  403: 'FORBIDDEN',
  404: 'NOT_FOUND',
  409: 'CONFLICT',
  413: 'PAYLOAD_TOO_LARGE',
  416: 'OFFSET_MISMATCH',
  426: 'AGENT_TOO_OLD',
  429: 'TOO_MANY_REQUESTS',
  500: 'INTERNAL',
  507: 'STORAGE_FULL',
}

/** The controller's problem as an error; what is no problem of ours (a proxy's page) by its status. */
function problem(status: number, text: string, options: Call): CideryError {
  const body = readObject(text)
  const { code, detail, hint, details } = body
  const known = typeof code === 'string' && Object.hasOwn(errorCodes, code) ? (code as ErrorCode) : (codeOfStatus[status] ?? 'UNAVAILABLE')
  const message = typeof detail === 'string' ? detail : `the controller answered ${options.method} ${options.path} with HTTP ${status}`
  return new CideryError(known, message, {
    hint: typeof hint === 'string' ? hint : undefined,
    details: typeof details === 'object' && details !== null ? (details as Record<string, unknown>) : undefined,
  })
}

function readObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    // Not JSON: a proxy in between, for one. The status says enough.
    return {}
  }
}
