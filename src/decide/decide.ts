import type { Instant } from '../model/instant.ts'
import type { Plan } from '../model/plan.ts'
import type { Spec } from '../model/spec.ts'
import type { World } from '../model/world.ts'
import { decideAttempts, decideCancelled } from './attempts.ts'
import { surveyFleet } from './fleet.ts'
import { createHorizon } from './horizon.ts'
import { hostWaiting } from './host-reasons.ts'
import { decideHosts } from './hosts.ts'
import { decideImages } from './images/images.ts'
import { decideOperations } from './operations.ts'
import { decidePlacement } from './placement.ts'
import { decideRepairs } from './repairs.ts'
import { decideSandboxes } from './sandboxes.ts'

/**
 * What to do now so that the world becomes what the spec says, what each thing that is not done waits for, and when time alone changes that.
 * The same arguments always give the same plan.
 *
 * @example decide(spec, advanceWorld(emptyWorld(now), changes, spec), now).steps
 */
export function decide(spec: Spec, world: World, now: Instant): Plan {
  const horizon = createHorizon(now)
  const moment = { spec, world, now, horizon }
  const fleet = surveyFleet(moment)
  const attempts = decideAttempts(moment, fleet)
  const operations = decideOperations(moment, fleet)
  // Before what says why jobs wait: it knows whose turn it is.
  const repairs = decideRepairs(moment, fleet)
  const placement = decidePlacement(moment, fleet)
  // After placement: a build only takes a slot that no job has or waits for.
  const images = decideImages(moment, fleet, placement.wanted)
  return {
    steps: [
      ...decideHosts(moment, fleet),
      ...repairs,
      ...attempts.steps,
      ...decideCancelled(moment),
      ...operations.steps,
      ...decideSandboxes(moment),
      ...placement.steps,
      ...images.steps,
    ],
    waiting: [...placement.waiting, ...images.waiting, ...attempts.waiting, ...operations.waiting, ...hostWaiting(moment, fleet)],
    nextAt: horizon.first(),
  }
}
