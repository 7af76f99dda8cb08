import { defaultSpec } from '../../model/spec.ts'
import type { AgentSettings } from '../../model/sync.ts'

/** What holds until a controller said otherwise: the defaults of a fresh spec. */
export const defaultAgentSettings: AgentSettings = {
  attemptLeaseMs: defaultSpec.limits.attemptLease,
  syncPollMs: defaultSpec.limits.syncPoll,
  cancelGraceMs: defaultSpec.limits.cancelGrace,
  sweepGraceMs: defaultSpec.limits.sweepGrace,
  operationGraceMs: defaultSpec.limits.operationGrace,
  artifactBytes: defaultSpec.limits.artifactBytes,
  readiness: {
    checkIntervalMs: defaultSpec.pools['default']?.readiness.checkInterval ?? 0,
    checkMaxAgeMs: defaultSpec.pools['default']?.readiness.checkMaxAge ?? 0,
    bootProofMaxAgeMs: defaultSpec.pools['default']?.readiness.bootProofMaxAge ?? 0,
  },
  engines: {},
  images: [],
}
