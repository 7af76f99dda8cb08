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

  /** Sends a whole request; resolves with the answer. */
  ask(request: string): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
      this.#socket.write(request)
    })
  }

  close(): void {
    this.#settle = null
    this.#socket.destroy()
  }

  #fail(error: Error): void {
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

/** An agent that holds a connection and knows what it obeyed. */
export class BenchAgent {
  readonly host: BenchHost
  readonly #connection: Connection
  #seen = { epoch: 0, generation: 0 }
  #facts = 0
  #slots = 4

  constructor(host: BenchHost, connection: Connection) {
    this.host = host
    this.#connection = connection
  }

  /** Says that its facts changed, or (`waitMs` > 0) waits for news. Throws for every answer but 200. */
  async sync(about: SyncAbout): Promise<SyncResponse> {
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
    this.#connection.close()
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

/** Opens a connection per host, some at a time: a server's backlog is short. */
export async function openAgents(port: number, hosts: readonly BenchHost[]): Promise<readonly BenchAgent[]> {
  const agents: BenchAgent[] = []
  for (let start = 0; start < hosts.length; start += 100) {
    const opened = hosts.slice(start, start + 100).map(async (host) => new BenchAgent(host, await Connection.open(port)))
    agents.push(...(await Promise.all(opened)))
  }
  return agents
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
