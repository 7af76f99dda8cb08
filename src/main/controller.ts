import { extname } from 'node:path'
import { createFolderBlobs } from '../drivers/blobs/folder/folder-blobs.ts'
import { openGivenCertificate } from '../drivers/certificates/given-certificate.ts'
import { openOwnCa } from '../drivers/certificates/own-ca.ts'
import { createSystemClock } from '../drivers/clocks/system-clock.ts'
import { createSystemTimers } from '../drivers/clocks/system-timers.ts'
import { createWorkerDecider } from '../drivers/deciders/worker-decider.ts'
import { createKernelLock } from '../drivers/locks/kernel-lock.ts'
import { createIds } from '../drivers/randoms/ids.ts'
import { createSystemRandom } from '../drivers/randoms/system-random.ts'
import { createDigests } from '../drivers/secrets/digests.ts'
import { createPasswordHasher } from '../drivers/secrets/password-hasher.ts'
import { createSecretBox } from '../drivers/secrets/secret-box.ts'
import { createSigner } from '../drivers/secrets/signer.ts'
import { createControllerCore, type ControllerCore } from '../loop/controller/core.ts'
import { createNumbers } from '../loop/controller/numbers.ts'
import { diffSpecs } from '../loop/controller/spec-diff.ts'
import { servedProtocols } from '../loop/controller/sync.ts'
import { CideryError } from '../model/errors.ts'
import { hour } from '../model/instant.ts'
import { readSpecFile } from '../observe/spec-file.ts'
import type { Certificates } from '../ports/certificates.ts'
import type { Signer } from '../ports/secrets.ts'
import { system } from '../record/commit.ts'
import { appendEvents } from '../record/journal.ts'
import { migrate, schemaNumber } from '../record/migrate.ts'
import { applySpec, readSpec } from '../record/specs.ts'
import { verifyJournal } from '../record/verify-journal.ts'
import { prepareFirstAdmin } from '../serve/access/first-admin.ts'
import { isLoopback } from '../serve/access/origin.ts'
import { createLoginCode } from '../serve/access/session-routes.ts'
import { agentRoutes } from '../serve/agent.ts'
import { artifactRoutes } from '../serve/artifacts.ts'
import { createBaseRoutes } from '../serve/base-routes.ts'
import { controllerRoutes } from '../serve/controller.ts'
import { examine } from '../serve/doctor.ts'
import { explainRoutes } from '../serve/explain.ts'
import type { Readiness } from '../serve/health.ts'
import { hostRoutes } from '../serve/hosts.ts'
import { jobRoutes } from '../serve/jobs.ts'
import { logRoutes } from '../serve/logs.ts'
import { createMetrics, type Metrics } from '../serve/metrics.ts'
import { operationRoutes } from '../serve/operations.ts'
import { poolRoutes } from '../serve/pools.ts'
import { queueRoutes } from '../serve/queues.ts'
import type { Route } from '../serve/route.ts'
import { sandboxRoutes } from '../serve/sandboxes.ts'
import type { ServePorts } from '../serve/serve-ports.ts'
import { createServer, type Server } from '../serve/server.ts'
import { streamRoutes, streamSockets } from '../serve/streams.ts'
import { uploadRoutes } from '../serve/uploads.ts'
import { openStateDirectory, type StateDirectory } from './controller-files.ts'
import { certificateNames, urlsOf, type ControllerOptions, type RunningController } from './controller-options.ts'
import { createReadiness } from './controller-readiness.ts'
import { openStore, storeName, type StoreChoice } from './controller-store.ts'
import { watchSpecFile } from './spec-watch.ts'

export type { ControllerOptions, RunningController } from './controller-options.ts'

/** How long requests that are under way may take when the controller ends. */
const closeGraceMs = 5_000

/**
 * Starts a controller: opens its state (one controller per state directory), takes the lead, serves. Resolves when it answers. Throws CONTROLLER_LOCKED
 * when another controller holds the directory, SCHEMA_TOO_NEW, TLS_REQUIRED, INVALID_INPUT for a spec file that cannot be applied.
 *
 * @example const controller = await runController({ stateDir, listen: { host: '127.0.0.1', port: 7700 }, version, log })
 */
export async function runController(options: ControllerOptions): Promise<RunningController> {
  const undo: (() => Promise<void>)[] = []
  try {
    return await start(options, undo)
  } catch (error) {
    for (const step of undo.toReversed()) await step()
    throw error
  }
}

async function start(options: ControllerOptions, undo: (() => Promise<void>)[]): Promise<RunningController> {
  const { log } = options
  const parts = await openParts(options, undo)
  const { state, core, ports } = parts
  undo.push(() => core.stop())
  await core.start()
  const startedAt = parts.ports.clock.now()
  await core.recorder.write(system, async (tx) =>
    tx.note('controller.started', 'controller', { data: { instance: parts.instance, version: options.version } }),
  )
  const admin = await prepareFirstAdmin(ports, state.credentials)
  if (options.specFile !== undefined && options.specFile !== null) {
    const watch = await watchSpecFile({
      file: options.specFile,
      timers: ports.timers,
      log,
      apply: (source) => applyFile(parts, source, options.specFile ?? ''),
    })
    undo.push(async () => watch.close())
  }
  const served = await serve(options, parts, startedAt)
  undo.push(() => served.server.close(closeGraceMs))
  const url = options.publicUrl ?? served.urls.others
  if (parts.certificates?.caPem !== null && parts.certificates !== null) await state.writeCa(parts.certificates.caPem)
  await state.writeControllerFile({
    url: served.urls.local,
    caFingerprint: parts.caFingerprint,
    pid: process.pid,
    instance: parts.instance,
    version: options.version,
    startedAt,
  })
  undo.push(() => state.removeControllerFile(parts.instance))
  const renewal = startRenewal(parts, served.server)
  undo.push(async () => renewal())
  log.info('the controller answers', { url, store: storeName(parts.choice), instance: parts.instance })

  let closing: Promise<void> | null = null
  let resolveEnded: () => void = () => undefined
  const ended = new Promise<void>((resolve) => (resolveEnded = resolve))
  async function shutDown(): Promise<void> {
    for (const step of undo.toReversed()) {
      // One part that cannot end must not keep the others from ending.
      await step().catch((error: unknown) => log.error('a part of the controller did not end cleanly', { error }))
    }
    log.info('the controller ended', { instance: parts.instance })
    resolveEnded()
  }
  function close(): Promise<void> {
    closing ??= shutDown()
    return closing
  }
  if (options.handleSignals !== false) undo.push(onSignals(() => void close()))

  return {
    url,
    caFingerprint: parts.caFingerprint,
    instance: parts.instance,
    tokenFile: `${state.path}/admin.token`,
    loginUrl: async () => `${served.urls.local}/#code=${await createLoginCode(ports, admin.user)}`,
    close,
    ended,
  }
}

function onSignals(stop: () => void): () => Promise<void> {
  const signals = ['SIGTERM', 'SIGINT'] as const
  for (const signal of signals) process.on(signal, stop)
  return async () => {
    for (const signal of signals) process.off(signal, stop)
  }
}

interface Parts {
  readonly state: StateDirectory
  readonly choice: StoreChoice
  readonly ports: ServePorts
  readonly core: ControllerCore
  readonly metrics: Metrics
  readonly certificates: Certificates | null
  readonly caFingerprint: string | null
  readonly signer: Signer
  readonly instance: string
  readonly readiness: (signal: AbortSignal) => Promise<Readiness>
}

async function openParts(options: ControllerOptions, undo: (() => Promise<void>)[]): Promise<Parts> {
  const { log } = options
  const clock = createSystemClock()
  const timers = createSystemTimers()
  const random = createSystemRandom()
  const ids = createIds(clock, random)
  const state = await openStateDirectory(options.stateDir)
  const lock = createKernelLock()
  const held = await lock.acquire(state.lock, 'controller')
  undo.push(() => held.release())
  const choice = options.store ?? { kind: 'sqlite' }
  const store = await openStore(choice, state.database, { clock, timers, random, lock })
  undo.push(() => store.close())
  const migrated = await migrate(store, { clock })
  if (migrated.from !== migrated.to) log.info('the schema was brought up to date', { ...migrated })
  const signer = createSigner({ keyFile: state.journalKey, random })
  const instance = ids.next('ctl')
  const metrics = createMetrics(options.version)
  const decider = createWorkerDecider({ entry: new URL(`./decider-entry${extname(import.meta.filename)}`, import.meta.url), timers })
  undo.push(() => decider.close())
  const numbers = createNumbers({ recorder: () => core.recorder, spec: () => core.services.spec(), clock, metrics })
  const core: ControllerCore = await createControllerCore(
    {
      store,
      clock,
      timers,
      ids,
      log,
      signer,
      decider,
      blobs: await createFolderBlobs({ directory: state.blobs }),
      parseSpec: (source) => readSpecFile(source, 'the stored spec'),
    },
    { holder: instance, alone: choice.kind === 'sqlite', passed: numbers.passed, sealed: numbers.sealed },
  )
  const ports: ServePorts = {
    store,
    clock,
    timers,
    random,
    ids,
    log,
    digests: createDigests(),
    hasher: createPasswordHasher({ random }),
    box: createSecretBox({ keyFile: state.secretsKey, random }),
    append: (tx, events) => appendEvents(tx, core.lead.epoch(), events),
  }
  const certificates = await openCertificates(options, state, ports)
  return {
    state,
    choice,
    ports,
    core,
    metrics,
    certificates,
    signer,
    instance,
    caFingerprint: certificates?.caFingerprint ?? null,
    readiness: createReadiness({ store, clock, timers, instance, leads: core.lead.leads, loop: core.loop.status }),
  }
}

/** On loopback nothing leaves the machine; everywhere else there is TLS, by our own CA unless the operator brings a certificate. */
async function openCertificates(options: ControllerOptions, state: StateDirectory, ports: ServePorts): Promise<Certificates | null> {
  if (options.tls !== undefined && options.tls !== null) return openGivenCertificate(options.tls)
  if (isLoopback(options.listen.host) || options.insecureHttp === true) return null
  const more = [...(options.names ?? []), ...(options.publicUrl ? [new URL(options.publicUrl).hostname] : [])]
  return openOwnCa({ directory: state.tls, names: certificateNames(options.listen, more), clock: ports.clock, log: ports.log })
}

interface Served {
  readonly server: Server
  readonly urls: { readonly local: string; readonly others: string }
}

async function serve(options: ControllerOptions, parts: Parts, startedAt: number): Promise<Served> {
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
    sockets: streamSockets(core.streams),
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

/** Puts a spec file in force, as `cidery apply` would. The same content again changes nothing. */
async function applyFile(parts: Parts, source: string, file: string): Promise<void> {
  const { core, ports } = parts
  readSpecFile(source, file)
  const present = await ports.store.read(readSpec)
  if (present.source === source) return
  await core.recorder.write(system, async (tx) => {
    const generation = present.generation + 1
    await applySpec(tx.db, { generation, source, appliedAt: tx.now, appliedBy: 'file' })
    tx.note('spec.applied', 'spec', { data: { generation, file } })
  })
  core.loop.wake()
}

/** Certificates are renewed long before they end, without a restart. */
function startRenewal(parts: Parts, server: Server): () => void {
  const { certificates, ports } = parts
  if (certificates === null) return () => undefined
  let timer = ports.timers.after(hour, turn)
  function turn(): void {
    timer = ports.timers.after(hour, turn)
    void renew()
  }
  async function renew(): Promise<void> {
    if (certificates === null) return
    try {
      if (!(await certificates.renewIfDue())) return
      server.setCertificate(certificates.current())
      ports.log.info('the certificate was renewed')
    } catch (error) {
      const message = error instanceof CideryError ? error.message : String(error)
      ports.log.error('the certificate could not be renewed; it is tried again in an hour', { error: message })
    }
  }
  return () => timer.cancel()
}
