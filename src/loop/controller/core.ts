import { classKey } from '../../decide/advance-world.ts'
import { labelsOf, poolNameOf } from '../../decide/pools.ts'
import { resolveJob } from '../../decide/resolve-job.ts'
import { leaseEnd } from '../../decide/sandboxes.ts'
import { CideryError } from '../../model/errors.ts'
import type { SealedEvent } from '../../model/event.ts'
import { hour, second, type Milliseconds } from '../../model/instant.ts'
import type { Job } from '../../model/job.ts'
import type { Spec } from '../../model/spec.ts'
import type { Blobs } from '../../ports/blobs.ts'
import type { Decider } from '../../ports/decider.ts'
import type { Log } from '../../ports/log.ts'
import type { Ids } from '../../ports/random.ts'
import type { Signer } from '../../ports/secrets.ts'
import type { Store } from '../../ports/store.ts'
import type { Clock, Timers } from '../../ports/time.ts'
import { createRecorder, system, type Recorder } from '../../record/commit.ts'
import { desireOfAllHosts } from '../../record/hosts.ts'
import { requireEpoch } from '../../record/lead.ts'
import { removeOld } from '../../record/retention.ts'
import { markEvery, renewBlobMark } from '../../record/shared-state.ts'
import { readSpec, readSpecGeneration } from '../../record/specs.ts'
import type { SyncHandler } from '../../serve/agent.ts'
import { createLogHub, type LogHub } from '../../serve/log-hub.ts'
import type { LogServices } from '../../serve/logs.ts'
import { createStreamBroker, type StreamBroker } from '../../serve/streams.ts'
import { createControllerLoop, type ControllerLoop, type PassReport } from '../controller.ts'
import { startChore, type Chore } from './every.ts'
import { createJournalKeeper, type JournalKeeper } from './journal.ts'
import { createLastSeen, type LastSeen } from './last-seen.ts'
import { createLead, type Lead } from './lead.ts'
import { retentionFor, settingsFor } from './settings.ts'
import { createSyncHandler } from './sync.ts'

export interface CorePorts {
  readonly store: Store
  readonly blobs: Blobs
  readonly decider: Decider
  readonly clock: Clock
  readonly timers: Timers
  readonly ids: Ids
  readonly log: Log
  readonly signer: Signer
  /** Reads the source of a spec that was accepted before. */
  readonly parseSpec: (source: string) => Spec
}

export interface CoreOptions {
  /** Id of this run (`ctl_…`). */
  readonly holder: string
  /** The state directory is locked by this process. */
  readonly alone: boolean
  readonly passed?: (pass: PassReport) => void
  readonly sealed?: (events: readonly SealedEvent[]) => void
  readonly synced?: (sync: { readonly parked: boolean }) => void
  /** Longest time between two passes. */
  readonly atLeastEvery?: Milliseconds
}

/** The controller without its HTTP side: what is recorded, decided and done, on ports alone. */
export interface ControllerCore {
  readonly recorder: Recorder
  readonly services: LogServices
  readonly sync: SyncHandler
  readonly streams: StreamBroker
  readonly loop: ControllerLoop
  readonly lead: Lead
  readonly lastSeen: LastSeen
  readonly specGeneration: () => number
  /** Puts events into the journal, in a transaction that is none of the recorder's. */
  readonly append: JournalKeeper['append']
  start(): Promise<void>
  /** Ends what is under way, writes what is held in memory, gives up the lead. */
  stop(): Promise<void>
}

const flushEvery: Milliseconds = 10 * second
const shareEvery: Milliseconds = second
const retentionEvery: Milliseconds = hour

interface CurrentSpec {
  readonly generation: number
  readonly spec: Spec
}

export async function createControllerCore(ports: CorePorts, options: CoreOptions): Promise<ControllerCore> {
  const { store, clock, timers, log } = ports
  const journal = await createJournalKeeper({
    store,
    clock,
    timers,
    log,
    signer: ports.signer,
    alone: options.alone,
    lead: () => lead,
    ...(options.sealed === undefined ? {} : { sealed: options.sealed }),
  })
  const recorder = createRecorder({ store, clock, append: journal.append })
  const lastSeen = createLastSeen({ recorder, store, clock })
  const logs: LogHub = createLogHub(timers)
  const streams = createStreamBroker(timers)
  let current: CurrentSpec = await loadSpec()
  /** No spec is put into force without an event: after none there is no other one. */
  let isSpecSure = false
  journal.onAppended(() => (isSpecSure = false))
  let chores: readonly { stop(): Promise<void> }[] = []

  async function loadSpec(): Promise<CurrentSpec> {
    const { generation, source } = await store.read(readSpec)
    return { generation, spec: ports.parseSpec(source) }
  }

  async function currentSpec(): Promise<CurrentSpec> {
    // Word of other controllers may get lost.
    if (isSpecSure && options.alone) return current
    // Before the look: what is committed meanwhile is looked at next time.
    isSpecSure = true
    try {
      if ((await store.read(readSpecGeneration)) !== current.generation) current = await loadSpec()
    } catch (error) {
      isSpecSure = false
      throw error
    }
    return current
  }

  const lead = createLead({
    store,
    clock,
    log,
    holder: options.holder,
    alone: options.alone,
    taken: async (epoch) => {
      await recorder.write(system, async (tx) => tx.note('controller.led', 'controller', { data: { epoch, holder: options.holder } }))
      sync.wakeAll()
    },
  })

  const sync = createSyncHandler({
    recorder,
    clock,
    timers,
    log,
    lastSeen,
    alone: options.alone,
    // Nobody else can have taken the lead of a locked state directory.
    epoch: (ofLead) => (options.alone ? lead.epoch() : (ofLead ?? lead.epoch())),
    spec: () => current.spec,
    settings: ({ host, rows, promoted }) => settingsFor(current.spec, host, { holds: rows.images?.holds ?? [], promoted }),
    retention: () => retentionFor(current.spec),
    checkpoint: journal.checkpoint,
    ...(options.synced === undefined ? {} : { synced: options.synced }),
  })

  const loop = createControllerLoop({
    recorder,
    clock,
    timers,
    log,
    lead,
    lastSeen,
    decider: ports.decider,
    ids: ports.ids,
    readSpec: currentSpec,
    specChanged: () => recorder.write(system, desireOfAllHosts),
    ...(options.passed === undefined ? {} : { passed: options.passed }),
    ...(options.atLeastEvery === undefined ? {} : { atLeastEvery: options.atLeastEvery }),
  })

  async function keepWithinRetention(): Promise<void> {
    if (!lead.leads()) return
    const epoch = lead.epoch()
    const { limits } = current.spec
    const now = clock.now()
    const removed = await removeOld(
      {
        recorder,
        blobs: ports.blobs,
        now,
        write: (work) =>
          recorder.write(system, async (tx) => {
            await requireEpoch(tx.db, epoch)
            return work(tx)
          }),
      },
      limits,
    )
    const events = await journal.cut(epoch, now - limits.journalRetention)
    log.info('old records were removed', { ...removed, events })
  }

  async function markBlobs(): Promise<void> {
    if (!lead.leads()) return
    const epoch = lead.epoch()
    await renewBlobMark({ store, blobs: ports.blobs }, { mark: ports.ids.next('ctl'), guard: (tx) => requireEpoch(tx, epoch) })
  }

  /** What only matters where other controllers may be. */
  const sharedChores: readonly Chore[] = [
    { name: 'telling other controllers of hosts', every: shareEvery, run: lastSeen.share },
    { name: 'marking the blob store', every: markEvery, run: markBlobs },
  ]
  const plannedChores: readonly Chore[] = [
    { name: 'writing when hosts were last seen', every: flushEvery, run: lastSeen.flushDue },
    ...(options.alone ? [] : sharedChores),
    { name: 'removing old records', every: retentionEvery, run: keepWithinRetention },
  ]

  const services: LogServices = {
    recorder,
    clock,
    timers,
    log,
    logs,
    blobs: ports.blobs,
    ids: ports.ids,
    spec: () => current.spec,
    plan: loop.plan,
    lastSeen: lastSeen.get,
    judgement: {
      resolveJob,
      classOf: classOfJob,
      poolOf: poolNameOf,
      labelsOf,
      leaseEnd: (sandbox) => leaseEnd(sandbox).at,
      // Before the first pass there is no world to look at.
      explain: async (subject, now) => (loop.status().passes === 0 ? [] : ports.decider.explain(subject, now)),
      imageStates: async (now) => (loop.status().passes === 0 ? [] : ports.decider.imageStates(now)),
    },
  }

  return {
    recorder,
    services,
    sync,
    streams,
    loop,
    lead,
    lastSeen,
    specGeneration: () => current.generation,
    append: journal.append,
    async start() {
      await lead.hold()
      // At once: another controller may start any moment, and looks for it.
      if (!options.alone) await markBlobs()
      loop.start()
      journal.start()
      chores = plannedChores.map((chore) => startChore(chore, { timers, log }))
    },
    async stop() {
      sync.close()
      streams.close()
      await loop.stop()
      await Promise.all(chores.map((chore) => chore.stop()))
      await journal.stop()
      lastSeen.close()
      recorder.close()
      await lastSeen.flush()
      try {
        await journal.seal()
        await lead.release()
      } catch (error) {
        // Another controller leads already: it seals what this one appended.
        if (!(error instanceof CideryError && error.code === 'STALE_EPOCH')) throw error
      }
    },
  }
}

function classOfJob(job: Job): string {
  const { resolved } = job
  return classKey({
    queue: job.queue,
    engine: resolved.engine,
    image: resolved.image,
    labels: resolved.spec.labels,
    shape: resolved.shape,
    network: resolved.network,
    priority: resolved.spec.priority,
  })
}
