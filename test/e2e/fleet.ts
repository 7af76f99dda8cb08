import { spawnSync } from 'node:child_process'
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { HostView } from '../../src/model/api.ts'
import type { Shape } from '../../src/model/shape.ts'
import { startPostgres, type PostgresServer } from '../store/postgres-server.ts'
import { apiOf, type Api } from './api.ts'
import { copyKeys, fleetController, type FleetController } from './fleet-controller.ts'
import { startCidery, temporaryDirectory, type ControllerAddress, type Running } from './processes.ts'
import { waitFor } from './wait.ts'

export interface FleetOptions {
  readonly store: 'sqlite' | 'postgres'
  /** Distinguishes this fleet's directories in failure messages. */
  readonly name: string
  readonly slots?: number
  /** Two need PostgreSQL; default: one. */
  readonly controllers?: 1 | 2
  /** Gives its host the `qemu` engine as well, with an image `debian` in this folder. */
  readonly machines?: {
    readonly folder: string
    readonly slots: number
    readonly savedStates?: number
    /** A queue for whose jobs, of this shape and with network `none`, the host keeps one machine started. */
    readonly warm?: { readonly queue: string; readonly shape: Shape }
  }
}

/** One or two controllers and one agent as processes of their own, on loopback, with accounts and networks that no other run uses. */
export interface Fleet {
  /** Asks the first controller. */
  readonly api: Api
  readonly controllers: readonly FleetController[]
  readonly postgres: PostgresServer | null
  /** URLs of all controllers, as agents and people name them. */
  readonly url: string
  readonly directory: string
  readonly stateDir: string
  /** First characters of the accounts that its jobs get. */
  readonly prefix: string
  address(): ControllerAddress
  controller(): Running
  agent(): Running
  startController(): Promise<void>
  startAgent(): Promise<void>
  killController(): Promise<void>
  killAgent(): Promise<void>
  /** Both end gracefully. */
  stop(): Promise<void>
  /** What a fleet that ended left on the machine: accounts, processes, sandbox directories. Empty when all is well. */
  residue(): Promise<readonly string[]>
  remove(): Promise<void>
}

/** Each fleet of a machine has a number of its own, from which prefix, UIDs and network follow. */
function ownPlace(): { readonly prefix: string; readonly uidRange: readonly [number, number]; readonly netRange: string } {
  const number = process.pid % 200
  const first = 700_000 + number * 1000
  return { prefix: `e${number.toString(36)}x-`, uidRange: [first, first + 999], netRange: `198.19.${number}.0/24` }
}

/** What `agent.yaml` says of the host's engines. */
function enginesOf({ slots, machines }: FleetOptions): Readonly<Record<string, unknown>> {
  const user = { ...ownPlace(), slots: slots ?? 3 }
  if (machines === undefined) return { user }
  const number = process.pid % 200
  const own = { prefix: `q${number.toString(36)}x-`, firstUid: 570_000 + number * 20, netRange: `198.18.${number}.0/24` }
  const { folder, warm: _, ...settings } = machines
  return { user, qemu: { ...own, ...settings, images: { debian: folder } } }
}

/** What the operator of this fleet wants. */
function specOf({ machines }: FleetOptions): Readonly<Record<string, unknown>> {
  if (machines === undefined) return { version: 1 }
  const images = { debian: { engine: 'qemu' } }
  if (machines.warm === undefined) return { version: 1, images }
  const { queue, shape } = machines.warm
  const engines = { user: {}, qemu: { networks: ['none', 'nat'], warm: { [queue]: 1 } } }
  return {
    version: 1,
    images,
    pools: { default: { engines } },
    queues: { default: {}, [queue]: { engine: 'qemu', image: 'debian', shape } },
  }
}

/** Starts a fleet and waits until its host takes jobs. */
export async function startFleet(options: FleetOptions): Promise<Fleet> {
  const directory = await temporaryDirectory(options.name)
  const agentDir = join(directory.path, 'agent')
  const place = ownPlace()
  const postgres = options.store === 'postgres' ? await startPostgres() : null
  const storeEnv: Record<string, string> = postgres === null ? {} : { CIDERY_STORE_URL: await postgres.createDatabase() }
  const spec = join(directory.path, 'cidery.yaml')
  await writeFile(spec, JSON.stringify(specOf(options)))
  const first = await makeController(storeEnv)
  const { stateDir } = first
  const controllers = [first]
  await mkdir(agentDir, { recursive: true, mode: 0o700 })
  await writeFile(join(agentDir, 'agent.yaml'), JSON.stringify({ engines: enginesOf(options) }), { mode: 0o600 })

  let agent: Running
  let enrolled = false
  const api = apiOf(first.address)
  const urls = (): string => controllers.map(({ url }) => url).join(',')

  function makeController(env: Readonly<Record<string, string>>, name = 'controller'): Promise<FleetController> {
    return fleetController({
      env,
      stateDir: join(directory.path, name),
      logFile: join(directory.path, `${name}.log`),
      words: ['--blobs', join(directory.path, 'blobs'), ...(options.machines === undefined ? [] : ['--spec', spec])],
    })
  }
  async function startAgent(): Promise<void> {
    const own: Record<string, string> = { CIDERY_AGENT_STATE: agentDir }
    if (!enrolled) {
      const enrolment = await api.post<{ token: string }>('/enrolments', { name: 'host-1' })
      own['CIDERY_ENROL_TOKEN'] = enrolment.token
      enrolled = true
    }
    agent = startCidery(['agent', 'run', '--url', urls(), '--state', agentDir], {
      env: own,
      logFile: join(directory.path, 'agent.log'),
    })
  }
  async function residue(): Promise<readonly string[]> {
    const left: string[] = []
    const accounts = (await readFile('/etc/passwd', 'utf8')).split('\n').filter((line) => line.startsWith(place.prefix))
    left.push(...accounts.map((line) => `account ${line.split(':')[0] ?? ''}`))
    const [firstUid, lastUid] = place.uidRange
    const processes = spawnSync('ps', ['-eo', 'uid=,pid=,args='], { encoding: 'utf8' }).stdout.split('\n')
    for (const line of processes) {
      const uid = Number(line.trim().split(/\s+/)[0])
      if ((uid >= firstUid && uid <= lastUid) || line.includes(directory.path)) left.push(`process ${line.trim()}`)
    }
    const namespaces = spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' }).stdout
    left.push(
      ...namespaces
        .split('\n')
        .filter((line) => line.includes(place.prefix))
        .map((line) => `network namespace ${line}`),
    )
    for (const folder of ['supervisors', 'engines/user/sandboxes']) {
      const names = await readdir(join(agentDir, folder)).catch(() => [])
      left.push(...names.map((name) => `${folder}/${name}`))
    }
    return left
  }

  async function addController(): Promise<void> {
    const second = await makeController(storeEnv, 'controller-2')
    await copyKeys(stateDir, second.stateDir)
    await second.start()
    controllers.push(second)
  }

  const fleet: Fleet = {
    api,
    directory: directory.path,
    stateDir,
    prefix: place.prefix,
    controllers,
    postgres,
    get url() {
      return urls()
    },
    address: first.address,
    controller: first.running,
    agent: () => agent,
    startController: first.start,
    startAgent,
    killController: first.kill,
    killAgent: () => agent.kill(),
    async stop() {
      await agent.stop()
      for (const controller of controllers) await controller.stop()
    },
    residue,
    async remove() {
      await agent?.stop()
      for (const controller of controllers) await controller.stop()
      await postgres?.stop()
      await directory.remove()
    },
  }
  try {
    await first.start()
    if (options.controllers === 2) await addController()
    await startAgent()
    await hostReady(fleet, 'host-1', Object.keys(enginesOf(options)))
  } catch (error) {
    const log = await readFile(join(directory.path, 'agent.log'), 'utf8').catch(() => '')
    await fleet.remove()
    throw new Error(`the fleet ${options.name} did not come up; its agent said:\n${log.slice(-2000)}`, { cause: error })
  }
  return fleet
}

/** Waits until the host proved by a boot that it can run jobs of each of these engines. */
export async function hostReady(fleet: Pick<Fleet, 'api'>, name = 'host-1', engines: readonly string[] = ['user']): Promise<void> {
  await waitFor(
    `${name} to be ready`,
    async () => {
      const { state, readiness } = await fleet.api.get<HostView>(`/hosts/${name}`)
      const proved = new Set<string>(readiness.filter((one) => one.state === 'ready').map(({ engine }) => engine))
      if (state === 'up' && engines.every((engine) => proved.has(engine))) return true
      throw new Error(`${name} is ${state}: ${JSON.stringify(readiness)}`)
    },
    120_000,
  )
}
