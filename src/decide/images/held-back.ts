import type { ImageBuild } from '../../model/image/build.ts'
import { formatDuration, type Instant } from '../../model/instant.ts'
import type { Waiting } from '../../model/plan.ts'
import type { Moment, Place } from '../fleet.ts'
import { counted } from '../host-reasons.ts'
import type { LineScene } from './survey.ts'
import { lineWaiting, namesOf, type Told } from './tell.ts'

const mebibyte = 1024 ** 2

interface Left {
  readonly place: Place
  readonly build: ImageBuild
}

/** Hosts that get no turn at all for now. */
export interface HeldBack {
  /** Lack room on their disk. */
  readonly low: readonly Place[]
  /** Cannot get a build that is in no registry. */
  readonly lonely: readonly Place[]
  /** Did not get it in time and wait for another turn. */
  readonly pausing: readonly Place[]
}

/** What is said of hosts that could fetch, but not now; null when there are none. */
export function waitingForTurn(
  { name, policy }: LineScene,
  left: readonly Left[],
  { moment, opensAt }: { readonly moment: Moment; readonly opensAt: Instant },
): Waiting | null {
  const [first] = left
  if (first === undefined) return null
  const places = left.map(({ place }) => place)
  const isShut = opensAt > moment.now
  const why = isShut ? `its window opens in ${formatDuration(opensAt - moment.now)}` : `at most ${policy.rollout.wave} fetch it at once`
  const message = `${counted(places.length, 'host')} ${places.length === 1 ? 'waits' : 'wait'} for a turn to fetch ${first.build.name}: ${why}`
  const cure = `wait, or raise images.${name}.rollout.wave in cidery.yaml`
  return lineWaiting(name, { code: 'imageRollout', message, cure, since: first.build.endedAt ?? moment.now, places })
}

/** What is said of hosts that get no turn. */
export function tellHeldBack({ name, next, promoted }: LineScene, { low, lonely, pausing }: HeldBack, { now }: Moment): readonly Waiting[] {
  const build = next ?? promoted
  if (build === null) return []
  const since = build.endedAt ?? now
  const waiting: Waiting[] = []
  if (low.length > 0) waiting.push(lineWaiting(name, { ...lowText(build, low), since, places: low }))
  if (lonely.length > 0) waiting.push(lineWaiting(name, { ...lonelyText(build, name), since, places: lonely }))
  if (pausing.length > 0) waiting.push(lineWaiting(name, { ...pausingText(build, pausing), since, places: pausing }))
  return waiting
}

type Text = Pick<Told, 'code' | 'message' | 'cure'>

function lowText(build: ImageBuild, low: readonly Place[]): Text {
  const least = Math.min(...low.map(({ view }) => view.freeDiskMiB))
  const numbers = `it needs ${mebibytes(build.sizeBytes ?? 0)}, and ${Math.round(least)} MiB are free with nothing more to remove`
  const cure = `cidery host clean ${low[0]?.host.name ?? ''}, or give it a larger disk`
  return { code: 'imageDiskLow', message: `${namesOf(low)} cannot take ${build.name}: ${numbers}`, cure }
}

function lonelyText({ name, pushSkipped }: ImageBuild, image: string): Text {
  const why = pushSkipped === '' ? '' : ` (${pushSkipped})`
  const cure = `set images.${image}.registry in cidery.yaml, and give its hosts the credentials`
  return { code: 'imageNotShared', message: `${name} is on the host that built it alone: it is in no registry${why}`, cure }
}

function pausingText({ name }: ImageBuild, pausing: readonly Place[]): Text {
  const message = `${namesOf(pausing)} did not get ${name} in time; the next turn comes later`
  return { code: 'imageRollout', message, cure: `cidery host show ${pausing[0]?.host.name ?? ''}` }
}

function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / mebibyte)} MiB`
}
