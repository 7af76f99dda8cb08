import { CideryError } from '../../model/errors.ts'
import type { Spec } from '../../model/spec.ts'
import type { World } from '../../model/world.ts'
import type { Deciding, DecisionRules } from './rules.ts'

/** Keeps the world that one decider decides over. */
export function createDeciding(rules: DecisionRules): Deciding {
  let state: { readonly spec: Spec; readonly world: World } | undefined

  function current(): { readonly spec: Spec; readonly world: World } {
    if (state === undefined) throw new CideryError('INTERNAL', 'a decider was asked before it was given a world')
    return state
  }

  return {
    reset(spec, world) {
      state = { spec, world }
    },
    setSpec(spec) {
      // Classes depend on what the spec says of queues; no change is a change of the spec alone.
      state = { spec, world: rules.advanceWorld(current().world, [], spec) }
    },
    advance(changes) {
      const { spec, world } = current()
      state = { spec, world: rules.advanceWorld(world, changes, spec) }
    },
    decide: (now) => rules.decide(current().spec, current().world, now),
    explain: (subject, now) => rules.explain({ ...current(), now, subject }),
    imageStates: (now) => rules.imageStates(current().spec, current().world, now),
  }
}
