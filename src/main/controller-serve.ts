import { diffSpecs } from '../loop/controller/spec-diff.ts'
import { servedProtocols } from '../loop/controller/sync.ts'
import { readSpecFile } from '../observe/spec-file.ts'
import { schemaNumber } from '../record/migrate.ts'
import { verifyJournal } from '../record/verify-journal.ts'
import { isLoopback } from '../serve/access/origin.ts'
import { agentRoutes } from '../serve/agent.ts'
import { artifactRoutes } from '../serve/artifacts.ts'
import { createBaseRoutes } from '../serve/base-routes.ts'
import { buildRoutes } from '../serve/builds.ts'
import { controllerRoutes } from '../serve/controller.ts'
import { examine } from '../serve/doctor.ts'
import { explainRoutes } from '../serve/explain.ts'
import { hostRoutes } from '../serve/hosts.ts'
import { imageRoutes } from '../serve/images.ts'
import { jobRoutes } from '../serve/jobs.ts'
import { logRoutes } from '../serve/logs.ts'
import { operationRoutes } from '../serve/operations.ts'
import { poolRoutes } from '../serve/pools.ts'
import { queueRoutes } from '../serve/queues.ts'
import type { Route } from '../serve/route.ts'
import { sandboxRoutes } from '../serve/sandboxes.ts'
import { createServer, type Server } from '../serve/server.ts'
import { streamRoutes, streamSockets } from '../serve/streams.ts'
import { uploadRoutes } from '../serve/uploads.ts'
import { urlsOf, type ControllerOptions } from './controller-options.ts'
import type { Parts } from './controller-parts.ts'
import { storeName } from './controller-store.ts'

export interface Served {
  readonly server: Server
  readonly urls: { readonly local: string; readonly others: string }
}

/** Puts every route behind the gate and listens. */
export async function serve(options: ControllerOptions, parts: Parts, startedAt: number): Promise<Served> {
  const { ports, core, metrics, certificates } = parts
  let urls = { local: '', others: '' }
  const url = (): string => options.publicUrl ?? urls.others
  const ca =
    certificates?.caPem === null || certificates?.caFingerprint === null || certificates === null
      ? null
      : { pem: certificates.caPem, fingerprint: certificates.caFingerprint }
  const base = await createBaseRoutes({
    ports,
    metrics,
    url,
    ca,
    spec: async () => core.services.spec(),
    parseSpec: readSpecFile,
    diffSpec: (from, to) => diffSpecs(core.recorder, from, to),
    verifyJournal: () => verifyJournal(ports.store, { signer: parts.signer }),
    readiness: parts.readiness,
    joined: (hostId) => core.recorder.touch('host', [hostId]),
    secure: certificates !== null,
    loopbackOnly: isLoopback(options.listen.host),
  })
  const current = certificates?.current()
  const server = await createServer({
    ports,
    metrics,
    routes: [
      ...base.routes,
      ...fleetRoutes(parts),
      ...controllerRoutes({
        view: () => controllerView(options, parts, { url: url(), startedAt }),
        doctor: () => examine({ services: core.services, readiness: parts.readiness }),
      }),
    ],
    rootRoutes: base.rootRoutes,
    sockets: streamSockets(core.services, core.streams),
    version: options.version,
    tls: current === undefined ? null : { chain: current.chain, key: current.key },
    insecureHttp: options.insecureHttp ?? false,
    names: options.names ?? [],
    webRoot: options.webRoot ?? null,
  })
  const { port } = await server.listen(options.listen)
  urls = urlsOf(options.listen, { secure: certificates !== null, port })
  return { server, urls }
}

/** Everything about jobs, hosts and agents. */
function fleetRoutes(parts: Parts): readonly Route[] {
  const { services, sync, streams } = parts.core
  return [
    ...jobRoutes(services),
    ...logRoutes(services),
    ...artifactRoutes(services),
    ...uploadRoutes(services, {
      path: '/uploads',
      access: 'jobs',
      tag: 'uploads',
      limit: () => services.spec().limits.uploadBytes,
      underFloor: 'refused',
    }),
    ...hostRoutes(services),
    ...operationRoutes(services),
    ...poolRoutes(services),
    ...queueRoutes(services),
    ...sandboxRoutes(services),
    ...streamRoutes(services, streams),
    ...imageRoutes(services),
    ...buildRoutes(services),
    ...explainRoutes(services),
    ...agentRoutes({ ...services, sync, box: parts.ports.box }),
  ]
}

function controllerView(options: ControllerOptions, parts: Parts, at: { readonly url: string; readonly startedAt: number }) {
  const { lastPassAt, lastPassMs, passes, problem } = parts.core.loop.status()
  return {
    version: options.version,
    instance: parts.instance,
    epoch: parts.core.lead.epoch(),
    leads: parts.core.lead.leads(),
    startedAt: at.startedAt,
    store: storeName(parts.choice),
    schema: schemaNumber,
    url: at.url,
    caFingerprint: parts.caFingerprint,
    syncProtocols: [...servedProtocols],
    loop: { lastPassAt, lastPassMs, passes, problem },
  }
}
