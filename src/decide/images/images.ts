import { formatDuration } from '../../model/instant.ts'
import type { Step, Waiting } from '../../model/plan.ts'
import type { Fleet, HostGroup, Moment } from '../fleet.ts'
import { decideBuild, type Decision } from './building.ts'
import { decideHolds, surveyFetches } from './holding.ts'
import { decidePromotion } from './promotion.ts'
import { decideReadiness } from './readiness.ts'
import { decideRetiring } from './retiring.ts'
import { surveyImages, type LineScene } from './survey.ts'
import { lineWaiting } from './tell.ts'

export interface DecidedImages {
  readonly steps: readonly Step[]
  readonly waiting: readonly Waiting[]
}

const nothing: DecidedImages = { steps: [], waiting: [] }

/** Builds images, brings them to hosts and gives them to jobs, each line by itself. `wanted` are groups of hosts whose slots jobs wait for. */
export function decideImages(moment: Moment, fleet: Fleet, wanted: ReadonlySet<HostGroup>): DecidedImages {
  const scenes = surveyImages(moment, fleet)
  if (scenes.length === 0) return nothing
  const steps: Step[] = []
  const waiting: Waiting[] = []
  const take = ({ step, waiting: entry }: Decision): void => {
    if (step !== undefined) steps.push(step)
    if (entry !== undefined) waiting.push(entry)
  }
  const fetches = surveyFetches(moment)
  for (const scene of scenes) {
    // One change of a line per pass: each raises its generation, so that a second one would be stale.
    const promotion = decidePromotion(scene, moment)
    take(promotion)
    const build = decideBuild(scene, moment, wanted)
    take(promotion.step !== undefined && changesLine(build) ? {} : build)
    const holds = decideHolds(scene, { moment, fleet, fetches })
    steps.push(...holds.steps, ...decideRetiring(scene, moment, fleet))
    waiting.push(...holds.waiting)
    take({ ...ageOf(scene, moment) })
  }
  steps.push(...decideReadiness(scenes, moment, fleet))
  return { steps, waiting }
}

function changesLine({ step }: Decision): boolean {
  return step?.kind === 'startBuild' || step?.kind === 'skipBuild'
}

/** A promoted build that is older than its policy likes lacks what was mended since. */
function ageOf({ name, policy, promoted }: LineScene, { now, horizon }: Moment): Decision {
  const builtAt = promoted?.metadata?.builtAt ?? promoted?.createdAt
  if (promoted === null || builtAt === undefined || policy.maxAge === undefined) return {}
  const oldAt = builtAt + policy.maxAge
  horizon.note(oldAt)
  if (now < oldAt) return {}
  const message = `${promoted.name}, which jobs get, is ${formatDuration(now - builtAt)} old; images.${name}.maxAge is ${formatDuration(policy.maxAge)}`
  return { waiting: lineWaiting(name, { code: 'imageOld', message, cure: `cidery image build ${name} --from-base`, since: oldAt }) }
}
