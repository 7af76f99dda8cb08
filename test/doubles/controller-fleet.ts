import { createInlineDecider } from '../../src/drivers/deciders/inline-decider.ts'
import { createSqliteStore } from '../../src/drivers/stores/sqlite/sqlite-store.ts'
import { createControllerCore, type CoreOptions, type ControllerCore } from '../../src/loop/controller/core.ts'
import { decisionRules } from '../../src/loop/controller/rules.ts'
import { CideryError } from '../../src/model/errors.ts'
import type { HostId, JobId } from '../../src/model/id.ts'
import { JobSpec, type Job } from '../../src/model/job.ts'
import { Spec } from '../../src/model/spec.ts'
import type { ControllerLink } from '../../src/ports/agent.ts'
import type { Blobs } from '../../src/ports/blobs.ts'
import type { Signer } from '../../src/ports/secrets.ts'
import type { MigratableStore } from '../../src/ports/store.ts'
import { recordLog, attemptsOfJobs } from '../../src/record/attempts.ts'
import { cancelJob } from '../../src/record/cancel.ts'
import { system } from '../../src/record/commit.ts'
import { readHost } from '../../src/record/hosts.ts'
import { readJob, submitJob } from '../../src/record/jobs.ts'
import { migrate } from '../../src/record/migrate.ts'
import { hostDoc } from '../../src/record/rows.ts'
import { logName } from '../../src/serve/logs.ts'
import { memoryBlobs } from '../../src/simulate/blobs.ts'
import { seededIds, seededRandom } from '../../src/simulate/random.ts'
import { recordingLog } from './recording-log.ts'
import { simulatedAgent, type SimulatedAgent, type SimulatedAgentOptions } from './simulated-agent.ts'
import { virtualTime, type VirtualTime } from './virtual-time.ts'

export interface FleetOptions {
  readonly synced?: CoreOptions['synced']
  /** Another controller may live on the same store; default: none does. */
  readonly others?: boolean
  readonly spec?: Record<string, unknown>
  readonly seed?: number
  readonly time?: VirtualTime
  /** A store that outlives the controller; default: SQLite in memory. */
  readonly store?: MigratableStore
  readonly blobs?: Blobs
  readonly free?: () => number
  /** Where agents find their controller; a later one takes the place of one that died. */
  readonly board?: Board
}

export interface Board {
  core: ControllerCore | null
}

/** A controller on ports alone, in virtual time, with simulated agents linked to it directly. */
export interface Fleet {
  readonly time: VirtualTime
  readonly core: ControllerCore
  readonly store: MigratableStore
  readonly blobs: Blobs
  readonly log: ReturnType<typeof recordingLog>
  readonly faults: readonly string[]
  readonly board: Board
  enrol(name: string): Promise<HostId>
  agent(name: string, options?: Partial<SimulatedAgentOptions>): Promise<SimulatedAgent>
  link(hostId: HostId): Pick<ControllerLink, 'sync' | 'appendLog' | 'finishLog'>
  submit(spec?: Record<string, unknown>): Promise<Job>
  cancel(id: string): Promise<Job>
  job(id: string): Promise<Job>
  attempts(id: string): ReturnType<typeof attemptsOf>
  host(name: string): ReturnType<typeof readHost>
  /** Advances virtual time until a job has ended. */
  ended(id: string, limitMs?: number): Promise<Job>
  until(condition: () => Promise<boolean>, limitMs?: number): Promise<void>
  events(): Promise<readonly { readonly kind: string; readonly subject: string }[]>
  /** The process dies: nothing that was only in memory survives. The store and the blobs do. */
  crash(): Promise<void>
  stop(): Promise<void>
}

const signer: Signer = { publicKey: 'test', sign: (text) => `signed ${text.length}`, verify: () => true }

function asJson<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T
}

async function attemptsOf(core: ControllerCore, id: string) {
  return core.recorder.read(async (db) => (await attemptsOfJobs(db, [id])).get(id) ?? [])
}

export async function startFleet(options: FleetOptions = {}): Promise<Fleet> {
  const time = options.time ?? virtualTime({ turns: 3 })
  const { clock, timers } = time
  const log = recordingLog()
  const store = options.store ?? (await createSqliteStore({ path: ':memory:', clock, timers }))
  await migrate(store, { clock })
  const blobs = options.blobs ?? memoryBlobs({ now: clock.now, ...(options.free === undefined ? {} : { free: options.free }) })
  const ids = seededIds(seededRandom((options.seed ?? 1) + Math.floor(time.elapsed())), clock)
  const spec = Spec.parse({ version: 1, ...options.spec })
  const faults: string[] = []
  const names = new Map<HostId, string>()
  const decider = createInlineDecider(decisionRules((fault) => void faults.push(fault.problem)))
  const core = await createControllerCore(
    { store, blobs, decider, clock, timers, ids, log, signer, parseSpec: () => spec },
    { holder: ids.next('ctl'), alone: options.others !== true, ...(options.synced === undefined ? {} : { synced: options.synced }) },
  )
  const board: Board = options.board ?? { core: null }
  board.core = core
  await core.start()

  function reached(): ControllerCore {
    if (board.core === null) throw new CideryError('UNREACHABLE', 'the controller does not answer')
    return board.core
  }

  function link(hostId: HostId): Pick<ControllerLink, 'sync' | 'appendLog' | 'finishLog'> {
    return {
      // What travels is JSON: nothing is shared with the controller.
      sync: async (request, signal) =>
        asJson(
          await reached().sync.handle({ hostId, hostName: names.get(hostId) ?? hostId, origin: '127.0.0.1', signal }, asJson(request)),
        ),
      async appendLog(attemptId, offset, bytes) {
        reached()
        const length = await blobs.append(logName(attemptId), offset, bytes)
        reached().services.logs.grew(attemptId)
        return length
      },
      async finishLog(attemptId, length) {
        await reached().recorder.write(system, (tx) => recordLog(tx, attemptId, { bytes: length, complete: true }))
        reached().services.logs.grew(attemptId)
      },
    }
  }

  async function enrol(name: string): Promise<HostId> {
    const id = ids.next('host')
    names.set(id, name)
    await store.write((db) =>
      db
        .insertInto('hosts')
        .values({
          id,
          name,
          pool: 'default',
          state: 'enrolled',
          generation: 1,
          desired_generation: 1,
          last_seen_at: null,
          boot_id: null,
          key_hash: null,
          next_key_hash: null,
          enrolled_at: clock.now(),
          doc: hostDoc({ labels: {}, schedulable: { kind: 'open' }, facts: null, failureStreak: 0, repairedAt: null }),
        })
        .execute(),
    )
    await core.recorder.touch('host', [id])
    return id
  }

  async function until(condition: () => Promise<boolean>, limitMs = 60_000): Promise<void> {
    const end = time.elapsed() + limitMs
    for (;;) {
      await time.settle()
      if (await condition()) return
      if (time.elapsed() >= end) throw new Error(`not so within ${limitMs} ms of virtual time: ${condition.toString()}`)
      // Long waits are looked at in longer steps: each look costs real time.
      await time.advance(Math.min(Math.max(100, limitMs / 300), end - time.elapsed()))
    }
  }

  const job = (id: string): Promise<Job> => core.recorder.read((db) => readJob(db, id))

  return {
    time,
    core,
    store,
    blobs,
    log,
    faults,
    board,
    enrol,
    link,
    job,
    until,
    async agent(name, agentOptions = {}) {
      const known = await core.recorder.read((db) =>
        db.selectFrom('hosts').select('id').where('name', '=', name).orderBy('id').executeTakeFirst(),
      )
      const hostId = (known?.id as HostId | undefined) ?? (await enrol(name))
      names.set(hostId, name)
      const agent = simulatedAgent({ clock, timers, name, link: link(hostId), ...agentOptions })
      agent.start()
      return agent
    },
    async submit(spec = {}) {
      const resolved = core.services.judgement.resolveJob(core.services.spec(), JobSpec.parse({ command: ['true'], ...spec }))
      const id: JobId = ids.next('job')
      const maxQueued = core.services.spec().queues[resolved.spec.queue]?.maxQueued ?? 0
      return core.recorder.write({ actor: 'user:test', origin: '127.0.0.1' }, (tx) => submitJob(tx, { id, resolved, maxQueued }))
    },
    cancel: (id) => core.recorder.write({ actor: 'user:test', origin: '127.0.0.1' }, (tx) => cancelJob(tx, id)),
    attempts: (id) => attemptsOf(core, id),
    host: (name) => core.recorder.read((db) => readHost(db, name)),
    async ended(id, limitMs) {
      await until(async () => (await job(id)).state === 'ended', limitMs)
      return job(id)
    },
    events: () => store.read((db) => db.selectFrom('events').select(['kind', 'subject']).orderBy('epoch').orderBy('seq').execute()),
    async crash() {
      board.core = null
      core.sync.close()
      const stopping = core.loop.stop()
      await time.settle()
      await stopping
    },
    async stop() {
      const stopping = core.stop()
      // Awaited below, after virtual time has moved.
      stopping.catch(() => undefined)
      for (let turn = 0; turn < 50; turn += 1) await time.advance(20)
      await stopping
      if (options.store === undefined) await store.close()
    },
  }
}
