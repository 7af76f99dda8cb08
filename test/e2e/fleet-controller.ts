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
}

export async function fleetController(options: FleetControllerOptions): Promise<FleetController> {
  const { stateDir, logFile } = options
  // The same for every start: a supervisor of a job must find the way back through a restarted controller.
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
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
      const words = ['controller', 'run', '--state', stateDir, '--listen', `127.0.0.1:${port}`, ...(options.words ?? [])]
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
}
