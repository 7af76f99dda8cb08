import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSystemClock } from '../../src/drivers/clocks/system-clock.ts'
import { createSystemTimers } from '../../src/drivers/clocks/system-timers.ts'
import { createHttpLink, type HttpLink } from '../../src/drivers/links/http/controller-link.ts'
import { simulatedAgent, type SimulatedAgent, type SimulatedAgentOptions } from '../doubles/simulated-agent.ts'
import { apiOf, type Api } from '../e2e/api.ts'
import { freePort } from '../e2e/free-port.ts'
import { controllerOf, startCidery, type ControllerAddress, type Running } from '../e2e/processes.ts'

/** A real controller process on a state directory of its own; killed and started again on the same port. */
export interface ControllerProcess {
  readonly state: string
  readonly port: number
  readonly api: Api
  readonly url: string
  readonly token: () => string
  pid(): number
  /** `env`: variables of this start alone. */
  start(env?: Readonly<Record<string, string>>): Promise<void>
  /** SIGKILL. */
  kill(): Promise<void>
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>
  /** A machine that enrols over HTTP, with a simulated agent. `urls`: those of several controllers. */
  agent(
    name: string,
    options?: Partial<SimulatedAgentOptions> & { readonly urls?: string },
  ): Promise<SimulatedAgent & { readonly link: HttpLink }>
  log(): Promise<string>
  remove(): Promise<void>
}

export async function controllerProcess(
  options: { readonly env?: Readonly<Record<string, string>>; readonly words?: readonly string[] } = {},
): Promise<ControllerProcess> {
  const directory = await mkdtemp(join(tmpdir(), 'cidery-controller-'))
  const state = join(directory, 'state')
  const logFile = join(directory, 'log')
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const links: HttpLink[] = []
  const agents: SimulatedAgent[] = []
  let running: Running | null = null
  let address: ControllerAddress = { url, caFingerprint: null, token: '' }
  const api = apiOf(() => address)

  async function start(env: Readonly<Record<string, string>> = {}): Promise<void> {
    const words = ['controller', 'run', '--state', state, '--listen', `127.0.0.1:${port}`, ...(options.words ?? [])]
    running = startCidery(words, { logFile, env: { CIDERY_STATE: state, ...options.env, ...env } })
    address = await controllerOf(state, running)
  }

  async function stop(): Promise<number | null> {
    await running?.stop()
    return running?.child.exitCode ?? null
  }

  return {
    state,
    port,
    api,
    url,
    start,
    stop,
    token: () => address.token,
    pid: () => running?.child.pid ?? 0,
    kill: async () => running?.kill(),
    async agent(name, { urls = url, ...agentOptions } = {}) {
      const key = `cidery_key_${randomBytes(32).toString('base64url')}`
      const link = createHttpLink({ url: urls, caFingerprint: null, key: () => key })
      links.push(link)
      const { token } = await api.post<{ token: string }>('/enrolments', { name })
      await link.enrol({
        token,
        protocol: 1,
        hostname: name,
        keyHash: createHash('sha256').update(key).digest('hex'),
        os: 'linux',
        arch: 'x64',
      })
      const agent = simulatedAgent({ clock: createSystemClock(), timers: createSystemTimers(), name, link, ...agentOptions })
      agents.push(agent)
      agent.start()
      return Object.assign(agent, { link })
    },
    log: () => readFile(logFile, 'utf8'),
    async remove() {
      for (const agent of agents) agent.kill()
      await stop()
      for (const link of links) link.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
}
