import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach } from 'vitest'
import { WebSocket } from 'ws'
import { runAgent, type RunAgentOptions, type RunningAgent } from '../../src/main/agent.ts'
import { runController, type RunningController } from '../../src/main/controller.ts'
import type { JobView } from '../../src/model/api.ts'
import { recordingLog } from '../doubles/recording-log.ts'
import { startAgentChild, type AgentChild } from './agent-child.ts'
import { until } from './real-agent.ts'

export interface SeenHost {
  readonly id: string
  readonly state: string
  readonly generation: number
  readonly facts: { readonly agentVersion: string } | null
}

/** The accounts and addresses of these agents: no other test has them. */
export const engines = { user: { prefix: 'tc-', uidRange: [675_000, 675_999], netRange: '198.19.245.0/24' } }

/** A real controller for each test of a file, and agents that find their way to it; all are ended after the test. */
export class WithController {
  folder = ''
  token = ''
  log = recordingLog()
  #controller: RunningController | undefined
  readonly #agents: RunningAgent[] = []
  readonly #children: AgentChild[] = []

  constructor() {
    beforeEach(() => this.#open())
    afterEach(() => this.#close())
  }

  get controller(): RunningController {
    if (this.#controller === undefined) throw new Error('the controller does not run yet')
    return this.#controller
  }

  async #open(): Promise<void> {
    this.folder = await mkdtemp(join(tmpdir(), 'cidery-both-'))
    this.log = recordingLog()
    this.#controller = await runController({
      stateDir: join(this.folder, 'controller'),
      listen: { host: '127.0.0.1', port: 0 },
      version: '1',
      log: this.log,
      handleSignals: false,
    })
    this.token = (await readFile(this.controller.tokenFile, 'utf8')).trim()
  }

  async #close(): Promise<void> {
    for (const agent of this.#agents.splice(0)) await agent.stop()
    for (const child of this.#children.splice(0)) child.kill()
    await this.#controller?.close()
    await rm(this.folder, { recursive: true, force: true })
  }

  // oxlint-disable-next-line max-params -- the four parts of a request
  async api<T>(method: string, path: string, body?: unknown, more: Readonly<Record<string, string>> = {}): Promise<T> {
    const headers: Record<string, string> = {
      authorization: `Bearer ${this.token}`,
      ...more,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    }
    const response = await fetch(`${this.controller.url}/api/v1${path}`, {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
    return (response.status === 204 ? null : await response.json()) as T
  }

  async enrolmentToken(): Promise<string> {
    return (await this.api<{ readonly token: string }>('POST', '/enrolments', {})).token
  }

  async options(change: Partial<RunAgentOptions> = {}): Promise<RunAgentOptions> {
    const enrolled = await readFile(join(this.folder, 'agent', 'journal', 'identity.json'), 'utf8').catch(() => null)
    return {
      stateDir: join(this.folder, 'agent'),
      version: '1',
      log: recordingLog(),
      controllerUrl: this.controller.url,
      caFingerprint: null,
      enrolmentToken: enrolled === null ? await this.enrolmentToken() : null,
      engines,
      ...change,
    }
  }

  /** An agent in this process. */
  async run(change: Partial<RunAgentOptions> = {}): Promise<RunningAgent> {
    const agent = await runAgent(await this.options(change))
    this.#agents.push(agent)
    return agent
  }

  /** An agent as a process of its own. */
  start(asked: RunAgentOptions, env: Readonly<Record<string, string>> = {}): AgentChild {
    const started = startAgentChild(asked, env)
    this.#children.push(started)
    return started
  }

  async hostsOf(): Promise<readonly SeenHost[]> {
    return (await this.api<{ readonly items: readonly SeenHost[] }>('GET', '/hosts')).items
  }

  async ended(id: string): Promise<JobView> {
    return until(async () => {
      const job = await this.api<JobView>('GET', `/jobs/${id}`)
      return job.state === 'ended' ? job : undefined
    }, 60_000)
  }

  /** The whole log of a job, once it is complete. */
  async logOf(id: string): Promise<string> {
    const response = await fetch(`${this.controller.url}/api/v1/jobs/${id}/log?follow=1`, {
      headers: { authorization: `Bearer ${this.token}` },
    })
    return response.text()
  }

  /** A person's end of a command in a sandbox, and what came over it: `bytes:…` or `text:…`. */
  async streamTo(
    sandboxId: string,
    command: readonly string[],
  ): Promise<{ readonly frames: readonly string[]; readonly socket: WebSocket }> {
    const { streamId } = await this.api<{ readonly streamId: string }>('POST', `/sandboxes/${sandboxId}/streams`, { command, tty: false })
    const socket = new WebSocket(`${this.controller.url.replace('http', 'ws')}/api/v1/streams/${streamId}`, {
      headers: { authorization: `Bearer ${this.token}` },
    })
    const frames: string[] = []
    socket.on('message', (data: Buffer, binary: boolean) => frames.push(`${binary ? 'bytes' : 'text'}:${data.toString('utf8')}`))
    await new Promise((resolve) => socket.once('open', resolve))
    return { frames, socket }
  }
}
