import { z } from 'zod'
import { CordonRequest, DrainRequest, FleetList, FleetQuery, HostList, HostListQuery, HostView } from '../model/api.ts'
import type { Host } from '../model/host.ts'
import type { RecordTx } from '../record/commit.ts'
import { askForNewKey } from '../record/host-keys.ts'
import { cordonHost, drainHost, listFleet, listHosts, readHost, retireHost, uncordonHost, type HostWrite } from '../record/hosts.ts'
import { viewFleet } from './fleet-views.ts'
import { viewHosts } from './host-views.ts'
import { route, type Route, type RouteContext } from './route.ts'
import { authorOf, type Services } from './services.ts'

const HostParams = z.strictObject({ id: z.string().min(1).max(100) })
type View = z.infer<typeof HostView>

/** Look at hosts, and say whether jobs may go there. Writes need `If-Match` with the generation that was read. */
export function hostRoutes(services: Services): readonly Route[] {
  const { recorder } = services

  async function show(idOrName: string): Promise<View> {
    const [view] = await recorder.read(async (db) => viewHosts(services, db, [await readHost(db, idOrName)]))
    return view as View
  }

  async function change(context: RouteContext, host: string, work: (tx: RecordTx, write: HostWrite) => Promise<Host>): Promise<View> {
    const changed = await recorder.write(authorOf(context), (tx) => work(tx, { host, ifMatch: context.ifMatch }))
    return show(changed.id)
  }

  return [
    route({
      method: 'GET',
      path: '/hosts',
      summary: 'Hosts in order of names',
      tag: 'hosts',
      access: 'read',
      query: HostListQuery,
      response: HostList,
      handler: async (_context, { query }) =>
        recorder.read(async (db) => {
          const page = await listHosts(db, query, query)
          return { items: await viewHosts(services, db, page.items), nextCursor: page.nextCursor }
        }),
    }),
    route({
      method: 'GET',
      path: '/fleet',
      summary: 'Every host that is in the fleet in a few words, in order of names: the map of the dashboard',
      tag: 'hosts',
      access: 'read',
      query: FleetQuery,
      response: FleetList,
      handler: async (_context, { query }) =>
        recorder.read(async (db) => {
          const page = await listFleet(db, query.names?.split(',') ?? null, query)
          return { items: await viewFleet(services, db, page.items), nextCursor: page.nextCursor }
        }),
    }),
    route({
      method: 'GET',
      path: '/hosts/:id',
      summary: 'A host by id or name',
      tag: 'hosts',
      access: 'read',
      params: HostParams,
      response: HostView,
      handler: async (_context, { params }) => show(params.id),
    }),
    route({
      method: 'POST',
      path: '/hosts/:id/cordon',
      summary: 'Place no new jobs on a host',
      tag: 'hosts',
      access: 'hosts',
      params: HostParams,
      body: CordonRequest,
      response: HostView,
      ifMatch: 'required',
      handler: async (context, { params, body }) => change(context, params.id, (tx, write) => cordonHost(tx, write, body.reason)),
    }),
    route({
      method: 'POST',
      path: '/hosts/:id/uncordon',
      summary: 'Place jobs on a host again',
      tag: 'hosts',
      access: 'hosts',
      params: HostParams,
      response: HostView,
      ifMatch: 'required',
      handler: async (context, { params }) => change(context, params.id, uncordonHost),
    }),
    route({
      method: 'POST',
      path: '/hosts/:id/drain',
      summary: 'Place no new jobs on a host, and cancel those that still run at a deadline',
      tag: 'hosts',
      access: 'hosts',
      params: HostParams,
      body: DrainRequest,
      response: HostView,
      ifMatch: 'required',
      handler: async (context, { params, body }) => change(context, params.id, (tx, write) => drainHost(tx, write, body)),
    }),
    route({
      method: 'POST',
      path: '/hosts/:id/rotate-key',
      summary: 'Ask a host to replace its key; the old one works until the new one is first used',
      tag: 'hosts',
      access: 'hosts',
      params: HostParams,
      response: HostView,
      ifMatch: 'required',
      handler: async (context, { params }) => change(context, params.id, askForNewKey),
    }),
    route({
      method: 'POST',
      path: '/hosts/:id/retire',
      summary: 'Take a host out of the fleet and revoke its key',
      tag: 'hosts',
      access: 'hosts',
      params: HostParams,
      response: HostView,
      ifMatch: 'required',
      handler: async (context, { params }) => change(context, params.id, retireHost),
    }),
  ]
}
