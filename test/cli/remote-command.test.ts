import { once } from 'node:events'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import type { WebSocket } from 'ws'
import { sampleSandbox } from '../doubles/api-double-samples.ts'
import { runCli } from './run-cli.ts'
import type { CliOptions } from './run-cli.ts'

let server: Server
let url: string
let texts: string[]
let asked: unknown
/** What the other side does once it is connected. */
let serve: (socket: WebSocket) => void

beforeEach(async () => {
  texts = []
  const sandbox = sampleSandbox('try')
  const streams = new WebSocketServer({ noServer: true })
  server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString('utf8')))
    request.on('end', () => {
      response.setHeader('content-type', 'application/json')
      if (request.method === 'GET') return void response.end(JSON.stringify(sandbox))
      asked = JSON.parse(body)
      response.writeHead(201).end('{"streamId":"str_1"}')
    })
  })
  server.on('upgrade', (request, socket, head) => {
    if (request.url !== '/api/v1/streams/str_1' || request.headers.authorization !== 'Bearer t') return void socket.destroy()
    streams.handleUpgrade(request, socket, head, (client) => {
      client.on('message', (data: Buffer, isBinary: boolean) => void (isBinary || texts.push(data.toString('utf8'))))
      serve(client)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})

afterEach(() => {
  server.closeAllConnections()
  server.close()
})

function cidery(args: readonly string[], options: CliOptions = {}) {
  return runCli(args, { ...options, env: { CIDERY_URL: url, CIDERY_TOKEN: 't' } })
}

function exit(socket: WebSocket, code: number | null, signal: number | null): void {
  socket.send(JSON.stringify({ exit: { code, signal } }), () => socket.close())
}

describe('sandbox exec', () => {
  it('passes bytes both ways as they are and ends with the exit code', async () => {
    const bytes = Buffer.from(Array.from({ length: 70_000 }, (_, index) => index % 256))
    serve = (socket) => {
      let received = 0
      socket.on('message', (data: Buffer, isBinary: boolean) => {
        if (isBinary) {
          received += data.length
          socket.send(data)
        } else if (data.toString('utf8').includes('eof')) exit(socket, received === bytes.length ? 7 : 99, null)
      })
    }
    const run = await cidery(['sandbox', 'exec', 'try', '--', 'cat', '-n'], { stdin: bytes })
    expect(run.code).toBe(7)
    expect(Buffer.compare(Buffer.from(run.bytes), bytes)).toBe(0)
    expect(asked).toEqual({ command: ['cat', '-n'], tty: false })
  })

  it('ends with 128 + n on a signal, and with 125 when the connection ends first', async () => {
    serve = (socket) => exit(socket, null, 15)
    expect((await cidery(['vm', 'exec', 'try', '--', 'x'])).code).toBe(143)
    serve = (socket) => socket.close()
    const cut = await cidery(['vm', 'exec', 'try', '--', 'x'])
    expect(cut.code).toBe(125)
    expect(cut.stderr).toContain('before the command did')
  })
})

describe('sandbox ssh', () => {
  it('opens a shell with a terminal of our size', async () => {
    serve = (socket) => {
      socket.send(Buffer.from('hello'))
      setTimeout(() => exit(socket, 0, null), 50)
    }
    const run = await cidery(['sandbox', 'ssh', 'try'], { typed: [], columns: 132 })
    expect([run.code, run.stdout]).toEqual([0, 'hello'])
    expect(texts[0]).toBe('{"resize":{"columns":132,"rows":24}}')
    expect(asked).toMatchObject({ tty: true })
  })

  it('leaves a connection that does not answer by ~. at the start of a line', async () => {
    serve = () => undefined
    expect((await cidery(['sandbox', 'ssh', 'try'], { typed: [], stdin: 'ls\r~.' })).code).toBe(130)
  })

  it('needs a terminal', async () => {
    const run = await cidery(['sandbox', 'ssh', 'try'])
    expect(run.code).toBe(2)
    expect(run.stderr).toContain('sandbox exec try')
  })
})
