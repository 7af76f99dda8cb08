import type { FleetHost } from '../model/api.ts'
import type { Host } from '../model/host.ts'
import type { ReadinessState } from '../model/readiness.ts'
import type { Reader } from '../ports/store.ts'
import { countLiveByHost } from '../record/host-load.ts'
import { liveOperationsOfHosts } from '../record/operations.ts'
import { readinessOf, slotsOfEngine } from './host-readiness.ts'
import type { Services } from './services.ts'

/** Hosts as the map of the fleet shows them; nothing is read of their jobs but how many there are. */
export async function viewFleet(services: Services, db: Reader, hosts: readonly Host[]): Promise<FleetHost[]> {
  const ids = hosts.map(({ id }) => id)
  const used = await countLiveByHost(db, ids)
  const operations = new Map((await liveOperationsOfHosts(db, ids)).map(({ hostId, request }) => [hostId, request.kind]))
  const spec = services.spec()
  const now = services.clock.now()
  return hosts.map((host) => {
    const poolName = services.judgement.poolOf(spec, host)
    const pool = spec.pools[poolName]
    return {
      id: host.id,
      name: host.name,
      pool: poolName,
      state: host.state,
      schedulable: host.schedulable.kind,
      readiness: best(readinessOf(host, pool, now).map(({ state }) => state)),
      used: used.get(host.id) ?? 0,
      total: (host.facts?.engines ?? []).reduce((sum, engine) => sum + slotsOfEngine(engine, pool), 0),
      operation: operations.get(host.id) ?? null,
    }
  })
}

function best(states: readonly ReadinessState[]): ReadinessState {
  if (states.includes('ready')) return 'ready'
  return states.includes('notReady') ? 'notReady' : 'unknown'
}
