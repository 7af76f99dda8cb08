import { minute, type Instant, type Milliseconds } from '../model/instant.ts'
import type { Proof, Readiness } from '../model/readiness.ts'

export interface ReadinessSettings {
  readonly checkIntervalMs: Milliseconds
  readonly checkMaxAgeMs: Milliseconds
  readonly bootProofMaxAgeMs: Milliseconds
}

/** What an agent knows when it asks itself whether to look again. */
export interface ReadinessQuestion {
  /** What is known of this engine and image; undefined: nothing. */
  readonly known: Pick<Readiness, 'check' | 'boot'> | undefined
  readonly settings: ReadinessSettings
  /** The host's own clock. */
  readonly now: Instant
  /** Whether a job or a person's sandbox is on the host. */
  readonly isBusy: boolean
}

export interface ReadinessWork {
  readonly check: boolean
  readonly boot: boolean
  /** When to ask again if nothing else happens. */
  readonly nextAt: Instant
}

/** A boot proof is made anew when this part of its age limit has passed, so that it never gets too old while the host is idle. */
const renewalPoint = 0.75
/** A failed boot is tried again after this long, or sooner when the age limit is shorter. */
const failedBootPause: Milliseconds = 5 * minute

/**
 * Whether to check and to boot a sandbox now, and when to ask again. A check is cheap: it is made at each interval, and always before
 * its proof gets too old. A boot takes room and time: only on an idle host, since each job's own boot is as good a proof.
 */
export function readinessWork(question: ReadinessQuestion): ReadinessWork {
  const { settings, now, isBusy } = question
  const { check, boot } = question.known ?? { check: null, boot: null }
  const checkAt = dueAt(check, now, Math.min(settings.checkIntervalMs, settings.checkMaxAgeMs * renewalPoint))
  // A sandbox that the cheap check says cannot start need not be tried.
  const mayBoot = check?.ok === true && !isBusy
  const bootAt = mayBoot ? dueAt(boot, now, bootPause(boot, settings)) : Number.POSITIVE_INFINITY
  const later = [checkAt, bootAt, now + settings.checkIntervalMs].filter((at) => at > now)
  return { check: checkAt <= now, boot: bootAt <= now, nextAt: Math.min(...later) }
}

function bootPause(boot: Proof | null, settings: ReadinessSettings): Milliseconds {
  const renewal = settings.bootProofMaxAgeMs * renewalPoint
  return boot?.ok === false ? Math.min(failedBootPause, renewal) : renewal
}

/** When a proof has to be made again; one from the future is worth nothing. */
function dueAt(proof: Proof | null, now: Instant, pause: Milliseconds): Instant {
  return proof === null || proof.at > now ? now : Math.floor(proof.at + pause)
}
