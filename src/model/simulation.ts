import type { Instant, Milliseconds } from './instant.ts'
import type { EngineName } from './job.ts'
import type { WaitingCode } from './plan.ts'

/** What `cidery simulate` says, in the form of its JSON. Moments are those of the trace; lengths are milliseconds. */
export interface SimulationReport {
  readonly trace: {
    readonly file: string
    readonly format: string
    readonly jobs: number
    /** Rows that were not replayed, by their reason. */
    readonly leftOut: readonly { readonly reason: string; readonly count: number }[]
    /** How it really was; null when the trace does not say of every job. */
    readonly measured: Measured | null
  }
  /** What utilisation, host-hours and the series are about: from the first job that came to the last one that ended in any scenario. */
  readonly period: { readonly from: Instant; readonly to: Instant }
  /** The first is what the others are compared with. */
  readonly scenarios: readonly ScenarioReport[]
}

export interface Measured {
  readonly waitMs: Spread
  /** Time that slots were taken by jobs, all together. */
  readonly takenMs: Milliseconds
  /** From the first job that came to the last one that ended. */
  readonly periodMs: Milliseconds
}

export interface ScenarioReport {
  /** `A`, `B`, … */
  readonly name: string
  /** What it is: `cidery.yaml, 20 hosts`. */
  readonly title: string
  readonly pools: readonly PoolReport[]
  readonly jobs: { readonly total: number; readonly ended: number; readonly neverStarted: number; readonly retried: number }
  /** From a job's coming to the start of its command, of jobs that started. */
  readonly waitMs: Spread
  /** The part of it after the job was given to a host. */
  readonly bootMs: Spread
  readonly queues: readonly { readonly queue: string; readonly jobs: number; readonly waitMs: Spread }[]
  /** Time that slots were taken by jobs, of all the time that they were there: 0…1. */
  readonly utilisation: number
  readonly hostHours: number
  /** Null without a price. */
  readonly cost: number | null
  readonly heldBack: readonly HeldBack[]
  readonly series: Series
}

export interface PoolReport {
  readonly pool: string
  readonly hosts: number
  readonly slots: number
  /** Warm sandboxes that each host keeps. */
  readonly warm: number
  readonly utilisation: number
  readonly pricePerHour: number | null
}

/** `quantiles` are the lengths at 0 %, 1 %, … 100 %; all are 0 when there is nothing to count. */
export interface Spread {
  readonly count: number
  readonly mean: Milliseconds
  readonly p50: Milliseconds
  readonly p90: Milliseconds
  readonly p95: Milliseconds
  readonly p99: Milliseconds
  readonly max: Milliseconds
  readonly quantiles: readonly Milliseconds[]
}

/** Something that jobs waited for. Several may hold for one job at once, so that minutes may add up to more than the jobs waited. */
export interface HeldBack {
  /** `boot`: the job had a host, and its sandbox was not up yet. */
  readonly code: WaitingCode | 'boot'
  /** As it was told for the longest time. */
  readonly message: string
  readonly cure: string
  /** Jobs that waited for it, times minutes. */
  readonly jobMinutes: number
}

/** Averages over steps of equal length, from the start of the period on. */
export interface Series {
  readonly stepMs: Milliseconds
  /** Jobs that had come and whose command had not started. */
  readonly waiting: readonly number[]
  /** Slots that jobs had taken. */
  readonly busy: readonly number[]
  readonly slots: number
}

/** One simulated kind of hosts. */
export interface SimulatedHosts {
  readonly pool: string
  readonly count: number
  readonly engines: Readonly<Partial<Record<EngineName, SimulatedEngine>>>
  readonly capacity: { readonly cpu: number; readonly memoryMiB: number; readonly diskMiB: number }
  readonly pricePerHour: number | null
}

export interface SimulatedEngine {
  readonly slots: number
  /** Images that lie on its host. */
  readonly images: readonly string[]
  /** From being given a job until its command starts, when no warm sandbox is there. */
  readonly bootMs: Milliseconds
}
