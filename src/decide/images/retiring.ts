import type { ImageBuild } from '../../model/image/build.ts'
import { formatDuration } from '../../model/instant.ts'
import type { Step } from '../../model/plan.ts'
import type { Fleet, Moment } from '../fleet.ts'
import { storedOn } from './stored.ts'
import type { LineScene } from './survey.ts'

/**
 * Forgets builds that are old and many: older than the line's `age`, and not among its `count` newest. Never one that jobs get, that they could go back to, that is pinned, tried or
 * brought to hosts, that something runs on, or that is what the recipe makes.
 */
export function decideRetiring(scene: LineScene, moment: Moment, fleet: Fleet): Step[] {
  const { builds, policy } = scene
  const { age, count } = policy.retention
  const steps: Step[] = []
  for (const [index, build] of builds.entries()) {
    if (index >= builds.length - count || isKept(build, scene)) continue
    const goesAt = (build.endedAt ?? build.createdAt) + age
    moment.horizon.note(goesAt)
    if (moment.now < goesAt || isUsed(build, fleet)) continue
    const why = `older than ${formatDuration(age)}, and ${count} newer ones are kept`
    steps.push({ kind: 'removeBuild', buildId: build.id, generation: build.generation, why })
  }
  return steps
}

function isKept(build: ImageBuild, { promoted, lastGood, canary, next, underWay, line }: LineScene): boolean {
  const kept = [promoted, lastGood, canary, next, underWay]
  if (kept.some((other) => other?.id === build.id) || build.pinnedBy !== null || build.state === 'promoted') return true
  return build.identity !== null && build.identity === line.recipe?.identity
}

function isUsed({ id }: ImageBuild, fleet: Fleet): boolean {
  for (const { load, host } of fleet.places.values()) {
    if (load?.attempts.some(({ attempt }) => attempt.buildId === id) === true) return true
    if ((storedOn(host.facts).get(id)?.users.length ?? 0) > 0) return true
  }
  return false
}
