import { existsSync } from 'node:fs'
import { cp, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from './free-port.ts'
import { controllerOf, startCidery, type ControllerAddress, type Running } from './processes.ts'

/** One controller of a fleet, as a process of its own that may be killed and started again at the same address. */
export interface FleetController {
  readonly stateDir: string
  readonly url: string
  running(): Running
  /** How it is reached; its token is known once it has started. */
  address(): ControllerAddress
  start(): Promise<void>
  kill(): Promise<void>
  stop(): Promise<void>
}

export interface FleetControllerOptions {
  readonly stateDir: string
  readonly logFile: string
  readonly env: Readonly<Record<string, string>>
  readonly words?: readonly string[]
  /** Where it listens; off loopback it speaks TLS. Default: loopback, a port that is free. */
  readonly listen?: { readonly host: string; readonly port: number }
}

export async function fleetController(options: FleetControllerOptions): Promise<FleetController> {
  const { stateDir, logFile } = options
  // The same for every start: a supervisor of a job must find the way back through a restarted controller.
  const { host, port } = options.listen ?? { host: '127.0.0.1', port: await freePort() }
  const url = `${host === '127.0.0.1' ? 'http' : 'https'}://${host}:${port}`
  let address: ControllerAddress = { url, caFingerprint: null, token: '' }
  let running: Running | null = null

  function present(): Running {
    if (running === null) throw new Error('this controller was not started')
    return running
  }

  return {
    stateDir,
    url,
    running: present,
    address: () => address,
    async start() {
      const words = ['controller', 'run', '--state', stateDir, '--listen', `${host}:${port}`, ...(options.words ?? [])]
      running = startCidery(words, { env: { CIDERY_STATE: stateDir, ...options.env }, logFile })
      address = await controllerOf(stateDir, running)
    },
    kill: () => present().kill(),
    stop: async () => running?.stop(),
  }
}

/** What an operator copies before the first start of another controller. */
export async function copyKeys(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true, mode: 0o700 })
  await cp(join(from, 'keys'), join(to, 'keys'), { recursive: true })
  // Only one that listens off loopback has a CA.
  if (!existsSync(join(from, 'tls', 'ca.key'))) return
  await mkdir(join(to, 'tls'), { recursive: true, mode: 0o700 })
  for (const name of ['ca.key', 'ca.pem']) await cp(join(from, 'tls', name), join(to, 'tls', name))
}
