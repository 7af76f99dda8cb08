import { simulationDrivers } from '../src/main/simulate.ts'
import { drawScenario, hostHours, type DrawOptions } from '../src/simulate/draw.ts'
import { simulate } from '../src/simulate/simulate.ts'
import { virtualTime } from '../src/simulate/virtual-time.ts'
import { atLeast, benchmark, say, type BenchOptions, type Report } from './report.ts'
import { figure, median, ratios, spread } from './statistics.ts'

/**
 * How many hours of hosts a simulation gets through in a second of processor time, with every property looked at. The peer is its own virtual time with
 * nothing in it: as many timers, each with a turn of the event loop, and nobody who does anything when they fire.
 */

const aim = 150

interface Fleet {
  readonly what: string
  readonly draw: Pick<DrawOptions, 'faultRate' | 'jobsPerHostHour'>
}

const fleets: readonly Fleet[] = [
  { what: 'idle', draw: { faultRate: 0, jobsPerHostHour: 0 } },
  { what: 'at work', draw: { faultRate: 0 } },
  { what: 'at work, with every fault', draw: {} },
]

interface Round {
  readonly perSecond: number
  readonly barePerSecond: number
  readonly timers: number
  readonly jobs: number
  readonly faults: number
}

async function secondsOf(work: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1_000_000
}

/** Fires so many timers that do nothing, evenly over so long. */
async function fireNothing(timers: number, durationMs: number): Promise<void> {
  const { turn } = simulationDrivers()
  const time = virtualTime({ turn })
  const every = durationMs / timers
  let left = timers
  function next(): void {
    left -= 1
    if (left > 0) time.timers.after(every, next)
  }
  next()
  await time.runTo(durationMs)
}

async function measure(fleet: Fleet, size: Pick<DrawOptions, 'seed' | 'hours' | 'hosts'>): Promise<Round> {
  const scenario = drawScenario({ ...size, ...fleet.draw })
  let timers = 0
  let jobs = 0
  let faults = 0
  const ours = await secondsOf(async () => {
    const result = await simulate(scenario, { drivers: simulationDrivers(), keepLines: 10 })
    if (result.violation !== null) throw new Error(`seed ${size.seed} broke: ${result.violation.problem}`)
    timers = result.timersFired
    jobs = result.jobs.ended
    faults = Object.values(result.faults).reduce((sum, count) => sum + count, 0)
  })
  const bare = await secondsOf(() => fireNothing(timers, scenario.durationMs))
  return { perSecond: hostHours(scenario) / ours, barePerSecond: hostHours(scenario) / bare, timers, jobs, faults }
}

async function run({ quick }: BenchOptions): Promise<Report> {
  const [hours, hosts, rounds] = quick ? [1, 5, 1] : [24, 30, 3]
  // The code is compiled while this runs.
  await measure({ what: 'warm-up', draw: {} }, { seed: 9, hours: 1, hosts: 5 })
  const rows: string[][] = []
  let withFaults: readonly number[] = []
  for (const fleet of fleets) {
    const measured: Round[] = []
    for (let seed = 1; seed <= rounds; seed += 1) {
      measured.push(await measure(fleet, { seed, hours, hosts }))
      say(`${fleet.what}, seed ${seed}: ${figure(measured.at(-1)?.perSecond ?? 0)} host-hours a second`)
    }
    const perSecond = measured.map((round) => round.perSecond)
    const bare = measured.map((round) => round.barePerSecond)
    withFaults = perSecond
    rows.push([
      fleet.what,
      spread(perSecond),
      spread(bare),
      spread(ratios(perSecond, bare)),
      ...[measured.map(({ timers }) => timers), measured.map(({ jobs }) => jobs), measured.map(({ faults }) => faults)].map((counts) =>
        figure(median(counts)),
      ),
    ])
  }
  return {
    name: 'simulation',
    columns: ['fleet', 'host-hours per CPU second', 'virtual time alone', 'ratio', 'timers', 'jobs', 'faults'],
    rows,
    aims: [
      atLeast(`≥ ${aim} host-hours per CPU second with every fault`, {
        value: median(withFaults),
        limit: aim,
        unit: 'host-hours per CPU second',
      }),
    ],
    notes: [
      `${hosts} hosts for ${hours} hours, a seed a round, all properties on; the hours in which a fleet comes to rest afterwards are run and not counted.`,
      'Virtual time alone fires as many timers, each with a turn of the event loop, and does nothing in them: no simulation of this kind can be faster.',
    ],
  }
}

await benchmark(run)
