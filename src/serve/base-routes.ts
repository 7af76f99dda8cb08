import type { z } from 'zod'
import type { AuditVerifyView, SpecDiff } from '../model/api.ts'
import type { HostId } from '../model/id.ts'
import type { Spec } from '../model/spec.ts'
import { createLoginGuard } from './access/login-guard.ts'
import { sessionRoutes } from './access/session-routes.ts'
import { agentEnrolRoutes } from './agent-enrol.ts'
import { enrolmentRoutes } from './enrolments.ts'
import { createEventTail } from './event-tail.ts'
import { eventRoutes } from './events.ts'
import { caRoutes, healthRoutes } from './health.ts'
import type { Readiness } from './health.ts'
import { metricsRoutes } from './metrics.ts'
import type { Metrics } from './metrics.ts'
import { peopleRoutes } from './people.ts'
import type { Route } from './route.ts'
import { secretRoutes } from './secrets.ts'
import type { ServePorts } from './serve-ports.ts'
import { specRoutes } from './spec.ts'
import { tokenRoutes } from './tokens.ts'

export interface BaseRoutesOptions {
  readonly ports: ServePorts
  readonly metrics: Metrics
  /** The spec in force, parsed. */
  readonly spec: () => Promise<Spec>
  readonly parseSpec: (source: string, file: string) => Spec
  readonly diffSpec: (from: Spec, to: Spec) => SpecDifference | Promise<SpecDifference>
  readonly verifyJournal: () => Promise<z.infer<typeof AuditVerifyView>>
  readonly readiness: (signal: AbortSignal) => Promise<Readiness>
  /** A host joined; its row is stored. */
  readonly joined: (hostId: HostId) => Promise<void>
  /** How hosts and people reach this controller. */
  readonly url: () => string
  readonly secure: boolean
  /** Only this machine reaches the server. */
  readonly loopbackOnly: boolean
  readonly ca: { readonly pem: string; readonly fingerprint: string } | null
}

type SpecDifference = Pick<z.infer<typeof SpecDiff>, 'changes' | 'consequences'>

/** Everything of the HTTP side that is not about jobs and hosts: who may enter, what is wanted, what happened, how it does. */
export async function createBaseRoutes(
  options: BaseRoutesOptions,
): Promise<{ readonly routes: readonly Route[]; readonly rootRoutes: readonly Route[] }> {
  const { ports, metrics, ca } = options
  const guard = await createLoginGuard(ports)
  const routes = [
    ...sessionRoutes({ ports, guard, secure: options.secure }),
    ...peopleRoutes(ports),
    ...tokenRoutes(ports),
    ...enrolmentRoutes({ ports, spec: options.spec, url: options.url, caFingerprint: ca?.fingerprint ?? null }),
    ...agentEnrolRoutes(ports, options.joined),
    ...secretRoutes({ ports, spec: options.spec }),
    ...specRoutes({ ports, parse: options.parseSpec, diff: options.diffSpec }),
    ...eventRoutes({ ports, tail: createEventTail(ports), verify: options.verifyJournal, metrics }),
  ]
  const rootRoutes = [
    ...healthRoutes(options.readiness),
    ...metricsRoutes(metrics, { loopbackOnly: options.loopbackOnly }),
    ...(ca === null ? [] : caRoutes(ca.pem)),
  ]
  return { routes, rootRoutes }
}
