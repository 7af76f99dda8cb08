import type { Host } from '../../model/host.ts'
import { forcedAt, type ForcedReadiness, type HostImages } from '../../model/image/line.ts'
import type { Instant } from '../../model/instant.ts'
import type { EngineName } from '../../model/job.ts'
import type { ReadinessVerdict } from '../../model/readiness.ts'
import type { Pool } from '../../model/spec.ts'
import { canaryAlias, looksAfter, servedOn, type Serving } from './serving.ts'
import { indexOf, storedOn } from './stored.ts'

/** A build that stands for its line on one host. */
export interface ServedHere {
  readonly engine: EngineName
  /** What a job asks for: the line, or its canary. */
  readonly alias: string
  readonly build: string
  readonly verdict: ReadinessVerdict
}

export interface LinesHere {
  readonly served: readonly ServedHere[]
  /** What the host's checks found, with the lines whose build is there. */
  readonly images: ReadonlySet<string>
  readonly builds: ReadonlyMap<string, string>
  readonly until: Instant
}

export interface LinesQuestion {
  readonly pool: Pool
  readonly serving: Serving
  readonly hostImages: HostImages | undefined
  readonly now: Instant
  readonly verdicts: (engine: EngineName) => ReadonlyMap<string, ReadinessVerdict> | undefined
}

/** What jobs of managed lines find on a host: for each line the build that they would get there, and whether it is proved ready under its own id. */
export function viewLines(host: Host, question: LinesQuestion): LinesHere {
  const { pool, serving, now } = question
  const { states } = indexOf(question.hostImages)
  const stored = storedOn(host.facts)
  const served: ServedHere[] = []
  const images = new Set(host.facts?.images)
  const builds = new Map<string, string>()
  let until = Number.POSITIVE_INFINITY
  for (const line of serving.lines) {
    // An image of that name that somebody put on the host is none of the line's.
    images.delete(line.name)
    if (!looksAfter(pool, line.name)) continue
    const forced = forcedAt(states.get(line.name), now)
    until = Math.min(until, forced?.expiresAt ?? Number.POSITIVE_INFINITY)
    const verdicts = question.verdicts(line.engine)
    const wanted = [[line.name, servedOn(line, host.name)] as const, [canaryAlias(line.name), canaryOf(line)] as const]
    for (const [alias, build] of wanted) {
      if (build === null || !stored.has(build)) continue
      images.add(alias)
      if (alias === line.name) builds.set(alias, build)
      served.push({ engine: line.engine, alias, build, verdict: judge(verdicts?.get(build), forced) })
    }
  }
  return { served, images, builds, until }
}

function canaryOf({ canary }: Serving['lines'][number]): string | null {
  return canary === null || canary.share === null ? null : canary.build
}

const unproved: ReadinessVerdict = { state: 'unknown', reason: 'never probed' }

function judge(verdict: ReadinessVerdict | undefined, forced: ForcedReadiness | null): ReadinessVerdict {
  if (forced === null) return verdict ?? unproved
  return forced.ready ? { state: 'ready' } : { state: 'notReady', reason: `forced not ready by ${forced.by}: ${forced.reason}` }
}
