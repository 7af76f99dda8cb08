import { hour, minute, second, type Milliseconds } from '../model/instant.ts'
import type { Random } from '../ports/random.ts'
import { faultKinds, type Fault } from './faults/registry.ts'
import { between, moments, namedRandom, oneOf, wholeBetween } from './random.ts'
import { Scenario, type ScenarioHost, type ScenarioJob } from './scenario.ts'

export interface DrawOptions {
  readonly seed: number
  readonly hours: number
  readonly hosts: number
  /** Times the usual rate of every fault; 0: none. */
  readonly faultRate?: number
  /** Only these kinds. */
  readonly kinds?: readonly string[]
  readonly jobsPerHostHour?: number
}

/** Chance's own fleet: three pools of Macs and Linux boxes, jobs of every kind, and everything that goes wrong. */
export function drawScenario(options: DrawOptions): Scenario {
  const { seed, hours } = options
  const random = namedRandom(seed, 'scenario')
  const durationMs = hours * hour
  const hosts = Array.from({ length: options.hosts }, (_, index) => drawHost(index))
  const controllers = random.fraction() < 0.3 ? 2 : 1
  const queues = options.hosts < 5 ? ['ios'] : ['ios', 'ios', 'ios', 'tools']
  const jobs = drawJobs(namedRandom(seed, 'jobs'), { durationMs, perDay: (options.jobsPerHostHour ?? 0.6) * 24 * options.hosts, queues })
  const faults = drawFaults({ options, durationMs, controllers, hosts, jobs })
  return Scenario.parse({ seed, durationMs, calmMs: 12 * hour, controllers, spec, hosts, jobs, faults })
}

const spec = `version: 1
images:
  macos-15: { engine: tart }
pools:
  macs: { engines: { tart: {} } }
  linux: { engines: { user: {} } }
queues:
  ios: { engine: tart, image: macos-15, pools: [macs], shape: { cpu: 4, memoryMiB: 8000, diskMiB: 50000 } }
  tools: { engine: user, pools: [linux] }
`

function drawHost(index: number): unknown {
  if (index % 5 === 1)
    return {
      name: `linux-${index}`,
      pool: 'linux',
      os: 'linux',
      engines: [{ name: 'user', slots: 4, bootMs: [300, 900] }],
    }
  return { name: `mini-${index}`, pool: 'macs', engines: [{ name: 'tart', slots: 2, images: ['macos-15'], bootMs: [15_000, 40_000] }] }
}

interface JobDrawing {
  readonly durationMs: Milliseconds
  readonly perDay: number
  /** Those that some host serves, each as often as it is named. */
  readonly queues: readonly string[]
}

function drawJobs(random: Random, about: JobDrawing): readonly Partial<ScenarioJob>[] {
  return moments(random, about.perDay, about.durationMs).map((at, index) => {
    const isLong = random.fraction() < 0.1
    const runsMs = Math.round(isLong ? between(random, 30 * minute, 3 * hour) : between(random, 5 * second, 20 * minute))
    return {
      at,
      key: `job-${index + 1}`,
      // Every second one is so small that slots run out before processors do.
      ...(index % 2 === 0 ? {} : { shape: { cpu: 2, memoryMiB: 4000 } }),
      queue: oneOf(random, about.queues),
      runsMs,
      code: random.fraction() < 0.8 ? 0 : wholeBetween(random, 1, 254),
      timeoutS: random.fraction() < 0.05 ? Math.max(1, Math.round(runsMs / 2000)) : 14_400,
      logBytes: wholeBetween(random, 0, 2000),
      priority: random.fraction() < 0.1 ? wholeBetween(random, -100, 100) : 0,
      stubborn: random.fraction() < 0.1,
      secret: random.fraction() < 0.1,
    }
  })
}

interface FaultDrawing {
  readonly options: DrawOptions
  readonly durationMs: Milliseconds
  readonly controllers: number
  readonly hosts: readonly unknown[]
  readonly jobs: readonly Partial<ScenarioJob>[]
}

function drawFaults({ options, durationMs, controllers, hosts, jobs }: FaultDrawing): readonly Fault[] {
  const { seed, faultRate = 1, kinds } = options
  const names = (hosts as readonly ScenarioHost[]).map(({ name }) => name)
  // Each seed has bad luck of its own: some kinds come often in it, others not at all.
  const luck = namedRandom(seed, 'luck')
  return faultKinds
    .flatMap((kind) => {
      const rate = faultRate * kind.perDay * oneOf(luck, [0, 0.5, 1, 1, 2, 5])
      if (kinds !== undefined && !kinds.includes(kind.kind)) return []
      return (kind.per === 'host' ? names : ['']).flatMap((target) => {
        const random = namedRandom(seed, `fault/${kind.kind}/${target}`)
        const about = { target, controllers, jobs: jobs as readonly ScenarioJob[] }
        return moments(random, rate, durationMs).flatMap((at) => kind.draw(random, at, about) ?? [])
      })
    })
    .toSorted((a, b) => a.at - b.at)
}

/** Host-hours of a scenario. */
export function hostHours(scenario: Scenario): number {
  return (scenario.durationMs / hour) * scenario.hosts.length
}
