import type { Step } from '../../model/plan.ts'
import type { Fleet, Moment, Place } from '../fleet.ts'
import { looksAfter } from './serving.ts'
import { indexOf, type IndexedImages } from './stored.ts'
import type { LineScene } from './survey.ts'

/** Tells once when an image becomes ready on a host, and when it is so no longer; ends what people forced when its time is over. */
export function decideReadiness(scenes: readonly LineScene[], moment: Moment, fleet: Fleet): Step[] {
  const steps: Step[] = []
  for (const place of fleet.places.values()) {
    const known = indexOf(moment.world.hostImages.get(place.host.id))
    for (const state of known.states.values()) {
      const expiresAt = state.forced?.expiresAt ?? null
      if (expiresAt === null) continue
      moment.horizon.note(expiresAt)
      if (moment.now >= expiresAt) steps.push({ kind: 'expireForced', hostId: place.host.id, image: state.image })
    }
    // What a host that is silent has is not known: it neither becomes ready nor stops being so.
    if (!place.view.isUp || place.status === 'hostLost' || place.status === 'hostStale') continue
    for (const scene of scenes) {
      const step = stepOf(scene, place, known)
      if (step !== null) steps.push(step)
    }
  }
  return steps
}

function stepOf({ name, policy }: LineScene, place: Place, known: IndexedImages): Step | null {
  const { host, view } = place
  const before = known.states.get(name)?.readyBuild ?? null
  const build = view.builds.get(name)
  const verdict = build === undefined ? undefined : view.engines.get(policy.engine)?.verdicts.get(name)
  if (build !== undefined && verdict?.state === 'ready') {
    if (before === build) return null
    return { kind: 'noteReady', hostId: host.id, image: name, build, before, reason: 'VM image available with correct bootstrap version' }
  }
  // A proof that only grew old proves nothing, in either direction.
  if (before === null || verdict?.state === 'unknown') return null
  const reason = !looksAfter(view.pool, name)
    ? 'the host looks after it no longer'
    : verdict?.state === 'notReady'
      ? verdict.reason
      : 'VM image not found locally'
  return { kind: 'noteReady', hostId: host.id, image: name, build: null, before, reason }
}
