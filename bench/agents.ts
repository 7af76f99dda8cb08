import { connect, type Socket } from 'node:net'
import type { SyncRequest, SyncResponse } from '../src/model/sync.ts'
import { simulatedFacts } from '../test/doubles/simulated-agent.ts'

/** A host of a seeded fleet, as its agent knows it. */
export interface BenchHost {
  readonly id: string
  readonly name: string
  readonly key: string
}

export interface HttpAnswer {
  readonly status: number
  readonly body: string
}

/**
 * One connection that stays open and has one request under way at a time. The load generator shares the machine with what it loads, so it does as
 * little as it can: no HTTP library, requests as ready text.
 */
export class Connection {
  readonly #socket: Socket
  #received: Buffer[] = []
  #missing = -1
  #settle: { resolve(answer: HttpAnswer): void; reject(error: Error): void } | null = null
  #isOpen = true

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    socket.on('error', (error) => this.#fail(error))
    socket.on('close', () => this.#fail(new Error('the connection was closed')))
  }

  static open(port: number): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port })
      socket.once('error', reject)
      socket.once('connect', () => {
        socket.off('error', reject)
        resolve(new Connection(socket))
      })
    })
  }

  isOpen(): boolean {
    return this.#isOpen
  }

  /** Sends a whole request; resolves with the answer. */
  ask(request: string): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
      if (!this.#isOpen) return this.#fail(new Error('the connection was closed before the request'))
      this.#socket.write(request)
    })
  }

  close(): void {
    this.#settle = null
    this.#socket.destroy()
  }

  #fail(error: Error): void {
    this.#isOpen = false
    this.#settle?.reject(error)
    this.#settle = null
  }

  #receive(chunk: Buffer): void {
    this.#received.push(chunk)
    if (this.#missing > 0) {
      this.#missing -= chunk.length
      if (this.#missing > 0) return
    }
    const all = this.#received.length === 1 ? chunk : Buffer.concat(this.#received)
    const headEnd = all.indexOf('\r\n\r\n')
    if (headEnd < 0) return
    const head = all.toString('latin1', 0, headEnd)
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0)
    this.#missing = headEnd + 4 + length - all.length
    if (this.#missing > 0) {
      this.#received = [all]
      return
    }
    this.#received = []
    this.#missing = -1
    const settle = this.#settle
    this.#settle = null
    settle?.resolve({ status: Number(head.slice(9, 12)), body: all.toString('utf8', headEnd + 4, headEnd + 4 + length) })
  }
}

/** A request as it goes over the wire. */
export function httpRequest(path: string, body: string, key: string): string {
  const head = `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${key}\r\ncontent-type: application/json`
  return `${head}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
}

export interface SyncAbout {
  readonly facts: boolean
  readonly waitMs: number
  readonly attempts?: SyncRequest['attempts']
}

/** An agent that knows what it obeyed, and holds a connection from its first request on: a server gives up one that says nothing. */
export class BenchAgent {
  readonly host: BenchHost
  readonly #port: number
  #connection: Connection | null = null
  #seen = { epoch: 0, generation: 0 }
  #facts = 0
  #slots = 4

  constructor(host: BenchHost, port: number) {
    this.host = host
    this.#port = port
  }

  /** Says that its facts changed, or (`waitMs` > 0) waits for news. Throws for every answer but 200. */
  async sync(about: SyncAbout): Promise<SyncResponse> {
    if (this.#connection?.isOpen() !== true) this.#connection = await Connection.open(this.#port)
    const answer = await this.#connection.ask(httpRequest('/api/v1/agent/sync', this.#body(about), this.host.key))
    if (answer.status !== 200) throw new Error(`${this.host.name} was answered ${answer.status}: ${answer.body.slice(0, 300)}`)
    const response = JSON.parse(answer.body) as SyncResponse
    if (response.desired !== null) this.#seen = { epoch: response.epoch, generation: response.generation }
    return response
  }

  /** Room for jobs that its facts tell of from now on. */
  tellSlots(slots: number): void {
    this.#slots = slots
  }

  close(): void {
    this.#connection?.close()
  }

  #body(about: SyncAbout): string {
    return JSON.stringify({
      protocol: 1,
      agentVersion: '0',
      bootId: 'boot-1',
      instanceId: `instance-${this.host.name}`,
      seen: this.#seen,
      waitMs: about.waitMs,
      sentAt: Date.now(),
      facts: about.facts ? this.#newFacts() : null,
      attempts: about.attempts ?? [],
      operations: [],
      sandboxes: [],
    })
  }

  /** Never twice the same. */
  #newFacts() {
    this.#facts += 1
    return { ...simulatedFacts(Date.now(), { hostname: this.host.name, slots: this.#slots }), load1: this.#facts / 100 }
  }
}

/** Once for each, 100 at a time: a server's backlog is short. */
export async function inTurn<T>(things: readonly T[], work: (thing: T) => Promise<unknown>): Promise<void> {
  for (let start = 0; start < things.length; start += 100) await Promise.all(things.slice(start, start + 100).map(work))
}

/** How long a parked poll waits. */
const pollMs = 60_000

export interface Polls {
  /** Resolves when all have ended after `stop`; rejects when one fails before. */
  readonly over: Promise<unknown>
  stop(): void
}

/** Keeps a poll of every agent parked, so that its host stays heard of; tells of each answer that says what the host should look like. */
export function parkPolls(agents: readonly BenchAgent[], told: (hostId: string) => void = () => undefined): Polls {
  const stopped = new AbortController()
  async function poll(agent: BenchAgent): Promise<void> {
    try {
      while (!stopped.signal.aborted) if ((await agent.sync({ facts: false, waitMs: pollMs })).desired !== null) told(agent.host.id)
    } catch (error) {
      // Connections are closed after the end.
      if (!stopped.signal.aborted) throw error
    }
  }
  const over = Promise.all(agents.map(poll))
  // Whoever waits for it hears of it.
  over.catch(() => undefined)
  return { over, stop: () => stopped.abort() }
}

/**
 * Lets `atOnce` workers go on until the time is over, each with things of its own in turn: one connection never has two requests under way. Gives how
 * many pieces of work ended, and how many per second.
 */
export async function loadWith<T>(
  things: readonly T[],
  load: { readonly atOnce: number; readonly ms: number },
  work: (thing: T) => Promise<unknown>,
): Promise<{ readonly done: number; readonly perSecond: number }> {
  const startedAt = performance.now()
  const atOnce = Math.min(load.atOnce, things.length)
  let done = 0
  async function worker(mine: readonly T[]): Promise<void> {
    for (;;) {
      for (const thing of mine) {
        if (performance.now() - startedAt >= load.ms) return
        await work(thing)
        done += 1
      }
    }
  }
  await Promise.all(Array.from({ length: atOnce }, (_, number) => worker(things.filter((_thing, index) => index % atOnce === number))))
  return { done, perSecond: (done / (performance.now() - startedAt)) * 1000 }
}
