import type { Instant } from '../model/instant.ts'
import type { Spec } from '../model/spec.ts'
import type { World } from '../model/world.ts'

/** What a plan is checked against. */
export interface Scene {
  readonly spec: Spec
  readonly world: World
  readonly now: Instant
}
