import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { z } from 'zod'
import { CideryError } from '../../src/model/errors.ts'
import type { DoubleAnswer, DoubleRequest, DoubleState, Faults, RouteParts } from './api-double-contract.ts'
import { doubleRoutes } from './api-double-routes.ts'
import { sampleHost, sampleSandbox } from './api-double-samples.ts'

export interface ApiDouble {
  readonly url: string
  readonly port: number
  readonly token: string
  readonly state: DoubleState
  readonly faults: Faults
  readonly requests: DoubleRequest[]
  close(): Promise<void>
}

/** A controller in memory that is strict: what a client sends and what it answers must fit the schemas of model/api.ts. */
export async function startApiDouble(): Promise<ApiDouble> {
  const token = `cidery_tok_${randomBytes(32).toString('base64url')}`
  const state: DoubleState = {
    jobs: new Map(),
    logs: new Map(),
    hosts: new Map([sampleHost('mini-1'), sampleHost('mini-2')].map((host) => [host.id, host])),
    operations: new Map(),
    sandboxes: new Map([sampleSandbox('try')].map((sandbox) => [sandbox.id, sandbox])),
    uploads: new Map(),
    blobs: new Map(),
    created: new Map(),
    specSource: 'version: 1\n',
    specGeneration: 1,
    play: () => ({ attempts: [{ pieces: ['hello\n'], outcome: { kind: 'exited', code: 0 } }] }),
  }
  const faults: Faults = { loseAnswer: () => false, refuse: () => undefined, cutLogAfter: Number.POSITIVE_INFINITY }
  const requests: DoubleRequest[] = []
  const server = createServer((incoming, outgoing) => {
    void answer(incoming, outgoing, { token, state, faults, requests }).catch((error: unknown) => sendProblem(outgoing, error))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    token,
    state,
    faults,
    requests,
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

interface Parts {
  readonly token: string
  readonly state: DoubleState
  readonly faults: Faults
  readonly requests: DoubleRequest[]
}

async function answer(incoming: IncomingMessage, outgoing: ServerResponse, { token, state, faults, requests }: Parts): Promise<void> {
  const request = await readRequest(incoming)
  requests.push(request)
  if (incoming.headers.authorization !== `Bearer ${token}`)
    throw new CideryError('UNAUTHENTICATED', 'no valid credential came with the request')
  const refused = faults.refuse(request)
  if (refused !== undefined) throw new CideryError(refused, `refused: ${refused}`)
  const key = incoming.headers['idempotency-key']?.toString() ?? ''
  const result = state.created.get(key) ?? (await dispatch(request, outgoing, { state, faults }))
  if (result === undefined) return
  if (key !== '') state.created.set(key, result)
  if (faults.loseAnswer(request)) return void outgoing.destroy()
  outgoing
    .writeHead(result.status, { 'content-type': 'application/json' })
    .end(result.body === undefined ? '' : JSON.stringify(result.body))
}

async function readRequest(incoming: IncomingMessage): Promise<DoubleRequest> {
  const url = new URL(incoming.url ?? '/', 'http://double')
  const bytes = await readAll(incoming)
  const isJson = incoming.headers['content-type'] === 'application/json' && bytes.byteLength > 0
  return {
    method: incoming.method ?? 'GET',
    path: url.pathname.replace(/^\/api\/v1/, ''),
    query: url.searchParams,
    headers: incoming.headers,
    body: isJson ? JSON.parse(Buffer.from(bytes).toString('utf8')) : undefined,
    bytes,
  }
}

async function dispatch(
  request: DoubleRequest,
  outgoing: ServerResponse,
  parts: Pick<RouteParts, 'state' | 'faults'>,
): Promise<DoubleAnswer | undefined> {
  for (const route of doubleRoutes) {
    const match = route.method === request.method ? route.path.exec(request.path) : null
    if (match === null) continue
    const checked = (schema: z.ZodType | undefined, value: unknown, what: string) => {
      if (schema === undefined) return value
      const result = schema.safeParse(value)
      if (!result.success)
        throw new CideryError('INVALID_INPUT', `${what} is not accepted`, {
          problems: result.error.issues.map((issue) => ({ path: issue.path.join('.'), message: issue.message })),
        })
      return result.data
    }
    checked(route.query, Object.fromEntries(request.query), 'the query')
    if (route.ifMatch === true && request.headers['if-match'] === undefined)
      throw new CideryError('PRECONDITION_REQUIRED', 'the write needs an If-Match header')
    const body = checked(route.body, request.body, 'the body')
    const result = await route.handle({ ...parts, request, outgoing, params: match.slice(1).map(decodeURIComponent) }, body)
    if (route.response === undefined) return route.status === 204 ? { status: 204, body: undefined } : undefined
    // The double keeps its own promises: an answer that does not fit the contract is a fault of the test.
    return { status: route.status ?? 200, body: route.response.parse(result) }
  }
  throw new CideryError('NOT_FOUND', `there is no route ${request.method} ${request.path}`)
}

function sendProblem(outgoing: ServerResponse, error: unknown): void {
  const known = error instanceof CideryError ? error : new CideryError('INTERNAL', error instanceof Error ? error.message : String(error))
  const { code, status, message: detail, hint, problems, details } = known
  if (outgoing.headersSent) return void outgoing.destroy()
  outgoing.writeHead(status, { 'content-type': 'application/problem+json' })
  outgoing.end(JSON.stringify({ type: 'about:blank', title: code, status, code, detail, hint, problems, details }))
}

async function readAll(incoming: IncomingMessage): Promise<Uint8Array> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks)
}
