import { once } from 'node:events'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import type { HostId } from '../../src/model/id.ts'
import { system } from '../../src/record/commit.ts'
import { createSandbox } from '../../src/record/sandboxes.ts'
import { plainSync } from '../doubles/plain-sync.ts'
import { the } from '../doubles/the.ts'
import { waitFor } from '../e2e/wait.ts'
import { startFleetApi, type FleetApi } from './fleet-api.ts'

let api: FleetApi
let url: string
let hostId: HostId
let hostKey: string
let sockets: WebSocket[] = []

beforeEach(async () => {
  api = await startFleetApi()
  url = (await api.server.listen({ host: '127.0.0.1', port: 0 })).url.replace('http', 'ws')
  const { fleet } = api
  hostId = await fleet.enrol('mini-1')
  hostKey = await api.keyOf(hostId)
  const id = fleet.core.services.ids.next('sbx')
  const host = await fleet.host('mini-1')
  await fleet.core.recorder.write(system, async (tx) =>
    createSandbox(tx, {
      id,
      name: 'mine',
      host,
      engine: 'user',
      image: null,
      ttlMs: 1e6,
      hardMs: 1e7,
      idleMs: null,
    }),
  )
  await fleet
    .link(hostId)
    .sync(
      plainSync({ sandboxes: [{ id, engine: 'user', image: null, state: 'running', reason: '', createdAt: 0, isolation: 'account' }] }),
      new AbortController().signal,
    )
})

afterEach(async () => {
  for (const socket of sockets) socket.terminate()
  sockets = []
  await api.close()
})

async function opened(): Promise<string> {
  const answer = await api.call('POST', '/sandboxes/mine/streams', { body: { command: ['sh'], tty: true } })
  expect(answer.status).toBe(201)
  return String(answer.body['streamId'])
}

interface Frame {
  readonly data: string
  readonly isBinary: boolean
}

/** What each socket got, from its very first frame: one may come with the answer to the upgrade. */
const got = new WeakMap<WebSocket, Frame[]>()

async function connect(path: string, token: string): Promise<WebSocket> {
  const socket = new WebSocket(`${url}/api/v1${path}`, { headers: { authorization: `Bearer ${token}` } })
  sockets.push(socket)
  const list: Frame[] = []
  got.set(socket, list)
  socket.on('message', (data: Buffer, isBinary: boolean) => list.push({ data: data.length > 1000 ? '' : data.toString(), isBinary }))
  await once(socket, 'open')
  return socket
}

async function closeOf(socket: WebSocket): Promise<number> {
  if (socket.readyState === WebSocket.CLOSED) return -1
  const [code] = (await once(socket, 'close')) as [number]
  return code
}

describe('a stream into a sandbox', () => {
  it('is told to the host at once, and carries bytes and words both ways in order', async () => {
    const id = await opened()
    const desired = (await api.fleet.link(hostId).sync(plainSync(), new AbortController().signal)).desired
    expect(desired?.streams).toEqual([{ id, sandboxId: expect.stringMatching(/^sbx_/), command: ['sh'], tty: true }])
    const person = await connect(`/streams/${id}`, api.admin)
    // Typed before the other end is there: it waits.
    person.send(Buffer.from('early\n'))
    const host = await connect(`/agent/streams/${id}`, hostKey)
    const [toHost, toPerson] = [the(got.get(host)), the(got.get(person))]
    person.send(JSON.stringify({ resize: { columns: 80, rows: 24 } }))
    for (let count = 0; count < 100; count += 1) host.send(Buffer.from(`${count} `))
    host.send(JSON.stringify({ exit: { code: 3, signal: null } }))
    await waitFor('the frames', () => toPerson.length === 101 && toHost.length === 2)
    expect(toHost).toEqual([
      { data: 'early\n', isBinary: true },
      { data: '{"resize":{"columns":80,"rows":24}}', isBinary: false },
    ])
    expect(
      toPerson
        .filter(({ isBinary }) => isBinary)
        .map(({ data }) => data)
        .join(''),
    ).toBe(Array.from({ length: 100 }, (_, count) => `${count} `).join(''))
    expect(toPerson.at(-1)).toEqual({ data: '{"exit":{"code":3,"signal":null}}', isBinary: false })
    host.close()
    await closeOf(person)
    expect((await api.fleet.events()).map(({ kind }) => kind)).toContain('exec.opened')
  })

  it('is for who opened it and for its own host, each end once', async () => {
    const id = await opened()
    const stranger = await connect(`/streams/${id}`, await api.tokenOf('admin'))
    expect(await closeOf(stranger)).toBe(4403)
    const otherHost = await connect(`/agent/streams/${id}`, await api.keyOf(await api.fleet.enrol('mini-2')))
    expect(await closeOf(otherHost)).toBe(4403)
    await connect(`/streams/${id}`, api.admin)
    const twice = await connect(`/streams/${id}`, api.admin)
    expect(await closeOf(twice)).toBe(4403)
    const none = await connect('/streams/str_none', api.admin)
    expect(await closeOf(none)).toBe(4404)
  })

  it('is refused to those without the scope', async () => {
    expect(
      (await api.call('POST', '/sandboxes/mine/streams', { as: await api.tokenOf('operator'), body: { command: ['sh'] } })).status,
    ).toBe(403)
  })

  it('ends when the other end does not connect in time, and when one of them goes', async () => {
    const waiting = await connect(`/streams/${await opened()}`, api.admin)
    const late = closeOf(waiting)
    await api.fleet.time.advance(61_000)
    expect(await late).toBe(4404)
    const id = await opened()
    const person = await connect(`/streams/${id}`, api.admin)
    const host = await connect(`/agent/streams/${id}`, hostKey)
    const ended = closeOf(host)
    person.terminate()
    await ended
    expect(host.readyState).toBe(WebSocket.CLOSED)
  })

  it('does not read a sender whose receiver is slow: memory stays bounded', async () => {
    const id = await opened()
    const person = await connect(`/streams/${id}`, api.admin)
    const host = await connect(`/agent/streams/${id}`, hostKey)
    let received = 0
    person.on('message', (data: Buffer) => (received += data.length))
    person.pause()
    const piece = Buffer.alloc(64 * 1024, 1)
    const total = 60 * 1024 * 1024
    let sent = 0
    // The sender honours its own backpressure, as an agent does.
    const sending = (async () => {
      for (; sent < total; sent += piece.length) await new Promise<void>((resolve) => host.send(piece, () => resolve()))
    })()
    let last = -1
    await waitFor('the sender to be held up', async () => {
      const held = sent === last
      last = sent
      await new Promise((resolve) => setTimeout(resolve, 300))
      return held
    })
    // What the sockets of the kernel and the broker's own bound hold, and no more.
    expect(sent).toBeLessThan(30 * 1024 * 1024)
    person.resume()
    await sending
    await waitFor('every byte', () => received === total)
  })
})
