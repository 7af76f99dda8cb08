import type { ImageState } from '../model/image/state.ts'
import type { Instant } from '../model/instant.ts'
import type { Plan } from '../model/plan.ts'
import type { Spec } from '../model/spec.ts'
import type { Change, World } from '../model/world.ts'

/** Keeps a world and decides over it, never on the thread that answers requests (a worker in production, in line in tests). */
export interface Decider {
  reset(spec: Spec, world: World): Promise<void>
  setSpec(spec: Spec): Promise<void>
  advance(changes: readonly Change[]): void
  /** Decides over all that was advanced before the call. */
  decide(now: Instant): Promise<Plan>
  /** Why a job, host, queue or operation waits, by the same functions. */
  explain(subject: string, now: Instant): Promise<Plan['waiting']>
  /** Every managed image on every host. */
  imageStates(now: Instant): Promise<readonly ImageState[]>
  close(): Promise<void>
}
