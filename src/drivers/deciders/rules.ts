import type { ImageState } from '../../model/image/state.ts'
import type { Instant } from '../../model/instant.ts'
import type { Plan, Waiting } from '../../model/plan.ts'
import type { Spec } from '../../model/spec.ts'
import type { Change, World } from '../../model/world.ts'

/** The pure functions of `src/decide`, brought by whoever wires a decider: a driver does not choose what is decided. */
export interface DecisionRules {
  readonly decide: (spec: Spec, world: World, now: Instant) => Plan
  readonly advanceWorld: (world: World, changes: readonly Change[], spec: Spec) => World
  readonly explain: (question: {
    readonly spec: Spec
    readonly world: World
    readonly now: Instant
    readonly subject: string
  }) => readonly Waiting[]
  readonly imageStates: (spec: Spec, world: World, now: Instant) => readonly ImageState[]
}

/** A world and the rules that are applied to it; the same in line and in a worker. */
export interface Deciding {
  reset(spec: Spec, world: World): void
  setSpec(spec: Spec): void
  advance(changes: readonly Change[]): void
  decide(now: Instant): Plan
  explain(subject: string, now: Instant): readonly Waiting[]
  imageStates(now: Instant): readonly ImageState[]
}
