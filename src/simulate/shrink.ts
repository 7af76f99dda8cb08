import type { Milliseconds } from '../model/instant.ts'
import { readSpecFile } from '../observe/spec-file.ts'
import { couldTake } from './could-take.ts'
import type { Fault } from './faults/registry.ts'
import { fewest } from './fewest.ts'
import type { Scenario } from './scenario.ts'
import { targetsOf } from './targets.ts'

/** Runs a scenario: when the property that is looked for breaks, ms since the start; null when it does not. */
export type BreaksAt = (scenario: Scenario) => Promise<Milliseconds | null>

export interface ShrinkOptions {
  /** After so many runs it stops where it is. */
  readonly maxRuns: number
  /** Told after each run, for those who wait. */
  readonly onRun?: (runs: number, smallest: Scenario) => void
}

export interface Shrunk {
  readonly scenario: Scenario
  readonly runs: number
  /** Nothing smaller of the kinds that are tried breaks; false when the runs were used up before. */
  readonly isSmallest: boolean
}

/**
 * Makes a failing scenario as small as it gets and still breaks the same property: a shorter one, with fewer hosts, faults, jobs and controllers, and
 * shorter windows. What makes later runs cheap comes first; the whole goes round until nothing more goes, so that the faults which are left are all needed.
 * The same scenario shrinks to the same one.
 */
export async function shrink(scenario: Scenario, breaksAt: BreaksAt, options: ShrinkOptions): Promise<Shrunk> {
  const known = new Map<string, Milliseconds | null>()
  let smallest = scenario
  const state = { runs: 0, isStopped: false }

  /** Takes a scenario when it still breaks. */
  async function take(next: Scenario): Promise<boolean> {
    const text = JSON.stringify(next)
    if (!known.has(text)) {
      if (state.runs >= options.maxRuns) {
        state.isStopped = true
        return false
      }
      state.runs += 1
      known.set(text, await breaksAt(next))
      options.onRun?.(state.runs, smallest)
    }
    if (known.get(text) === null) return false
    smallest = next
    return true
  }

  const breaks = (): Milliseconds => known.get(JSON.stringify(smallest)) ?? 0

  async function round(): Promise<void> {
    await take(smallest)
    await shorten(smallest, breaks(), take)
    await fewest(smallest.hosts, (hosts) => take(withHosts(smallest, hosts)))
    await fewest(smallest.faults, (faults) => take({ ...smallest, faults }))
    await fewest(smallest.jobs, (jobs) => take(withJobs(smallest, jobs)))
    for (let controllers = 1; controllers < smallest.controllers; controllers += 1)
      if (await take(withControllers(smallest, controllers))) break
    for (const index of smallest.faults.keys()) await narrow(index)
  }

  /** Halves how long a fault holds, and how long what it took down stays down. */
  async function narrow(index: number): Promise<void> {
    for (const field of windows) {
      for (let fault = smallest.faults[index]; fault !== undefined; fault = smallest.faults[index]) {
        const ms = fault[field as keyof Fault]
        if (typeof ms !== 'number' || ms < 2 * finest) break
        const faults = smallest.faults.with(index, { ...fault, [field]: Math.round(ms / 2) })
        if (!(await take({ ...smallest, faults }))) break
      }
    }
  }

  for (let before = ''; before !== JSON.stringify(smallest) && !state.isStopped;) {
    before = JSON.stringify(smallest)
    await round()
  }
  return { scenario: smallest, runs: state.runs, isSmallest: !state.isStopped }
}

const windows = ['for', 'downMs', 'backAfter', 'deadlineMs'] as const
/** Windows are not made shorter than this. */
const finest: Milliseconds = 1000

/** Nothing that comes after the moment matters; then half of the time may do, and half of that. */
async function shorten(scenario: Scenario, at: Milliseconds, take: (next: Scenario) => Promise<boolean>): Promise<void> {
  let smallest = scenario
  // What broke before the faults were over needs no calm after it.
  if (at > 0 && at <= scenario.durationMs) {
    const next = { ...cutAt(scenario, Math.ceil(at) + 1), calmMs: 0 }
    if (await take(next)) smallest = next
  }
  const last = cutAt(smallest, Math.min(smallest.durationMs, lastMoment(smallest) + 1))
  if (await take(last)) smallest = last
  for (;;) {
    const half = cutAt(smallest, Math.ceil(smallest.durationMs / 2))
    if (smallest.durationMs < 2 * finest || !(await take(half))) return
    smallest = half
  }
}

function lastMoment({ faults, jobs }: Scenario): Milliseconds {
  return Math.max(finest, ...faults.map(({ at }) => at), ...jobs.map(({ at }) => at))
}

function cutAt(scenario: Scenario, durationMs: Milliseconds): Scenario {
  const isBefore = ({ at }: { readonly at: Milliseconds }): boolean => at < durationMs
  return withJobs({ ...scenario, durationMs, faults: scenario.faults.filter(isBefore) }, scenario.jobs.filter(isBefore))
}

/** Only these hosts, only faults that name no other, and only jobs that one of them could take: that others wait for ever is no fault of anybody. */
function withHosts(scenario: Scenario, hosts: Scenario['hosts']): Scenario {
  const names = new Set(hosts.map(({ name }) => name))
  const gone = new Set(scenario.hosts.map(({ name }) => name).filter((name) => !names.has(name)))
  const faults = scenario.faults.filter((fault) => targetsOf(fault).every(({ kind, name }) => kind !== 'host' || !gone.has(name)))
  const spec = readSpecFile(scenario.spec, 'the spec of the scenario')
  const jobs = scenario.jobs.filter((job) => hosts.some((host) => couldTake(spec, host, job)))
  return withJobs({ ...scenario, hosts, faults }, jobs)
}

/** Only these jobs, and only faults that name no other. */
function withJobs(scenario: Scenario, jobs: Scenario['jobs']): Scenario {
  const keys = new Set(jobs.map(({ key }) => key))
  const faults = scenario.faults.filter((fault) => targetsOf(fault).every(({ kind, name }) => kind !== 'job' || keys.has(name)))
  return { ...scenario, jobs, faults }
}

function withControllers(scenario: Scenario, controllers: number): Scenario {
  const faults = scenario.faults.filter((fault) => {
    const { controller } = fault as { readonly controller?: number | 'leader' }
    const named = targetsOf(fault).map(({ name }) => /^controller-(\d+)$/.exec(name)?.[1] ?? '0')
    return (typeof controller !== 'number' || controller < controllers) && named.every((number) => Number(number) <= controllers)
  })
  return { ...scenario, controllers, faults }
}
