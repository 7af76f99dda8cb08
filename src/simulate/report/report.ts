import { hour } from '../../model/instant.ts'
import type { Measured, PoolReport, ScenarioReport, SimulationReport, SimulatedHosts } from '../../model/simulation.ts'
import type { TraceJob } from '../../model/trace.ts'
import type { Replayed, ReplayedJob, ReplayScenario } from '../replay/replayed.ts'
import type { Trace } from '../trace/read-trace.ts'
import { heldBackOf } from './held-back.ts'
import { countOver, stepFor, totalMs } from './series.ts'
import type { Stretch } from './series.ts'
import { spreadOf } from './spread.ts'

/** A scenario with what became of its jobs. */
export interface Outcome {
  readonly title: string
  readonly scenario: ReplayScenario
  readonly replayed: Replayed
}

/** Counts what happened, the same for all scenarios: over one period, so that their hosts cost the same hours. */
export function reportOf(trace: Trace, outcomes: readonly Outcome[]): SimulationReport {
  const period = periodOf(outcomes)
  return {
    trace: {
      file: trace.file,
      format: trace.format,
      jobs: trace.jobs.length,
      leftOut: trace.leftOut,
      measured: measuredOf(trace.jobs),
    },
    period,
    scenarios: outcomes.map((outcome, index) => scenarioReport(String.fromCodePoint(65 + index), outcome, period)),
  }
}

/** How it was, of a trace that says of every job when it started. */
function measuredOf(jobs: readonly TraceJob[]): Measured | null {
  const started = jobs.flatMap((job) => (job.startedAt === null ? [] : [{ ...job, startedAt: job.startedAt }]))
  if (started.length < jobs.length) return null
  const first = started.reduce((least, { submittedAt }) => Math.min(least, submittedAt), Number.POSITIVE_INFINITY)
  const last = started.reduce((most, { startedAt, runsMs }) => Math.max(most, startedAt + runsMs), 0)
  return {
    waitMs: spreadOf(started.map(({ startedAt, submittedAt }) => startedAt - submittedAt)),
    takenMs: started.reduce((sum, { bootMs, runsMs }) => sum + (bootMs ?? 0) + runsMs, 0),
    periodMs: last - first,
  }
}

function periodOf(outcomes: readonly Outcome[]): Stretch {
  const jobs = outcomes.flatMap(({ replayed }) => replayed.jobs)
  const from = jobs.reduce((least, { job }) => Math.min(least, job.submittedAt), Number.POSITIVE_INFINITY)
  const to = jobs.reduce((most, { job, endedAt }) => Math.max(most, endedAt ?? job.submittedAt), 0)
  return jobs.length === 0 ? { from: 0, to: 0 } : { from, to }
}

function scenarioReport(name: string, { title, scenario, replayed }: Outcome, period: Stretch): ScenarioReport {
  const started = replayed.jobs.filter(({ startedAt }) => startedAt !== null)
  const taken = replayed.jobs.flatMap((job) => takenBy(job, period))
  const pools = poolReports(scenario, taken, period)
  const hostHours = pools.reduce((sum, { hosts }) => sum + hosts, 0) * ((period.to - period.from) / hour)
  const slots = pools.reduce((sum, pool) => sum + pool.slots, 0)
  const stepMs = stepFor(period)
  return {
    name,
    title,
    pools,
    jobs: {
      total: replayed.jobs.length,
      ended: replayed.jobs.filter(({ endedAt }) => endedAt !== null).length,
      neverStarted: replayed.jobs.length - started.length,
      retried: replayed.jobs.filter(({ attempts }) => attempts > 1).length,
    },
    waitMs: spreadOf(started.map(waitOf)),
    bootMs: spreadOf(started.flatMap(({ assignedAt, startedAt }) => (assignedAt === null ? [] : [(startedAt ?? 0) - assignedAt]))),
    queues: queueReports(started),
    utilisation: shareOf(totalMs(taken, period), slots * (period.to - period.from)),
    hostHours,
    cost: costOf(pools, period),
    heldBack: heldBackOf(replayed.samples, replayed.jobs),
    series: {
      stepMs,
      slots,
      waiting: countOver(
        replayed.jobs.map(({ job, startedAt }) => ({ from: job.submittedAt, to: startedAt ?? period.to })),
        period,
        stepMs,
      ),
      busy: countOver(taken, period, stepMs),
    },
  }
}

function waitOf({ job, startedAt }: ReplayedJob): number {
  return (startedAt ?? job.submittedAt) - job.submittedAt
}

interface Taken extends Stretch {
  readonly pool: string | null
}

function takenBy({ assignedAt, endedAt, pool }: ReplayedJob, period: Stretch): readonly Taken[] {
  return assignedAt === null ? [] : [{ from: assignedAt, to: endedAt ?? period.to, pool }]
}

function queueReports(started: readonly ReplayedJob[]): ScenarioReport['queues'] {
  const names = [...new Set(started.map(({ job }) => job.queue))].sort()
  return names.map((queue) => {
    const jobs = started.filter(({ job }) => job.queue === queue)
    return { queue, jobs: jobs.length, waitMs: spreadOf(jobs.map(waitOf)) }
  })
}

function poolReports({ spec, hosts }: ReplayScenario, taken: readonly Taken[], period: Stretch): readonly PoolReport[] {
  return hosts.map((group) => {
    const slots = slotsOf(group)
    const own = taken.filter(({ pool }) => pool === group.pool)
    return {
      pool: group.pool,
      hosts: group.count,
      slots,
      warm: Object.values(spec.pools[group.pool]?.engines ?? {})
        .flatMap(({ warm }) => Object.values(warm ?? {}))
        .reduce((sum, one) => sum + one, 0),
      utilisation: shareOf(totalMs(own, period), slots * (period.to - period.from)),
      pricePerHour: group.pricePerHour,
    }
  })
}

function slotsOf({ count, engines }: SimulatedHosts): number {
  return count * Object.values(engines).reduce((sum, { slots }) => sum + slots, 0)
}

function shareOf(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole
}

/** Null when no pool has a price. */
function costOf(pools: readonly PoolReport[], period: Stretch): number | null {
  if (pools.every(({ pricePerHour }) => pricePerHour === null)) return null
  const hours = (period.to - period.from) / hour
  return pools.reduce((sum, { hosts, pricePerHour }) => sum + hosts * (pricePerHour ?? 0) * hours, 0)
}
