import type { Plan, Step } from '../model/plan.ts'
import type { Log } from '../ports/log.ts'

export type StepOf<K extends Step['kind']> = Extract<Step, { kind: K }>

/** How each kind of step is done. An effect answers `stale` when what it was decided for has changed since: then it did nothing. */
export type Effects = { readonly [K in Step['kind']]: (step: StepOf<K>) => Promise<'done' | 'stale'> }

export interface CarriedOut {
  readonly done: number
  readonly stale: number
  readonly failed: number
}

/** Steps under way at once: they share commits, so that more at once cost little more than one. */
const atOnce = 64

/**
 * Carries out the steps of a plan, each in a transaction of its own, begun in the order of the plan. A step that fails is logged and counted and does
 * not hold up the others: the next pass decides anew from what is then the case.
 */
export async function carryOut(plan: Plan, effects: Effects, log: Log): Promise<CarriedOut> {
  const count = { done: 0, stale: 0, failed: 0 }
  for (let start = 0; start < plan.steps.length; start += atOnce) {
    const batch = plan.steps.slice(start, start + atOnce)
    const results = await Promise.allSettled(batch.map((step) => apply(step, effects)))
    for (const [index, result] of results.entries()) {
      if (result.status === 'fulfilled') {
        count[result.value] += 1
        continue
      }
      count.failed += 1
      log.error('a step of the plan failed', { step: batch[index], error: result.reason as unknown })
    }
  }
  return count
}

async function apply(step: Step, effects: Effects): Promise<'done' | 'stale'> {
  // The kind of the step picks the effect of the same kind, which the compiler cannot follow through the union.
  const effect = effects[step.kind] as (step: Step) => Promise<'done' | 'stale'>
  return effect(step)
}
