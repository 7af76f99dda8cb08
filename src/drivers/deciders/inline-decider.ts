import type { Decider } from '../../ports/decider.ts'
import { createDeciding } from './deciding.ts'
import type { DecisionRules } from './rules.ts'

/** Decides in the thread of the caller: for tests, the simulator and commands that end soon. */
export function createInlineDecider(rules: DecisionRules): Decider {
  const deciding = createDeciding(rules)
  return {
    reset: async (spec, world) => deciding.reset(spec, world),
    setSpec: async (spec) => deciding.setSpec(spec),
    advance: (changes) => deciding.advance(changes),
    decide: async (now) => deciding.decide(now),
    explain: async (subject, now) => deciding.explain(subject, now),
    imageStates: async (now) => deciding.imageStates(now),
    async close() {},
  }
}
