import { advanceWorld } from '../../decide/advance-world.ts'
import { checkPlan, type PlanFault } from '../../decide/check-plan.ts'
import { decide } from '../../decide/decide.ts'
import { explain } from '../../decide/explain.ts'
import { imageStates } from '../../decide/images/states.ts'
import type { Instant } from '../../model/instant.ts'
import type { Plan, Waiting } from '../../model/plan.ts'
import type { Spec } from '../../model/spec.ts'
import type { World } from '../../model/world.ts'

/**
 * The pure functions that a decider applies, with the plan checker between deciding and everybody else: a step that would do harm is a bug, is told to
 * `onFault`, and never leaves this function; the rest of the plan stands.
 */
export function decisionRules(onFault: (fault: PlanFault) => void) {
  return {
    advanceWorld,
    decide(spec: Spec, world: World, now: Instant): Plan {
      const plan = decide(spec, world, now)
      const faults = checkPlan(plan, { spec, world, now })
      if (faults.length === 0) return plan
      for (const fault of faults) onFault(fault)
      const bad = new Set(faults.map(({ index }) => index))
      return { ...plan, steps: plan.steps.filter((_step, index) => !bad.has(index)) }
    },
    explain: (question: {
      readonly spec: Spec
      readonly world: World
      readonly now: Instant
      readonly subject: string
    }): readonly Waiting[] => explain(question.spec, question.world, question),
    imageStates,
  }
}
