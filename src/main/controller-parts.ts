import { extname } from 'node:path'
import { createFolderBlobs } from '../drivers/blobs/folder/folder-blobs.ts'
import { openGivenCertificate } from '../drivers/certificates/given-certificate.ts'
import { openOwnCa } from '../drivers/certificates/own-ca.ts'
import { createSlewingClock } from '../drivers/clocks/slewing-clock.ts'
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
import { readSpecFile } from '../observe/spec-file.ts'
import type { Certificates } from '../ports/certificates.ts'
import type { Signer } from '../ports/secrets.ts'
import { migrate } from '../record/migrate.ts'
import { forgetMoved, refuseMoved } from '../record/moved-state.ts'
import { requireSameBlobs, requireSameKeys } from '../record/shared-state.ts'
import { isLoopback } from '../serve/access/origin.ts'
import type { Readiness } from '../serve/health.ts'
import { createMetrics, type Metrics } from '../serve/metrics.ts'
import type { ServePorts } from '../serve/serve-ports.ts'
import { openStateDirectory, type StateDirectory } from './controller-files.ts'
import { certificateNames, publicNames, type ControllerOptions } from './controller-options.ts'
import { createReadiness } from './controller-readiness.ts'
import { openStore, type StoreChoice } from './controller-store.ts'

/** A controller's parts, wired to their drivers and not yet started. */
export interface Parts {
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

export async function openParts(options: ControllerOptions, undo: (() => Promise<void>)[]): Promise<Parts> {
  const { log } = options
  const clock = createSlewingClock(createSystemClock())
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
  if (choice.kind === 'sqlite') await (choice.named === true ? forgetMoved(store) : refuseMoved(store))
  if (migrated.from !== migrated.to) log.info('the schema was brought up to date', { ...migrated })
  const signer = createSigner({ keyFile: state.journalKey, random })
  const box = createSecretBox({ keyFile: state.secretsKey, random })
  const blobs = await createFolderBlobs({ directory: options.blobsDir ?? state.blobs })
  const others = choice.kind === 'postgres'
  if (others) {
    await requireSameKeys(store, { journal: signer.publicKey, secrets: box.keyId })
    await requireSameBlobs({ store, blobs }, timers)
  }
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
      blobs,
      parseSpec: (source) => readSpecFile(source, 'the stored spec'),
    },
    { holder: instance, alone: !others, passed: numbers.passed, sealed: numbers.sealed, synced: metrics.synced },
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
    box,
    append: core.append,
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
    readiness: createReadiness({ store, clock, timers, instance, loop: core.loop.status }),
  }
}

/** On loopback nothing leaves the machine; everywhere else there is TLS, by our own CA unless the operator brings a certificate. */
async function openCertificates(options: ControllerOptions, state: StateDirectory, ports: ServePorts): Promise<Certificates | null> {
  if (options.tls !== undefined && options.tls !== null) return openGivenCertificate(options.tls)
  if (isLoopback(options.listen.host) || options.insecureHttp === true) return null
  const more = [...(options.names ?? []), ...publicNames(options.publicUrl ?? null)]
  return openOwnCa({ directory: state.tls, names: certificateNames(options.listen, more), clock: ports.clock, log: ports.log })
}
