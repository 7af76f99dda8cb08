import { managedLines } from '../../decide/images/managed.ts'
import { poolOf } from '../../decide/pools.ts'
import { resolveJob } from '../../decide/resolve-job.ts'
import type { Host } from '../../model/host.ts'
import type { DesiredImages } from '../../model/image/build.ts'
import { isManaged } from '../../model/image/managed.ts'
import { day } from '../../model/instant.ts'
import { JobSpec } from '../../model/job.ts'
import type { Spec } from '../../model/spec.ts'
import type { AgentSettings, WarmSandboxes } from '../../model/sync.ts'
import type { ImageRetention } from '../../record/desired.ts'

/** What the record knows of the images of a host. */
export interface ImagesOfHost {
  readonly holds: DesiredImages['holds']
  /** Build that jobs get, by image. */
  readonly promoted: ReadonlyMap<string, string>
}

const noImages: ImagesOfHost = { holds: [], promoted: new Map() }

/** What a host's agent has to know of the spec: the fleet's limits, and the policy of its pool. */
export function settingsFor(spec: Spec, host: Pick<Host, 'name' | 'pool' | 'schedulable'>, images: ImagesOfHost = noImages): AgentSettings {
  const { limits } = spec
  const pool = poolOf(spec, host)
  const readiness = pool?.readiness
  const engines: AgentSettings['engines'] = Object.fromEntries(
    Object.entries(pool?.engines ?? {}).map(([name, engine]) => [
      name,
      {
        slots: engine.slots ?? null,
        limits: engine.limits,
        networks: engine.networks,
        // A host that takes no jobs keeps nothing for them.
        ...(engine.warm === undefined || host.schedulable.kind !== 'open' ? {} : { warm: warmSandboxes(spec, engine.warm, images) }),
      },
    ]),
  )
  return {
    attemptLeaseMs: limits.attemptLease,
    syncPollMs: limits.syncPoll,
    cancelGraceMs: limits.cancelGrace,
    sweepGraceMs: limits.sweepGrace,
    operationGraceMs: limits.operationGrace,
    artifactBytes: limits.artifactBytes,
    readiness: {
      checkIntervalMs: readiness?.checkInterval ?? 300_000,
      checkMaxAgeMs: readiness?.checkMaxAge ?? 900_000,
      bootProofMaxAgeMs: readiness?.bootProofMaxAge ?? 86_400_000,
    },
    engines,
    images: provenImages(spec, images),
  }
}

/** Images that operators put on hosts by name, and builds by id: those that the host is to have. */
function provenImages(spec: Spec, { holds }: ImagesOfHost): AgentSettings['images'] {
  const byOperators = Object.entries(spec.images)
    .filter(([name]) => !isManaged(spec, name))
    .map(([name, { engine }]) => ({ name, engine }))
  const held = holds.map(({ build, engine }) => ({ name: build, engine }))
  return [...byOperators, ...held].toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

/** What a job of the queue gets that says nothing of its own. */
function warmSandboxes(spec: Spec, counts: Readonly<Record<string, number>>, { promoted }: ImagesOfHost): readonly WarmSandboxes[] {
  return Object.entries(counts).flatMap(([queue, count]) => {
    const { image, shape, network } = resolveJob(spec, JobSpec.parse({ queue, command: ['true'] }))
    if (image === null || !isManaged(spec, image)) return [{ image, shape, network, count }]
    const build = promoted.get(image)
    return build === undefined ? [] : [{ image: build, shape, network, count }]
  })
}

/** Free space that builds leave on a host's disk. */
const freeFloor = 10 * 1024 ** 3

/** How long a host keeps builds that it need not have: as the most careful of its images says. Null: the fleet manages no images. */
export function retentionFor(spec: Spec): ImageRetention | null {
  const lines = managedLines(spec)
  if (lines.length === 0) return null
  const age = Math.max(day, ...lines.map(({ policy }) => policy.retention.age))
  const count = Math.max(...lines.map(({ policy }) => policy.retention.count))
  return { age, count, budgetBytes: null, freeFloorBytes: freeFloor }
}
