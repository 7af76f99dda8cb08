import type { Instant } from '../../model/instant.ts'
import type { Waiting } from '../../model/plan.ts'
import type { SimulatedHosts } from '../../model/simulation.ts'
import type { Spec } from '../../model/spec.ts'
import type { TraceJob } from '../../model/trace.ts'

/** One scenario to replay a trace in. */
export interface ReplayScenario {
  readonly spec: Spec
  /** As `cidery.yaml` has it. */
  readonly source: string
  readonly hosts: readonly SimulatedHosts[]
  readonly jobs: readonly TraceJob[]
  readonly seed: number
}

/** What became of a job; its moments are on the clock of the trace, null where it did not get so far. */
export interface ReplayedJob {
  readonly job: TraceJob
  readonly pool: string | null
  /** When it was given to the host that ended it. */
  readonly assignedAt: Instant | null
  readonly startedAt: Instant | null
  readonly endedAt: Instant | null
  readonly attempts: number
}

/** What waited from a moment on, until the next. */
export interface WaitingSample {
  readonly at: Instant
  readonly waiting: readonly Pick<Waiting, 'subject' | 'code' | 'message' | 'cure' | 'jobCount'>[]
}

export interface Replayed {
  readonly jobs: readonly ReplayedJob[]
  readonly samples: readonly WaitingSample[]
}
