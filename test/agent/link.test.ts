import { X509Certificate, createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http'
import { createServer, type Server as TlsServer } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openOwnCa } from '../../src/drivers/certificates/own-ca.ts'
import { createSystemClock } from '../../src/drivers/clocks/system-clock.ts'
import { createHttpLink } from '../../src/drivers/links/http/controller-link.ts'
import { controllerUrls } from '../../src/drivers/links/http/trust.ts'
import { runAgent } from '../../src/main/agent.ts'
import { CideryError } from '../../src/model/errors.ts'
import { recordingLog } from '../doubles/recording-log.ts'

let folder: string
const servers: (Server | TlsServer)[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cidery-link-'))
})

afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  await rm(folder, { recursive: true, force: true })
})

function portOf(server: Server | TlsServer): number {
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

async function listening<T extends Server | TlsServer>(server: T): Promise<T> {
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}

/** A TLS server with a certificate of a CA of its own, which shows that CA, or another one. */
async function tlsServer(place: string, names: readonly string[], options: { readonly shows?: string } = {}) {
  const certificates = await openOwnCa({ directory: join(folder, place), names, clock: createSystemClock(), log: recordingLog() })
  const shown = options.shows ?? certificates.caPem ?? ''
  const seen: string[] = []
  const { key, chain } = certificates.current()
  const server = await listening(
    createServer({ key, cert: chain }, (request, response) => {
      seen.push(`${request.method ?? ''} ${request.url ?? ''} ${request.headers.authorization ?? ''}`)
      if (request.url === '/api/ca.pem') response.end(shown)
      else if (request.url === '/healthz') response.end('{}')
      else response.writeHead(200, { 'content-type': 'application/json' }).end('{"length":7}')
    }),
  )
  return { server, seen, caPem: certificates.caPem ?? '', fingerprint: certificates.caFingerprint ?? '', port: portOf(server) }
}

async function plainServer(listener: RequestListener): Promise<string> {
  return `http://127.0.0.1:${portOf(await listening(createHttpServer(listener)))}`
}

const key = (): string => 'cidery_key_secret'

describe('a link to several controllers', () => {
  const json =
    (text: string, status = 200): RequestListener =>
    (_request, response) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(text)
    }
  const unavailable = JSON.stringify({ code: 'UNAVAILABLE', detail: 'it is stopping' })

  it('asks the next when one is away, and stays there', async () => {
    const asked: string[] = []
    const gone = await plainServer(json('{}'))
    const stopping = await plainServer((request, response) => {
      asked.push('stopping')
      json(unavailable, 503)(request, response)
    })
    const good = await plainServer((request, response) => {
      asked.push('good')
      json('{"length":3}')(request, response)
    })
    const [server] = servers
    server?.close()
    const link = createHttpLink({ url: `${gone}, ${stopping},${good}`, caFingerprint: null, key })
    expect(await link.appendLog('att_1', 0, Buffer.from('abc'))).toBe(3)
    expect(await link.appendLog('att_1', 0, Buffer.from('abc'))).toBe(3)
    expect(asked).toEqual(['stopping', 'good', 'good'])
    expect(await link.health(2000)).toBe(true)
    link.close()
  })

  it('takes a refusal of one for the answer of all, and says so when all are away', async () => {
    let others = 0
    const refusing = await plainServer(json(JSON.stringify({ code: 'UNAUTHENTICATED', detail: 'who?' }), 401))
    const other = await plainServer((request, response) => {
      others += 1
      json('{"length":3}')(request, response)
    })
    const refused = createHttpLink({ url: `${refusing},${other}`, caFingerprint: null, key })
    await expect(refused.appendLog('att_1', 0, Buffer.from('a'))).rejects.toMatchObject({ code: 'UNAUTHENTICATED' })
    expect(others).toBe(0)
    refused.close()
    const away = createHttpLink({ url: 'http://127.0.0.1:1,http://127.0.0.1:2', caFingerprint: null, key })
    await expect(away.appendLog('att_1', 0, Buffer.from('a'))).rejects.toMatchObject({ code: 'UNREACHABLE' })
    away.close()
  })

  it('does not go on to another when the caller gave up', async () => {
    let others = 0
    const silent = await plainServer(() => undefined)
    const other = await plainServer((request, response) => {
      others += 1
      json('{}')(request, response)
    })
    const link = createHttpLink({ url: `${silent},${other}`, caFingerprint: null, key })
    const stop = new AbortController()
    const asking = link.sync({ waitMs: 0 } as never, stop.signal)
    stop.abort(new CideryError('UNREACHABLE', 'another sync failed'))
    await expect(asking).rejects.toThrow('another sync failed')
    expect(others).toBe(0)
    link.close()
  })

  it('reads every address before the first is used', () => {
    expect(() => createHttpLink({ url: 'http://127.0.0.1:1,http://ci.example', caFingerprint: null, key })).toThrow(
      expect.objectContaining({ code: 'TLS_REQUIRED' }),
    )
    expect(() => createHttpLink({ url: 'http://127.0.0.1:1,', caFingerprint: null, key })).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT' }),
    )
  })
})

describe('the way to a controller', () => {
  it('refuses plain HTTP to another machine unless development is asked for [003-28]', async () => {
    for (const url of ['http://10.1.2.3:7700', 'http://controller.example', 'http://[fd00::1]:80', 'http://127.0.0.1.example']) {
      expect(() => controllerUrls({ url, caFingerprint: null })).toThrow(expect.objectContaining({ code: 'TLS_REQUIRED' }))
      expect(controllerUrls({ url, caFingerprint: null, allowPlainHttp: true })[0].protocol).toBe('http:')
    }
    for (const url of ['http://127.0.0.1:7700', 'http://localhost:1', 'http://[::1]:1', 'https://controller.example']) {
      expect(() => controllerUrls({ url, caFingerprint: null })).not.toThrow()
    }
    for (const url of ['ftp://x', 'controller.example', '']) {
      expect(() => controllerUrls({ url, caFingerprint: null })).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }))
    }
    const options = {
      stateDir: join(folder, 'agent'),
      version: '1',
      log: recordingLog(),
      caFingerprint: null,
      enrolmentToken: 'x'.repeat(20),
    }
    await expect(runAgent({ ...options, controllerUrl: 'http://10.1.2.3:7700' })).rejects.toMatchObject({ code: 'TLS_REQUIRED' })
  })

  it('trusts the CA of the pinned fingerprint and no other, and sends no key before it does [003-28]', async () => {
    const good = await tlsServer('good', ['127.0.0.1'])
    const link = createHttpLink({ url: `https://127.0.0.1:${good.port}`, caFingerprint: good.fingerprint, key })
    expect(await link.health(2000)).toBe(true)
    expect(await link.appendLog('att_1', 0, Buffer.from('x'))).toBe(7)
    link.close()

    // Another CA; a CA that is shown but did not sign; a certificate for another name.
    const other = await tlsServer('other', ['127.0.0.1'])
    const lying = await tlsServer('lying', ['127.0.0.1'], { shows: good.caPem })
    const elsewhere = await tlsServer('elsewhere', ['controller.example'])
    const tries = [
      [other, good.fingerprint],
      [lying, good.fingerprint],
      [elsewhere, elsewhere.fingerprint],
      [good, null],
    ] as const
    for (const [server, caFingerprint] of tries) {
      const wrong = createHttpLink({ url: `https://127.0.0.1:${server.port}`, caFingerprint, key })
      const before = server.seen.length
      await expect(wrong.appendLog('att_1', 0, Buffer.from('x'))).rejects.toMatchObject({
        code: expect.stringMatching(/^(?:FORBIDDEN|UNREACHABLE)$/),
      })
      // Who shows another CA is told from who does not answer: nobody waits for that one.
      if (server === other) await expect(wrong.health(2000)).rejects.toMatchObject({ code: 'FORBIDDEN' })
      else expect(await wrong.health(2000)).toBe(false)
      expect(server.seen.slice(before).filter((line) => !line.startsWith('GET /api/ca.pem '))).toEqual([])
      wrong.close()
    }
  })

  it('takes a fingerprint as people write it', async () => {
    const good = await tlsServer('good', ['127.0.0.1'])
    const written = new X509Certificate(good.caPem).fingerprint256
    const link = createHttpLink({ url: `https://127.0.0.1:${good.port}`, caFingerprint: written, key })
    expect(await link.health(2000)).toBe(true)
    link.close()
    expect(() => createHttpLink({ url: 'https://x', caFingerprint: 'abc', key })).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT' }),
    )
  })

  it('tells a controller that refuses from a way that is broken', async () => {
    const problem = { type: 'x', title: 'x', status: 401, code: 'UNAUTHENTICATED', detail: 'the key was revoked', hint: 'cidery host add' }
    const url = await plainServer((request, response) => {
      if (request.url?.includes('finish') === true) request.socket.destroy()
      else if (request.url?.includes('secrets') === true) response.writeHead(502).end('<html>bad gateway</html>')
      else response.writeHead(401, { 'content-type': 'application/problem+json' }).end(JSON.stringify(problem))
    })
    const link = createHttpLink({ url, caFingerprint: null, key })
    await expect(link.rotateKey('0'.repeat(64))).rejects.toMatchObject({
      code: 'UNAUTHENTICATED',
      message: 'the key was revoked',
      hint: 'cidery host add',
    })
    await expect(link.finishLog('att_1', 1)).rejects.toMatchObject({ code: 'UNREACHABLE' })
    await expect(link.fetchSecrets('att_1')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    link.close()
    const gone = createHttpLink({ url: 'http://127.0.0.1:1', caFingerprint: null, key })
    await expect(gone.rotateKey('0'.repeat(64))).rejects.toMatchObject({ code: 'UNREACHABLE' })
    expect(await gone.health(500)).toBe(false)
    gone.close()
  })

  it('gives a health probe no more than its time, and a parked poll back when it is no longer wanted', async () => {
    const url = await plainServer(() => {
      // Never answers.
    })
    const link = createHttpLink({ url, caFingerprint: null, key })
    const startedAt = performance.now()
    expect(await link.health(300)).toBe(false)
    expect(performance.now() - startedAt).toBeLessThan(2000)
    const control = new AbortController()
    const request = {
      protocol: 1,
      agentVersion: '1',
      bootId: 'b',
      instanceId: 'i',
      seen: { epoch: 0, generation: 0 },
      waitMs: 25_000,
      sentAt: 0,
      facts: null,
      attempts: [],
      operations: [],
      sandboxes: [],
    }
    const parked = link.sync(request, control.signal)
    control.abort(new Error('no longer'))
    await expect(parked).rejects.toThrow('no longer')
    link.close()
  })

  it('takes an upload up where it broke off, and says so when a download ends too early', async () => {
    const bytes = Buffer.alloc(9_000_000, 'abc')
    const digest = createHash('sha256').update(bytes).digest('hex')
    let held = Buffer.alloc(0)
    let broken = 0
    const offsets: number[] = []
    const url = await plainServer((request, response) => {
      const pieces: Buffer[] = []
      const answer = (status: number, body: unknown): void =>
        void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
      request.on('data', (piece: Buffer) => pieces.push(piece))
      request.on('end', () => {
        const path = request.url ?? ''
        if (path.endsWith('/agent/uploads')) answer(201, { id: 'upl_1', offset: held.length, complete: false })
        else if (path.endsWith('/finish')) answer(200, { digest })
        else if (path.includes('/agent/blobs/')) {
          response.writeHead(200, { 'content-length': 100 })
          response.write('only this')
          setTimeout(() => response.destroy(), 20)
        } else {
          const offset = Number(new URL(path, 'http://x').searchParams.get('offset'))
          offsets.push(offset)
          held = Buffer.concat([held.subarray(0, offset), ...pieces])
          broken += 1
          // The piece was stored, but its answer says that another one was as well.
          if (broken === 1) answer(416, { type: '', title: '', status: 416, code: 'OFFSET_MISMATCH', detail: 'there is more' })
          else answer(200, { id: 'upl_1', offset: held.length, complete: held.length === bytes.length })
        }
      })
    })
    const link = createHttpLink({ url, caFingerprint: null, key })
    async function* read(offset: number): AsyncGenerator<Uint8Array> {
      for (let at = offset; at < bytes.length; at += 100_000) {
        await Promise.resolve()
        yield bytes.subarray(at, at + 100_000)
      }
    }
    await link.uploadBlob(digest, bytes.length, read)
    expect(held.equals(bytes)).toBe(true)
    expect(offsets[1]).toBeGreaterThan(4_000_000)
    const download = await link.downloadBlob(digest, 0)
    await expect(
      (async () => {
        for await (const piece of download) expect(piece.toString()).toBe('only this')
      })(),
    ).rejects.toMatchObject({ code: 'UNREACHABLE' })
    link.close()
  })
})
