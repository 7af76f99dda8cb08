import { poolOf } from '../../decide/pools.ts'
import { resolveJob } from '../../decide/resolve-job.ts'
import type { Host } from '../../model/host.ts'
import { JobSpec } from '../../model/job.ts'
import type { Spec } from '../../model/spec.ts'
import type { AgentSettings, WarmSandboxes } from '../../model/sync.ts'

/** What a host's agent has to know of the spec: the fleet's limits, and the policy of its pool. */
export function settingsFor(spec: Spec, host: Pick<Host, 'name' | 'pool' | 'schedulable'>): AgentSettings {
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
        ...(engine.warm === undefined || host.schedulable.kind !== 'open' ? {} : { warm: warmSandboxes(spec, engine.warm) }),
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
    images: Object.entries(spec.images)
      .map(([name, { engine }]) => ({ name, engine }))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1)),
  }
}

/** What a job of the queue gets that says nothing of its own. */
function warmSandboxes(spec: Spec, counts: Readonly<Record<string, number>>): readonly WarmSandboxes[] {
  return Object.entries(counts).map(([queue, count]) => {
    const { image, shape, network } = resolveJob(spec, JobSpec.parse({ queue, command: ['true'] }))
    return { image, shape, network, count }
  })
}
