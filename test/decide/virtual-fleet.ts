import { advanceWorld, emptyWorld } from '../../src/decide/advance-world.ts'
import { decide } from '../../src/decide/decide.ts'
import type { Host } from '../../src/model/host.ts'
import { hour } from '../../src/model/instant.ts'
import type { Job } from '../../src/model/job.ts'
import type { Plan } from '../../src/model/plan.ts'
import type { Spec } from '../../src/model/spec.ts'
import { changesOf, makeFacts, provenReady, start } from './build-world.ts'
import { carryOut, endAttempt, type Scene } from './carry-out.ts'

export interface Arrival {
  readonly at: number
  readonly job: Job
  /** How long it runs, in milliseconds. */
  readonly runsMs: number
}

export interface Lived {
  /** When each job was placed, by id. */
  readonly startedAt: ReadonlyMap<string, number>
  readonly endedAt: ReadonlyMap<string, number>
}

/**
 * Lets jobs arrive, run and end on hosts that always report, deciding at each tick: a fleet in virtual time, without anything but the pure core.
 * `look` sees every plan before it is carried out.
 */
export function liveThrough(
  fleet: { readonly spec: Spec; readonly hosts: readonly Host[]; readonly arrivals: readonly Arrival[]; readonly tickMs: number },
  look: (plan: Plan, scene: Scene) => void = () => undefined,
): Lived {
  const { spec, hosts, arrivals, tickMs } = fleet
  const runs = new Map(arrivals.map(({ job, runsMs }) => [job.id as string, runsMs]))
  const startedAt = new Map<string, number>()
  const endedAt = new Map<string, number>()
  let scene: Scene = { spec, world: emptyWorld(start - hour), jobs: new Map(), now: start, made: 0 }
  let coming = [...arrivals].sort((a, b) => a.at - b.at)
  while (endedAt.size < arrivals.length) {
    if (scene.now > start + 1000 * hour) throw new Error(`${arrivals.length - endedAt.size} jobs never ended`)
    for (const { attempt } of scene.world.attempts.values()) {
      const from = startedAt.get(attempt.jobId) ?? scene.now
      if (scene.now < from + (runs.get(attempt.jobId) ?? 0)) continue
      endedAt.set(attempt.jobId, scene.now)
      scene = endAttempt(scene, attempt, { kind: 'exited', code: 0 })
    }
    const due = coming.filter(({ at }) => at <= scene.now).map(({ job }) => job)
    coming = coming.slice(due.length)
    const { now } = scene
    const reported = hosts.map((host) => ({
      ...host,
      lastSeenAt: now,
      facts: makeFacts({ ...host.facts, at: now, readiness: [provenReady('user', null, now)] }),
    }))
    const jobs = new Map([...scene.jobs, ...due.map((job) => [job.id as string, job] as const)])
    scene = { ...scene, jobs, world: advanceWorld(scene.world, changesOf({ hosts: reported, jobs: due }), spec) }
    const plan = decide(spec, scene.world, now)
    look(plan, scene)
    for (const step of plan.steps) if (step.kind === 'assign') startedAt.set(step.jobId, now)
    scene = { ...carryOut(scene, plan), now: now + tickMs }
  }
  return { startedAt, endedAt }
}
