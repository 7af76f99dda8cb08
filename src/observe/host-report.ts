import type { Host } from '../model/host.ts'
import type { Instant } from '../model/instant.ts'
import type { SyncRequest } from '../model/sync.ts'

/** Whether a sync says anything that must be stored before it is answered. */
export function bringsNews(request: SyncRequest): boolean {
  const { attempts, operations, sandboxes, builds = [] } = request
  return request.facts !== null || [attempts, operations, sandboxes, builds].some((reports) => reports.length > 0)
}

/** Whether two agents cannot be the same process: another instance of the same boot. */
export function isOtherInstance(
  known: { readonly instanceId: string; readonly bootId: string },
  request: Pick<SyncRequest, 'instanceId' | 'bootId'>,
): boolean {
  return known.instanceId !== request.instanceId && known.bootId === request.bootId
}

/** When a host's facts were taken, on the controller's clock; 0 when it has none. */
export function factsTakenAt(host: Pick<Host, 'facts'>): Instant {
  return host.facts === null ? 0 : host.facts.at - (host.facts.clockSkewMs ?? 0)
}
