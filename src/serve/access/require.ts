import { CideryError } from '../../model/errors.ts'
import { allows, scopesOfRole } from '../../model/identity.ts'
import type { Principal, Role, Scope } from '../../model/identity.ts'

/** Refuses a principal without a scope, or whose scope does not reach the queue, with FORBIDDEN. */
export function requireScope(principal: Principal, scope: Scope, queue?: string): void {
  if (allows(principal, scope, queue)) return
  const lacksScope = !principal.scopes.includes(scope)
  const what = lacksScope ? `has no scope "${scope}"` : `may not use the queue ${queue ?? ''}`
  throw new CideryError('FORBIDDEN', `${nameOf(principal)} ${what}`, {
    hint: lacksScope ? 'ask an admin for a role or token with this scope' : `allowed queues: ${principal.queues.join(', ')}`,
    details: lacksScope ? { scope, scopes: principal.scopes } : { queue, queues: principal.queues },
  })
}

/** Refuses a host that asks for another host's things. */
export function requireHost(principal: Principal, hostId: string): void {
  if (principal.kind === 'host' && principal.id === hostId) return
  throw new CideryError('FORBIDDEN', `${nameOf(principal)} may not act for another host`)
}

/** Refuses to hand out (or to take over) more than the principal has itself: nobody makes an admin who is none. */
export function requireAtLeast(principal: Principal, role: Role, queues: readonly string[]): void {
  const missing = scopesOfRole[role].filter((scope) => !principal.scopes.includes(scope))
  if (missing.length > 0) {
    throw new CideryError('FORBIDDEN', `${nameOf(principal)} cannot give or change the role ${role}: it lacks ${missing.join(', ')} itself`)
  }
  requireQueues(principal, queues)
}

/** Refuses queues beyond the principal's own; an empty list means all queues. */
export function requireQueues(principal: Principal, queues: readonly string[]): void {
  if (principal.queues.length === 0) return
  const beyond = queues.filter((queue) => !principal.queues.includes(queue))
  if (queues.length > 0 && beyond.length === 0) return
  const what = queues.length === 0 ? 'all queues' : `the queue ${beyond.join(', ')}`
  throw new CideryError('FORBIDDEN', `${nameOf(principal)} cannot hand out ${what}`, {
    hint: `allowed queues: ${principal.queues.join(', ')}`,
  })
}

function nameOf(principal: Principal): string {
  return principal.kind === 'system' ? principal.name : `${principal.kind} ${principal.name}`
}
