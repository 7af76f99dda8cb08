import { once } from 'node:events'
import { connect } from 'node:net'
import type { InjectOptions } from 'fastify'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { z } from 'zod'
import { CideryError } from '../../src/model/errors.ts'
import { route } from '../../src/serve/route.ts'
import type { Route, SocketRoute } from '../../src/serve/route.ts'
import { bearer, fixture } from './access-fixture.ts'
import type { Fixture, FixtureOptions } from './access-fixture.ts'

let made: Fixture | undefined
afterEach(async () => {
  await made?.close()
  made = undefined
})

async function open(options: FixtureOptions = {}): Promise<Fixture> {
  made = await fixture(options)
  return made
}

const base = { tag: 'test', summary: 'test', access: 'public' } as const
const Thing = z.strictObject({
  name: z.string().max(20),
  size: z.enum(['small', 'large']).default('small'),
  generation: z.int().optional(),
})

/** Sends bytes as they are and gives everything that comes back until the connection ends. */
async function raw(port: number, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(text)
  let answer = ''
  socket.on('data', (chunk: Buffer) => (answer += chunk.toString()))
  socket.on('error', () => socket.destroy())
  await once(socket, 'close')
  return answer
}

describe('every error', () => {
  const routes: readonly Route[] = [
    route({
      ...base,
      method: 'POST',
      path: '/things/:id',
      params: z.strictObject({ id: z.string().regex(/^t\d+$/) }),
      query: z.strictObject({ deep: z.coerce.boolean().optional() }),
      body: Thing,
      response: Thing,
      handler: async (_context, { body }) => body,
    }),
    route({
      ...base,
      method: 'GET',
      path: '/broken',
      response: Thing,
      handler: async () => Promise.reject(new Error('SELECT password_hash FROM users at /home/secret/file.ts')),
    }),
    route({ ...base, method: 'GET', path: '/lies', response: Thing, handler: async () => ({ nam: 'x' }) }),
    route({
      ...base,
      method: 'GET',
      path: '/full',
      response: 'empty',
      handler: async () => Promise.reject(new CideryError('QUEUE_FULL', 'the queue is full', { details: { retryAfterS: 7.2 } })),
    }),
    route({
      ...base,
      method: 'PUT',
      path: '/bytes',
      body: 'bytes',
      bodyLimit: 1000,
      response: z.strictObject({ length: z.int() }),
      handler: async ({ bytes }) => {
        let length = 0
        for await (const chunk of bytes()) length += chunk.length
        return { length }
      },
    }),
  ]

  const cases: readonly (readonly [what: string, request: InjectOptions, status: number, code: string])[] = [
    ['an unknown path', { url: '/api/v1/nothing' }, 404, 'NOT_FOUND'],
    ['a method that a path has not', { method: 'DELETE', url: '/api/v1/broken' }, 405, 'METHOD_NOT_ALLOWED'],
    ['HEAD where only GET is', { method: 'HEAD', url: '/api/v1/broken' }, 405, ''],
    ['an encoding that is none', { url: '/api/v1/%zz' }, 400, 'INVALID_INPUT'],
    ['a part of a path that is too long', { url: `/api/v1/jobs/${'x'.repeat(2000)}` }, 404, 'NOT_FOUND'],
    [
      'a body that is no JSON',
      { method: 'POST', url: '/api/v1/things/t1', headers: { 'content-type': 'application/json' }, payload: '{"name":' },
      400,
      'INVALID_INPUT',
    ],
    [
      'a body that would change a prototype',
      {
        method: 'POST',
        url: '/api/v1/things/t1',
        headers: { 'content-type': 'application/json' },
        payload: '{"name":"x","__proto__":{"size":"large"}}',
      },
      400,
      'INVALID_INPUT',
    ],
    ['no body', { method: 'POST', url: '/api/v1/things/t1' }, 400, 'INVALID_INPUT'],
    [
      'a form',
      { method: 'POST', url: '/api/v1/things/t1', headers: { 'content-type': 'application/x-www-form-urlencoded' }, payload: 'name=x' },
      415,
      'UNSUPPORTED_MEDIA_TYPE',
    ],
    [
      'text',
      { method: 'POST', url: '/api/v1/things/t1', headers: { 'content-type': 'text/plain' }, payload: '{"name":"x"}' },
      415,
      'UNSUPPORTED_MEDIA_TYPE',
    ],
    [
      'bytes where JSON belongs',
      { method: 'POST', url: '/api/v1/things/t1', headers: { 'content-type': 'application/octet-stream' }, payload: 'x' },
      415,
      'UNSUPPORTED_MEDIA_TYPE',
    ],
    ['JSON where bytes belong', { method: 'PUT', url: '/api/v1/bytes', payload: { a: 1 } }, 415, 'UNSUPPORTED_MEDIA_TYPE'],
    [
      'a body that is too large',
      { method: 'POST', url: '/api/v1/things/t1', payload: { name: 'x'.repeat(1_048_577) } },
      413,
      'PAYLOAD_TOO_LARGE',
    ],
    [
      'bytes that are too many',
      { method: 'PUT', url: '/api/v1/bytes', headers: { 'content-type': 'application/octet-stream' }, payload: 'x'.repeat(1001) },
      413,
      'PAYLOAD_TOO_LARGE',
    ],
    ['an unknown field', { method: 'POST', url: '/api/v1/things/t1', payload: { name: 'x', sise: 'small' } }, 400, 'INVALID_INPUT'],
    ['an unknown query parameter', { method: 'POST', url: '/api/v1/things/t1?dep=1', payload: { name: 'x' } }, 400, 'INVALID_INPUT'],
    ['a query parameter where none is', { url: '/api/v1/broken?x=1' }, 400, 'INVALID_INPUT'],
    ['a wrong path parameter', { method: 'POST', url: '/api/v1/things/x', payload: { name: 'x' } }, 400, 'INVALID_INPUT'],
    [
      'a wrong If-Match',
      { method: 'POST', url: '/api/v1/things/t1', headers: { 'if-match': 'W/"1"' }, payload: { name: 'x' } },
      400,
      'INVALID_INPUT',
    ],
    ['a fault of ours', { url: '/api/v1/broken' }, 500, 'INTERNAL'],
    ['an answer that breaks its promise', { url: '/api/v1/lies' }, 500, 'INTERNAL'],
  ]

  it.each(cases)('is problem+json: %s', async (...[, request, status, code]) => {
    const at = await open({ routes })
    const answer = await at.app.inject({ method: 'GET', ...request })
    expect(answer.statusCode).toBe(status)
    expect(answer.headers['content-type']).toBe('application/problem+json; charset=utf-8')
    if (code !== '')
      expect(answer.json()).toMatchObject({
        status,
        code,
        title: expect.any(String),
        detail: expect.any(String),
        type: expect.stringContaining('errors.md'),
      })
  })

  it('names the field, what is accepted and what was probably meant', async () => {
    const at = await open({ routes })
    const answer = await at.app.inject({ method: 'POST', url: '/api/v1/things/t1', payload: { name: 'x', sise: 'small' } })
    expect(answer.json()).toMatchObject({
      detail: 'the field sise is not accepted: unknown field "sise"; did you mean "size"?',
      problems: [{ path: 'sise', accepted: ['name', 'size', 'generation'] }],
    })
  })

  it('says nothing of what is inside, and the log has it under the request id', async () => {
    const at = await open({ routes })
    const answer = await at.app.inject({ url: '/api/v1/broken' })
    expect(answer.body).not.toMatch(/SELECT|password_hash|\/home|\.ts/)
    const id = answer.headers['x-request-id']
    expect(answer.json()).toMatchObject({ details: { requestId: id }, hint: expect.stringContaining(String(id)) })
    expect(at.log.lines).toMatchObject([{ level: 'error', facts: { requestId: id } }])
  })

  it('says when to try again', async () => {
    const at = await open({ routes })
    expect((await at.app.inject({ url: '/api/v1/full' })).headers['retry-after']).toBe('8')
  })

  it('says which methods there are', async () => {
    const at = await open({ routes })
    expect((await at.app.inject({ method: 'PATCH', url: '/api/v1/spec' })).headers['allow']).toBe('GET, PUT')
  })

  it('is answered also when the request is not HTTP, and its head too large', async () => {
    const at = await open({ routes })
    const { port } = await at.server.listen({ host: '127.0.0.1', port: 0 })
    const nonsense = await raw(port, 'nonsense\r\n\r\n')
    expect(nonsense).toMatch(/^HTTP\/1\.1 400 .*\r\ncontent-type: application\/problem\+json/s)
    const large = await raw(port, `GET / HTTP/1.1\r\nhost: localhost\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`)
    expect(large).toMatch(/^HTTP\/1\.1 413 .*PAYLOAD_TOO_LARGE/s)
  })
})

describe('a request that smuggles', () => {
  it.each([
    [
      'two lengths',
      'POST /api/v1/session HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\ncontent-length: 3\r\nconnection: close\r\n\r\n{}',
    ],
    [
      'a length and chunks',
      'POST /api/v1/session HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n0\r\n\r\n',
    ],
    ['a line break in a header', 'GET / HTTP/1.1\r\nhost: localhost\r\nx: a\nauthorization: b\r\nbad header\r\n\r\n'],
    ['a NUL in a header', 'GET / HTTP/1.1\r\nhost: localhost\r\nx: a\0b\r\nconnection: close\r\n\r\n'],
    ['no host', 'GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n'],
  ])('is refused: %s', async (_what, text) => {
    const at = await open()
    const { port } = await at.server.listen({ host: '127.0.0.1', port: 0 })
    expect(await raw(port, text)).toMatch(/^HTTP\/1\.1 400 /)
  })

  it('cannot add a header to an answer by what it sends', async () => {
    const at = await open()
    const answer = await at.app.inject({ url: '/api/v1/%0d%0aset-cookie:%20a=b', headers: { origin: 'http://x%0d%0aset-cookie: a=b' } })
    expect(answer.headers['set-cookie']).toBeUndefined()
  })
})

describe('a slow client', () => {
  it('is cut off when its body does not arrive within 30 seconds', async () => {
    const at = await open()
    const { port } = await at.server.listen({ host: '127.0.0.1', port: 0 })
    const answer = raw(
      port,
      'POST /api/v1/session HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{',
    )
    const requests = () => at.time.pending()
    const before = requests()
    await expect.poll(requests, { timeout: 5_000 }).toBeGreaterThanOrEqual(before)
    for (let i = 0; i < 50 && at.time.elapsed() < 40_000; i += 1) {
      await new Promise((resolve) => void setImmediate(resolve))
      if (i > 20) await at.time.advance(1_500)
    }
    expect(await answer).toMatch(/^HTTP\/1\.1 408 .*REQUEST_TIMEOUT/s)
  })

  it('has limits for its head, its idle connection and the number of connections', async () => {
    const at = await open()
    const { server } = at.app
    expect([server.headersTimeout, server.requestTimeout, server.keepAliveTimeout, server.maxConnections]).toEqual([
      15_000, 300_000, 72_000, 25_000,
    ])
  })
})

describe('on loopback', () => {
  it.each(['evil.example', 'evil.example:7411', '127.0.0.1.evil.example', 'localhost.evil.example:80', '10.0.0.1', '[::2]'])(
    'a request that names %s is refused: its page was led here by DNS',
    async (host) => {
      const at = await open()
      expect((await at.app.inject({ url: '/healthz', headers: { host } })).json()).toMatchObject({ status: 421, code: 'WRONG_HOST' })
    },
  )

  it.each(['localhost', 'localhost:1234', '127.0.0.1:7411', '127.9.9.9', '[::1]:7411', 'LOCALHOST', 'ci.internal:9'])(
    'a request that names %s is answered',
    async (host) => {
      const at = await open({ server: { names: ['CI.internal'] } })
      expect((await at.app.inject({ url: '/healthz', headers: { host } })).statusCode).toBe(200)
    },
  )
})

describe('a WebSocket', () => {
  const echo: SocketRoute = {
    path: '/echo/:id',
    summary: 'test',
    access: 'exec',
    connected: (socket, { params, principal }) => {
      socket.on('message', (data: Buffer) => socket.send(`${principal.kind} ${params['id'] ?? ''} ${data.toString()}`))
    },
  }
  const outcome = async (url: string, headers: Record<string, string>) =>
    new Promise<string>((resolve) => {
      const socket = new WebSocket(url, { headers })
      socket.on('open', () => socket.send('hi'))
      socket.on('message', (data: Buffer) => {
        resolve(data.toString())
        socket.close()
      })
      socket.on('unexpected-response', (_request, response) => resolve(String(response.statusCode)))
      socket.on('error', (error) => resolve(error.message))
    })

  it('asks for the credential, the scope and, of browsers, our own origin, before it opens', async () => {
    const at = await open({ sockets: [echo] })
    const { port } = await at.server.listen({ host: '127.0.0.1', port: 0 })
    const url = `ws://127.0.0.1:${port}/api/v1/echo/s1`
    expect(await outcome(url, {})).toBe('401')
    expect(await outcome(url, bearer(await at.tokenOf('operator')))).toBe('403')
    expect(await outcome(url, bearer(await at.tokenOf('admin')))).toBe('token s1 hi')
    await at.addUser('alice', 'admin')
    const { cookie = '' } = await at.signIn('alice')
    expect(await outcome(url, { cookie })).toBe('403')
    expect(await outcome(url, { cookie, origin: 'http://evil.example' })).toBe('403')
    expect(await outcome(url, { cookie, origin: `http://127.0.0.1:${port}` })).toBe('user s1 hi')
    expect((await at.app.inject({ url: '/api/v1/echo/s1', headers: bearer(await at.tokenOf('admin')) })).statusCode).toBe(400)
  })

  it('is closed when the server stops', async () => {
    const at = await open({ sockets: [echo] })
    const { port } = await at.server.listen({ host: '127.0.0.1', port: 0 })
    const socket = new WebSocket(`ws://127.0.0.1:${port}/api/v1/echo/s1`, { headers: bearer(await at.tokenOf('admin')) })
    await once(socket, 'open')
    const closed = once(socket, 'close')
    await at.server.close(1_000)
    expect((await closed)[0]).toBe(1001)
  })
})

describe('stopping', () => {
  it('ends parked requests at once and lets running ones finish', async () => {
    let finish: (() => void) | undefined
    const parked: Route = route({
      ...base,
      method: 'GET',
      path: '/parked',
      response: z.strictObject({ woke: z.boolean() }),
      handler: async ({ signal }) => {
        await once(signal, 'abort')
        return { woke: true }
      },
    })
    const running: Route = route({
      ...base,
      method: 'GET',
      path: '/running',
      response: z.strictObject({ done: z.boolean() }),
      handler: async () => {
        await new Promise<void>((resolve) => (finish = resolve))
        return { done: true }
      },
    })
    const at = await open({ routes: [parked, running] })
    const { url } = await at.server.listen({ host: '127.0.0.1', port: 0 })
    const answers = [fetch(`${url}/api/v1/parked`), fetch(`${url}/api/v1/running`)]
    await expect.poll(() => finish, { timeout: 5_000 }).toBeDefined()
    const closing = at.server.close(5_000)
    expect(await (await answers[0])?.json()).toEqual({ woke: true })
    finish?.()
    expect(await (await answers[1])?.json()).toEqual({ done: true })
    await closing
    await expect(fetch(`${url}/healthz`)).rejects.toThrow('fetch failed')
  })

  it('closes what does not end within its grace', async () => {
    const stuck = route({ ...base, method: 'GET', path: '/stuck', response: 'empty', handler: async () => new Promise(() => undefined) })
    const at = await open({ routes: [stuck] })
    const { url } = await at.server.listen({ host: '127.0.0.1', port: 0 })
    const answer = fetch(`${url}/api/v1/stuck`).then(
      () => 'answered',
      () => 'cut',
    )
    await expect.poll(() => at.time.pending(), { timeout: 5_000 }).toBeGreaterThan(0)
    await new Promise((resolve) => void setTimeout(resolve, 50))
    const closing = at.server.close(3_000)
    await at.time.advance(3_000)
    await closing
    expect(await answer).toBe('cut')
  })
})
