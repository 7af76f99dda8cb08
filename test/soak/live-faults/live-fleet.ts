import { readFile, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { must } from '../../../src/drivers/engines/commands.ts'
import type { HostView } from '../../../src/model/api.ts'
import { makeGoldenImage } from '../../doubles/tart/golden-image.ts'
import type { Api } from '../../e2e/api.ts'
import { copyKeys, fleetController, type FleetController } from '../../e2e/fleet-controller.ts'
import type { ControllerAddress } from '../../e2e/processes.ts'
import { waitFor } from '../../e2e/wait.ts'
import { startPostgres, type PostgresServer } from '../../store/postgres-server.ts'
import { apiOfAll } from '../controllers.ts'
import { controllerAddress, layGround } from './lines.ts'
import { LiveHost, tartEnvironment, tartProgram, type Macs } from './live-host.ts'
import { openSlowPath, type SlowPath } from './slow-path.ts'

/** Two controllers on PostgreSQL, and Macs of the double, each in a network of its own. */
export interface LiveFleet {
  readonly api: Api
  readonly controllers: readonly FleetController[]
  readonly postgres: PostgresServer
  readonly hosts: readonly LiveHost[]
  /** In the way of every third host, to each of the two controllers. */
  readonly slowPaths: readonly SlowPath[]
  address(): ControllerAddress
  views(): Promise<readonly HostView[]>
  /** All agents, then all controllers, end gracefully; nothing is wired or mounted any more. Files stay when they are to be kept. */
  stop(keep: boolean): Promise<void>
}

export interface LiveFleetOptions {
  readonly folder: string
  readonly agents: number
  readonly random: () => number
}

/** Controllers, and the ends of the slow paths to them. */
const ports = [7701, 7702] as const
const slowPorts = [7801, 7802] as const

/**
 * Hosts tell of themselves every ten seconds, so that one that is silent for three quarters of a minute is lost; their engines are looked at often
 * enough that a host whose disk was full is soon ready again. Two cores carry fifty agents at that.
 */
const spec = `
version: 1
pools:
  default:
    engines: { tart: { slots: 2, limits: advisory, networks: [host] } }
    readiness: { checkInterval: 90s, checkMaxAge: 10m }
images: { macos-15: { engine: tart } }
queues: { default: { engine: tart, image: macos-15, shape: { cpu: 1, memoryMiB: 256, diskMiB: 64 } } }
limits: { syncPoll: 10s, retryDelay: 2s }
`

async function makeMacs(folder: string): Promise<Macs> {
  const macs = { folder, registry: join(folder, 'registry'), pulled: join(folder, 'pulled') }
  makeGoldenImage({ folder: join(macs.registry, 'ghcr.io/cidery/macos/15'), os: 'darwin' })
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: folder, TART_HOME: macs.pulled, ...tartEnvironment(macs, 'puller') }
  await must([tartProgram, 'pull', 'ghcr.io/cidery/macos:15'], { env })
  return macs
}

async function startControllers(folder: string, storeUrl: string): Promise<readonly FleetController[]> {
  const specFile = join(folder, 'cidery.yaml')
  await writeFile(specFile, spec)
  const make = (port: number): Promise<FleetController> =>
    fleetController({
      env: { CIDERY_STORE_URL: storeUrl },
      stateDir: join(folder, `controller-${port}`),
      logFile: join(folder, `controller-${port}.log`),
      words: ['--blobs', join(folder, 'blobs'), '--spec', specFile],
      listen: { port, host: controllerAddress },
    })
  const [first, second] = [await make(ports[0]), await make(ports[1])]
  await first.start()
  const own = await readFile(join(first.stateDir, 'tls', 'ca.pem'), 'utf8')
  setDefaultCACertificates([...getCACertificates(), own])
  await copyKeys(first.stateDir, second.stateDir)
  await second.start()
  return [first, second]
}

/** As many at once as two cores start without any of them waiting long. */
const startsAtOnce = 4

async function startHosts(hosts: readonly LiveHost[], fleet: Pick<LiveFleet, 'api'>): Promise<void> {
  const waiting = [...hosts]
  const startNext = async (): Promise<void> => {
    for (let host = waiting.shift(); host !== undefined; host = waiting.shift()) {
      const { name, logFile } = host
      const { token } = await fleet.api.post<{ token: string }>('/enrolments', { name })
      host.start(token)
      const ready = async (): Promise<boolean> => {
        await sleep(500)
        return isReady(await fleet.api.get<HostView>(`/hosts/${name}`))
      }
      await waitFor(`${name} to be ready`, ready, 300_000).catch(async (error: unknown) => {
        throw new Error(`its agent said: ${(await readFile(logFile, 'utf8')).slice(-2000)}`, { cause: error })
      })
    }
  }
  await Promise.all(Array.from({ length: startsAtOnce }, startNext))
}

/** Whether a host takes jobs now. */
export function isReady({ state, schedulable, readiness }: HostView): boolean {
  return state === 'up' && schedulable.kind === 'open' && readiness.some((one) => one.engine === 'tart' && one.state === 'ready')
}

/** Starts all of it and waits until every host is ready. */
export async function startLiveFleet({ folder, agents, random }: LiveFleetOptions): Promise<LiveFleet> {
  await mkdir(folder, { recursive: true })
  await layGround()
  const macs = await makeMacs(folder)
  const postgres = await startPostgres()
  const controllers = await startControllers(folder, await postgres.createDatabase())
  const address = (): ControllerAddress => controllers[0]?.address() ?? { url: '', token: '', caFingerprint: null }
  const api = apiOfAll({ controllers, address })
  const slowPaths = await Promise.all(
    slowPorts.map((port, index) => openSlowPath({ port, random, host: controllerAddress, target: ports[index] ?? 0 })),
  )
  const urls = (through: readonly number[]): string => through.map((port) => `https://${controllerAddress}:${port}`).join(',')
  const hosts: LiveHost[] = []
  for (let number = 1; number <= agents; number += 1) {
    // Half of them ask the second controller first, as the guide says.
    const through = number % 3 === 0 ? slowPorts : ports
    const way = { url: urls(number % 2 === 0 ? through : through.toReversed()), caFingerprint: address().caFingerprint ?? '' }
    hosts.push(await LiveHost.build(number, macs, way))
  }
  await startHosts(hosts, { api })
  return {
    api,
    controllers,
    postgres,
    hosts,
    slowPaths,
    address,
    async views() {
      return (await api.get<{ items: readonly HostView[] }>('/hosts?limit=500')).items
    },
    async stop(keep) {
      await Promise.all(hosts.map((host) => host.remove()))
      for (const controller of controllers) await controller.stop()
      await Promise.all(slowPaths.map((path) => path.close()))
      await postgres.stop()
      if (!keep) await rm(folder, { recursive: true, force: true })
    },
  }
}
