import type { EngineName } from '../../model/job.ts'
import type { Step } from '../../model/plan.ts'
import type { ReadinessVerdict } from '../../model/readiness.ts'
import type { Fleet, Moment, Place } from '../fleet.ts'
import type { HostView } from '../host-view.ts'
import { looksAfter } from './serving.ts'
import { indexOf, type IndexedImages } from './stored.ts'
import type { LineScene } from './survey.ts'

/** Told in one pass at most: each is a commit, and the jobs of the next pass must not wait for thousands of them. */
const mostTold = 256

/** Tells once when an image becomes ready on a host, and when it is so no longer; ends what people forced when its time is over. */
export function decideReadiness(scenes: readonly LineScene[], moment: Moment, fleet: Fleet): Step[] {
  const steps: Step[] = []
  for (const place of fleet.places.values()) {
    if (steps.length >= mostTold) break
    const known = indexOf(moment.world.hostImages.get(place.host.id))
    steps.push(...expired(place, known, moment))
    // What a host that is silent has is not known: it neither becomes ready nor stops being so.
    if (!place.view.isUp || place.status === 'hostLost' || place.status === 'hostStale') continue
    for (const scene of scenes) {
      const step = stepOf(scene, place, known)
      if (step !== null) steps.push(step)
    }
  }
  return steps
}

function expired({ host }: Place, { states }: IndexedImages, { now, horizon }: Moment): readonly Step[] {
  const steps: Step[] = []
  for (const { image, forced } of states.values()) {
    const expiresAt = forced?.expiresAt ?? null
    if (expiresAt === null) continue
    horizon.note(expiresAt)
    if (now >= expiresAt) steps.push({ kind: 'expireForced', hostId: host.id, image })
  }
  return steps
}

function stepOf({ name, policy }: LineScene, { host, view }: Place, known: IndexedImages): Step | null {
  const before = known.states.get(name)?.readyBuild ?? null
  const build = view.builds.get(name) ?? null
  const verdict = build === null ? undefined : verdictOf(view, policy.engine, name)
  const about = { kind: 'noteReady', hostId: host.id, image: name, before } as const
  if (build !== null && verdict?.state === 'ready')
    return before === build ? null : { ...about, build, reason: 'VM image available with correct bootstrap version' }
  // A proof that only grew old proves nothing, in either direction.
  if (before === null || verdict?.state === 'unknown') return null
  return { ...about, build: null, reason: lossOf(view, name, verdict) }
}

function verdictOf({ engines }: HostView, engine: EngineName, image: string): ReadinessVerdict | undefined {
  return engines.get(engine)?.verdicts.get(image)
}

/** Why an image is not ready on a host any more. */
function lossOf(view: HostView, image: string, verdict: ReadinessVerdict | undefined): string {
  if (!looksAfter(view.pool, image)) return 'the host looks after it no longer'
  return verdict?.state === 'notReady' ? verdict.reason : 'VM image not found locally'
}
