import { z } from 'zod'
import { PoolView } from '../model/api.ts'
import { CideryError } from '../model/errors.ts'
import type { Host } from '../model/host.ts'
import type { Attempt } from '../model/job.ts'
import { liveAttemptsOfHosts } from '../record/attempts.ts'
import { allHosts } from '../record/hosts.ts'
import { route, type Route } from './route.ts'
import type { Services } from './services.ts'

type View = z.infer<typeof PoolView>
const PoolList = z.strictObject({ items: z.array(PoolView), nextCursor: z.string().nullable() })

/** Pools of the spec, and the hosts that follow each. */
export function poolRoutes(services: Services): readonly Route[] {
  async function views(): Promise<View[]> {
    const spec = services.spec()
    const { hosts, attempts } = await services.recorder.read(async (db) => {
      const hosts = await allHosts(db)
      return {
        hosts,
        attempts: await liveAttemptsOfHosts(
          db,
          hosts.map(({ id }) => id),
        ),
      }
    })
    const names = Object.keys(spec.pools).toSorted()
    return names.map((name) =>
      poolView(services, name, { hosts: hosts.filter((host) => services.judgement.poolOf(spec, host) === name), attempts }),
    )
  }

  return [
    route({
      method: 'GET',
      path: '/pools',
      summary: 'Pools with their hosts',
      tag: 'pools',
      access: 'read',
      response: PoolList,
      handler: async () => ({ items: await views(), nextCursor: null }),
    }),
    route({
      method: 'GET',
      path: '/pools/:name',
      summary: 'A pool',
      tag: 'pools',
      access: 'read',
      params: z.strictObject({ name: z.string() }),
      response: PoolView,
      handler: async (_context, { params }) => {
        const all = await views()
        const view = all.find(({ name }) => name === params.name)
        if (view === undefined)
          throw new CideryError('NOT_FOUND', `the spec has no pool ${params.name}`, {
            hint: `pools: ${all.map(({ name }) => name).join(', ')}`,
          })
        return view
      },
    }),
  ]
}

function poolView(services: Services, name: string, has: { readonly hosts: readonly Host[]; readonly attempts: readonly Attempt[] }): View {
  const { hosts } = has
  const pool = services.spec().pools[name]
  const ids = new Set<string>(hosts.map(({ id }) => id))
  const engines = new Set(hosts.flatMap((host) => host.facts?.engines.filter(({ ok }) => ok).map((engine) => engine.name) ?? []))
  const offered = Object.keys(pool?.engines ?? {})
  return {
    name,
    provider: pool?.provider ?? 'static',
    hosts: hosts.map((host) => host.name),
    up: hosts.filter(({ state }) => state === 'up').length,
    lost: hosts.filter(({ state }) => state === 'lost').length,
    open: hosts.filter(({ state, schedulable }) => state === 'up' && schedulable.kind === 'open').length,
    running: has.attempts.filter(({ hostId }) => ids.has(hostId)).length,
    engines: offered.length > 0 ? offered : [...engines].toSorted(),
    labels: pool?.labels ?? {},
  }
}
