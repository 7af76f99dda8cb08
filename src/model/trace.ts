import type { Instant, Milliseconds } from './instant.ts'
import type { EngineName } from './job.ts'
import type { Labels, Shape } from './shape.ts'

/** A job of the past, as a trace tells of it: when it came, what it asked for, how long it took. */
export interface TraceJob {
  /** Where it stands in the trace, counted from 1. */
  readonly line: number
  readonly name: string
  readonly queue: string
  /** Null: what its queue says. */
  readonly engine: EngineName | null
  readonly image: string | null
  /** What is left out is what its queue says. */
  readonly shape: Partial<Shape>
  readonly labels: Labels
  /** −100 … 100. */
  readonly priority: number
  readonly submittedAt: Instant
  /** When its command started; null: it is not known. */
  readonly startedAt: Instant | null
  /** From the start of its command until its host was free again. */
  readonly runsMs: Milliseconds
  /** From being given to a host until its command started; null: it was not measured. */
  readonly bootMs: Milliseconds | null
  readonly exitCode: number
}

/** Columns of cidery's own trace, in the order of an export; the same words are the fields of its JSON lines. */
export const traceColumns = [
  'name',
  'queue',
  'engine',
  'image',
  'cpu',
  'memoryMiB',
  'diskMiB',
  'labels',
  'priority',
  'submittedAt',
  'startedAt',
  'endedAt',
  'bootMs',
  'exitCode',
] as const
export type TraceColumn = (typeof traceColumns)[number]
