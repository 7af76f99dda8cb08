import type { Host } from '../model/host.ts'
import type { ImageState } from '../model/image/state.ts'
import type { Instant } from '../model/instant.ts'
import type { Job, JobSpec, ResolvedJob } from '../model/job.ts'
import type { Plan, Waiting } from '../model/plan.ts'
import type { Sandbox } from '../model/sandbox.ts'
import type { Spec } from '../model/spec.ts'
import type { Blobs } from '../ports/blobs.ts'
import type { Log } from '../ports/log.ts'
import type { Ids } from '../ports/random.ts'
import type { Clock, Timers } from '../ports/time.ts'
import type { Author, Recorder } from '../record/commit.ts'
import { actorOf } from './actor.ts'
import type { RouteContext } from './route.ts'

/** What deciding knows and serving may ask; brought by whoever wires, since serving does not decide. */
export interface Judgement {
  readonly resolveJob: (spec: Spec, job: JobSpec) => ResolvedJob
  /** Name of the class of jobs that are equal in all that placement looks at. */
  readonly classOf: (job: Job) => string
  readonly poolOf: (spec: Spec, host: Host) => string
  readonly labelsOf: (spec: Spec, host: Host) => Readonly<Record<string, string>>
  /** When a sandbox is removed, whichever of its limits comes first. */
  readonly leaseEnd: (sandbox: Sandbox) => Instant
  /** Why a thing waits, by the functions that decide. */
  readonly explain: (subject: string, now: Instant) => Promise<readonly Waiting[]>
  /** Every managed image on every host, as the deciding sees it. */
  readonly imageStates: (now: Instant) => Promise<readonly ImageState[]>
}

/** What the routes of jobs, hosts and agents need. */
export interface Services {
  readonly recorder: Recorder
  readonly blobs: Blobs
  readonly clock: Clock
  readonly timers: Timers
  readonly ids: Ids
  readonly log: Log
  readonly judgement: Judgement
  readonly spec: () => Spec
  /** The plan of the last pass. */
  readonly plan: () => Plan
  /** Last word from a host, newer than its row between two flushes. */
  readonly lastSeen: (hostId: string) => Instant | undefined
}

/** Who does it, for the journal. */
export function authorOf(context: Pick<RouteContext, 'principal' | 'origin'>): Author {
  return { actor: actorOf(context.principal), origin: context.origin }
}
