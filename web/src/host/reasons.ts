import type { HostView } from '../../../src/model/api.ts'
import { hostCan } from '../../../src/model/host.ts'
import type { Scope } from '../../../src/model/identity.ts'

export const hostActions = ['cordon', 'drain', 'uncordon', 'probe', 'clean', 'restartAgent', 'reboot', 'rotateKey', 'retire'] as const
export type HostAction = (typeof hostActions)[number]

const operations: ReadonlySet<HostAction> = new Set(['probe', 'clean', 'restartAgent', 'reboot'])

/** Why an action cannot be done on a host by somebody, or null. It reads the tables that the server refuses by. */
export function reasonNotTo(
  action: HostAction,
  host: Pick<HostView, 'state' | 'schedulable' | 'operation' | 'runningJobs'>,
  scopes: readonly Scope[],
): string | null {
  if (!scopes.includes('hosts')) return 'your role may not change hosts'
  const isOperation = operations.has(action)
  const states: readonly string[] = hostCan[isOperation ? 'operate' : (action as keyof typeof hostCan)]
  if (!states.includes(host.state)) return `the host is ${host.state}`
  if (isOperation) return host.operation === null ? null : `it is busy with ${host.operation.request.kind}`
  return ownReason(action, host)
}

function ownReason(action: HostAction, { schedulable, state, runningJobs }: Parameters<typeof reasonNotTo>[1]): string | null {
  const { kind } = schedulable
  switch (action) {
    case 'cordon':
      return kind === 'open' ? null : `it is ${kind}`
    case 'drain':
      return kind === 'draining' ? 'it is draining' : null
    case 'uncordon':
      return kind === 'open' ? 'it takes jobs already' : null
    case 'retire': {
      const count = runningJobs.length
      return state === 'up' && count > 0 ? `it runs ${count} ${count === 1 ? 'job' : 'jobs'}: drain it first` : null
    }
    default:
      return null
  }
}
