import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Disturbance } from './faults.ts'

/** One request on its way through the double. */
export interface Visit {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly url: URL
  readonly fault: Disturbance | null
}

export interface DoubleAnswer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array | { readonly size: number; readonly pieces: AsyncIterable<Buffer> }
}

export function refusal(status: number, code: string, detail?: unknown): DoubleAnswer {
  const errors = [{ code, message: code.toLowerCase().replaceAll('_', ' '), ...(detail === undefined ? {} : { detail }) }]
  return { status, headers: { 'content-type': 'application/json; charset=utf-8' }, body: Buffer.from(JSON.stringify({ errors })) }
}

/** Ends the connection without an answer. What is not read yet of the request is lost, as it is when a server dies. */
export function hangUp({ request }: Visit): void {
  request.socket.destroy()
}

/** Sends an answer as far as the fault lets it. */
export async function send(visit: Visit, answer: DoubleAnswer): Promise<void> {
  const { request, response, fault } = visit
  if (fault?.kind === 'lose-answer') {
    hangUp(visit)
    return
  }
  const { pieces, size } = bodyOf(answer)
  const length = fault?.kind === 'shorten' ? Math.min(size, fault.to) : size
  const own = fault?.kind === 'headers' ? fault.headers : {}
  response.writeHead(answer.status, { ...answer.headers, 'content-length': String(length), ...own })
  if (request.method === 'HEAD') response.end()
  else await sendBody(visit, pieces, length)
}

async function sendBody(visit: Visit, pieces: AsyncIterable<Buffer>, length: number): Promise<void> {
  const { request, response, fault } = visit
  const breaks = fault?.kind === 'cut' || fault?.kind === 'stop' ? fault : null
  response.flushHeaders()
  await pump(visit, pieces, Math.min(breaks?.after ?? length, length))
  if (breaks?.kind === 'cut' && breaks.after < length) request.socket.destroySoon()
  else if (breaks?.kind !== 'stop') response.end()
}

function bodyOf({ body }: DoubleAnswer): { readonly size: number; readonly pieces: AsyncIterable<Buffer> } {
  if (body === undefined) return { size: 0, pieces: once(Buffer.alloc(0)) }
  return body instanceof Uint8Array ? { size: body.length, pieces: once(Buffer.from(body)) } : body
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}

async function pump({ response, fault }: Visit, pieces: AsyncIterable<Buffer>, most: number): Promise<void> {
  let at = 0
  for await (const piece of pieces) {
    const part = Buffer.from(piece.subarray(0, most - at))
    if (fault?.kind === 'flip' && fault.at >= at && fault.at < at + part.length) {
      part.writeUInt8(part.readUInt8(fault.at - at) ^ 0xff, fault.at - at)
    }
    at += part.length
    if (part.length > 0 && !response.write(part)) await drained(response)
    if (at >= most || response.destroyed) return
  }
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done).off('close', done)
      resolve()
    }
    response.on('drain', done).on('close', done)
    if (response.destroyed) done()
  })
}
