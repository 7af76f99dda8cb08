import type { Step, Waiting } from '../model/plan.ts'
import { createTeller } from './causes.ts'
import { classWaiting } from './class-reasons.ts'
import { fillFleet } from './filling.ts'
import type { Fleet, HostGroup, Moment } from './fleet.ts'
import { createMatcher } from './matching.ts'

export interface Placed extends Decided {
  /** Groups of hosts in which jobs that have a host there wait for room. */
  readonly wanted: ReadonlySet<HostGroup>
}

export interface Decided {
  readonly steps: readonly Step[]
  readonly waiting: readonly Waiting[]
}

/**
 * Places queued jobs on hosts, and says for every class with jobs left over why they wait.
 *
 * A host is usable for a class when its pool serves the queue, the engine works there with the wanted network and enforceable limits, its labels
 * match, image and proofs are fresh, and nothing keeps jobs away. Among usable hosts with room the least loaded is taken: load is the largest of
 * slots, CPU, memory and disk in use, each as a part of what the host has.
 */
export function decidePlacement(moment: Moment, fleet: Fleet): Placed {
  const { steps, lines, held } = fillFleet(moment, fleet, createMatcher(moment, fleet))
  const tell = createTeller({ moment, fleet, held })
  const wanted = new Set(lines.flatMap((line) => (line.head !== undefined && line.stopped !== 'queueLimit' ? line.fit.usable : [])))
  return { steps, waiting: lines.flatMap((line) => classWaiting(line, moment, tell)), wanted }
}
