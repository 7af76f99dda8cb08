import { once } from 'node:events'
import { connect } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import type { SealedEvent } from '../../src/model/event.ts'
import { bearer, fixture } from './access-fixture.ts'
import type { Fixture } from './access-fixture.ts'

let made: Fixture | undefined
afterEach(async () => {
  await made?.close()
  made = undefined
})

async function open() {
  made = await fixture()
  const at = made
  const { url, port } = await at.server.listen({ host: '127.0.0.1', port: 0 })
  const token = await at.tokenOf('admin')
  return { at, url, port, token }
}

async function append(at: Fixture, count: number, from = 1): Promise<void> {
  const events = Array.from({ length: count }, (_, index) => ({
    kind: 'job.submitted' as const,
    at: at.time.clock.now(),
    actor: 'user:alice',
    subject: `job/${from + index}`,
    origin: '10.0.0.1',
    result: 'ok' as const,
    data: {},
  }))
  await at.ports.store.write((tx) => at.ports.append(tx, events))
  await at.seal()
}

interface Stream {
  readonly text: () => string
  readonly ids: () => readonly number[]
  readonly ended: () => boolean
  close(): void
}

async function follow(url: string, token: string, headers: Record<string, string> = {}): Promise<Stream> {
  const stop = new AbortController()
  const answer = await fetch(url, { headers: { ...bearer(token), ...headers }, signal: stop.signal })
  expect(answer.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
  let text = ''
  let ended = false
  void (async () => {
    try {
      for await (const chunk of answer.body ?? []) text += Buffer.from(chunk).toString()
    } catch {
      // The test closed it.
    }
    ended = true
  })()
  return {
    text: () => text,
    ids: () => [...text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id)),
    ended: () => ended,
    close: () => stop.abort(),
  }
}

/** Moves the virtual clock while a condition is polled in real time. */
async function eventually(at: Fixture, look: () => unknown, expected: unknown): Promise<void> {
  await expect
    .poll(
      async () => {
        await at.time.advance(100)
        return look()
      },
      { timeout: 10_000, interval: 5 },
    )
    .toEqual(expected)
}

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)

describe('the event stream', () => {
  it('sends all events after a number, then each new one once it is sealed, in order', async () => {
    const { at, url, token } = await open()
    await append(at, 450)
    const stream = await follow(`${url}/api/v1/events?after=10`, token)
    await eventually(at, () => stream.ids(), numbers(11, 450))
    await append(at, 3, 451)
    await eventually(at, () => stream.ids(), numbers(11, 453))
    expect(stream.text()).toContain('"subject":"job/453"')
    stream.close()
  })

  it('goes on where a lost connection ended, by Last-Event-ID', async () => {
    const { at, url, token } = await open()
    await append(at, 20)
    const first = await follow(`${url}/api/v1/events?after=0`, token)
    await eventually(at, () => first.ids().length, 20)
    first.close()
    await append(at, 5, 21)
    const second = await follow(`${url}/api/v1/events?after=0`, token, { 'last-event-id': '20' })
    await eventually(at, () => second.ids(), numbers(21, 25))
    second.close()
    expect((await fetch(`${url}/api/v1/events`, { headers: { ...bearer(token), 'last-event-id': 'x' } })).status).toBe(400)
  })

  it('starts with what comes next when no number is given', async () => {
    const { at, url, token } = await open()
    await append(at, 5)
    let opened = false
    const opening = follow(`${url}/api/v1/events`, token).finally(() => (opened = true))
    await expect
      .poll(
        async () => {
          await at.time.advance(100)
          return opened
        },
        { timeout: 10_000, interval: 5 },
      )
      .toBe(true)
    const stream = await opening
    await append(at, 2, 6)
    await eventually(at, () => stream.ids(), [6, 7])
    stream.close()
  })

  it('shows no event that is not sealed', async () => {
    const { at, url, token } = await open()
    await append(at, 1)
    const stream = await follow(`${url}/api/v1/events?after=0`, token)
    await eventually(at, () => stream.ids(), [1])
    await at.ports.store.write((tx) =>
      at.ports.append(tx, [{ kind: 'job.ended', at: 1, actor: 'system', subject: 'job/x', origin: null, result: 'ok', data: {} }]),
    )
    for (let i = 0; i < 50; i += 1) await at.time.advance(100)
    expect(stream.ids()).toEqual([1])
    await at.seal()
    await eventually(at, () => stream.ids(), [1, 2])
    stream.close()
  })

  it('sends a comment every 15 seconds when nothing happens', async () => {
    const { at, url, token } = await open()
    const stream = await follow(`${url}/api/v1/events?after=0`, token)
    await eventually(at, () => stream.text().split(': still here').length - 1 >= 2, true)
    expect(at.time.elapsed()).toBeGreaterThanOrEqual(30_000)
    stream.close()
  })

  it('serves many who follow with a few reads of the journal', async () => {
    const { at, url, token } = await open()
    await append(at, 5)
    const tokens = [token, await at.tokenOf('viewer')]
    const streams = await Promise.all(
      Array.from({ length: 30 }, (_, index) => follow(`${url}/api/v1/events?after=5`, tokens[index % 2] ?? '')),
    )
    for (let i = 0; i < 20; i += 1) await at.time.advance(100)
    const { read } = at.ports.store
    let reads = 0
    Object.assign(at.ports.store, {
      read: async (work: Parameters<typeof read>[0]) => {
        reads += 1
        return read(work)
      },
    })
    await append(at, 10, 6)
    for (const stream of streams) await eventually(at, () => stream.ids(), numbers(6, 15))
    expect(reads).toBeLessThan(10)
    for (const stream of streams) stream.close()
  })

  it('refuses a caller who opens too many, and takes the next when one closed', async () => {
    const { at, url, token } = await open()
    const streams = await Promise.all(Array.from({ length: 20 }, () => follow(`${url}/api/v1/events?after=0`, token)))
    expect((await fetch(`${url}/api/v1/events?after=0`, { headers: bearer(token) })).status).toBe(429)
    streams[0]?.close()
    await expect
      .poll(
        async () => {
          const answer = await fetch(`${url}/api/v1/events?after=0`, { headers: bearer(token) })
          await answer.body?.cancel()
          return answer.status
        },
        { timeout: 5_000 },
      )
      .toBe(200)
    for (const stream of streams) stream.close()
    expect(at.log.lines.filter((line) => line.level === 'error')).toEqual([])
  })

  it('drops a client that does not read, and holds at most a page for it', async () => {
    const { at, port, token } = await open()
    const events = Array.from({ length: 2_000 }, (_, index) => ({
      kind: 'job.submitted' as const,
      at: 1,
      actor: 'a',
      subject: `job/${index}`,
      origin: null,
      result: 'ok' as const,
      data: { text: 'x'.repeat(10_000) },
    }))
    await at.ports.store.write((tx) => at.ports.append(tx, events))
    await at.seal()
    const socket = connect(port, '127.0.0.1')
    socket.pause()
    const closed = once(socket, 'close')
    socket.on('error', () => socket.destroy())
    socket.write(`GET /api/v1/events?after=0 HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${token}\r\n\r\n`)
    const before = process.memoryUsage().rss
    const streams = async () => (await at.app.inject({ url: '/metrics' })).body.match(/^cidery_event_streams (\d+)$/m)?.[1]
    await expect.poll(streams, { timeout: 5_000 }).toBe('1')
    await expect
      .poll(
        async () => {
          await at.time.advance(1_000)
          return streams()
        },
        { timeout: 10_000 },
      )
      .toBe('0')
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * 1024 * 1024)
    socket.resume()
    await closed
  })

  it('ends when the server stops', async () => {
    const { at, url, token } = await open()
    const stream = await follow(`${url}/api/v1/events?after=0`, token)
    await at.server.close(1_000)
    await expect.poll(stream.ended, { timeout: 5_000 }).toBe(true)
  })
})

describe('the audit', () => {
  it('lists events in pages, also of one subject', async () => {
    const { at, token } = await open()
    await append(at, 5)
    const get = async (query: string) =>
      (await at.app.inject({ url: `/api/v1/audit${query}`, headers: bearer(token) })).json<{
        items: SealedEvent[]
        nextAfter: number | null
      }>()
    const first = await get('?limit=3')
    expect([first.items.map((event) => event.number), first.nextAfter]).toEqual([[1, 2, 3], 3])
    const second = await get('?limit=3&after=3')
    expect([second.items.map((event) => event.number), second.nextAfter]).toEqual([[4, 5], null])
    expect((await get('?subject=job/2')).items).toMatchObject([{ number: 2, actor: 'user:alice', origin: '10.0.0.1', result: 'ok' }])
  })

  it('verifies, and finds a changed line', async () => {
    const { at, token } = await open()
    await append(at, 5)
    const verify = async () => (await at.app.inject({ url: '/api/v1/audit/verify', headers: bearer(token) })).json<object>()
    expect(await verify()).toEqual({ ok: true, first: 1, last: 5, checked: 5, problem: null })
    await at.ports.store.write((tx) => tx.updateTable('events').set({ doc: '{}' }).where('number', '=', 3).execute())
    expect(await verify()).toMatchObject({ ok: false, problem: expect.stringContaining('3') })
  })

  it('is exported whole as one object per line, which is an event itself', async () => {
    const { at, url, token } = await open()
    await append(at, 1_500)
    const answer = await fetch(`${url}/api/v1/audit/export`, { headers: bearer(token) })
    expect(answer.headers.get('content-type')).toContain('application/x-ndjson')
    const lines = (await answer.text())
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as SealedEvent)
    expect(lines.map((event) => event.number)).toEqual(numbers(1, 1_500))
    expect((await at.events()).at(-1)).toMatchObject({ kind: 'audit.exported', actor: 'token:admin-1/test' })
  })

  it('is closed to whoever may not manage people', async () => {
    const { at } = await open()
    const viewer = await at.tokenOf('viewer')
    for (const path of ['', '/verify', '/export'])
      expect((await at.app.inject({ url: `/api/v1/audit${path}`, headers: bearer(viewer) })).statusCode).toBe(403)
  })
})
