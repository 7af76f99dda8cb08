import { CideryError } from '../model/errors.ts'
import { hour } from '../model/instant.ts'
import { readSpecFile } from '../observe/spec-file.ts'
import { system } from '../record/commit.ts'
import { applySpec, readSpec } from '../record/specs.ts'
import { prepareFirstAdmin } from '../serve/access/first-admin.ts'
import { createLoginCode } from '../serve/access/session-routes.ts'
import type { Server } from '../serve/server.ts'
import type { ControllerOptions, RunningController } from './controller-options.ts'
import { openParts, type Parts } from './controller-parts.ts'
import { serve } from './controller-serve.ts'
import { storeName } from './controller-store.ts'
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
