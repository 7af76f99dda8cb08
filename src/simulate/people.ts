import type { ControllerCore } from '../loop/controller/core.ts'
import { CideryError } from '../model/errors.ts'
import type { Event } from '../model/event.ts'
import { minute, second } from '../model/instant.ts'
import { JobSpec } from '../model/job.ts'
import { limitsFor } from '../model/operation-limits.ts'
import type { OperationRequest } from '../model/operation.ts'
import type { Spec } from '../model/spec.ts'
import type { Ids } from '../ports/random.ts'
import { cancelJob } from '../record/cancel.ts'
import type { RecordTx } from '../record/commit.ts'
import { cordonHost, drainHost, readHost, uncordonHost } from '../record/hosts.ts'
import { findJob, submitJob } from '../record/jobs.ts'
import { createOperation } from '../record/operations.ts'
import { applySpec, readSpec } from '../record/specs.ts'
import type { SimulatedController } from './controllers.ts'
import type { Tell } from './happening.ts'
import { simulatedWords, type CommandWords } from './programs.ts'
import type { VirtualTime } from './virtual-time.ts'

/** A job as somebody submits it. */
export interface SubmittedJob extends CommandWords {
  readonly key: string
  readonly queue: string
  readonly engine?: JobSpec['engine']
  readonly image?: string | undefined
  readonly labels: JobSpec['labels']
  readonly shape: JobSpec['shape']
  readonly priority: number
  readonly timeoutS?: number | undefined
}

export type OperatorAction = 'restartAgent' | 'reboot' | 'probe' | 'clean'
export type SpecEdit = 'narrow' | 'strict' | 'lost'

/** Those who submit jobs and those who operate the fleet. What they ask for they ask again until it is answered or refused. */
export interface People {
  submit(job: SubmittedJob): void
  cancel(key: string): void
  cordon(host: string): void
  uncordon(host: string): void
  drain(host: string, deadlineMs: number | null): void
  operate(host: string, what: OperatorAction): void
  /** Runs a command on a host itself. */
  run(host: string, command: Pick<CommandWords, 'runsMs' | 'code' | 'logBytes'>): void
  editSpec(how: SpecEdit): void
  revertSpec(): void
  /** Ids of accepted jobs by their keys. */
  readonly accepted: ReadonlyMap<string, string>
  /** Requests that were not answered yet. */
  waiting(): number
}

export interface PeopleSurroundings {
  readonly time: VirtualTime
  readonly controllers: readonly SimulatedController[]
  readonly ids: Ids
  readonly tell: Tell
  readonly spec: Spec
  /** Told which job an id stands for. */
  readonly named: (id: string, name: string) => void
  /** Keeps an edited spec under the text that stands for it. */
  readonly keepSpec: (text: string, spec: Spec) => void
}

const askAgain = 5 * second

/** A change that somebody wants. */
interface Wish {
  /** The host, job or spec that it changes. */
  readonly of: string
  readonly what: string
  readonly event: Event['kind']
}

export function simulatedPeople(around: PeopleSurroundings): People {
  const { time, controllers, ids, tell } = around
  const accepted = new Map<string, string>()
  /** The last change of each thing that was not answered yet. */
  const open = new Map<string, Promise<void>>()
  let waiting = 0
  let asked = 0

  /** Asks any controller until one answers; null when it was refused. */
  async function insist<T>(work: (core: ControllerCore) => Promise<T>): Promise<T | null> {
    waiting += 1
    try {
      for (;;) {
        asked += 1
        const controller = controllers[asked % controllers.length]
        try {
          if (controller !== undefined) return await controller.ask(work)
        } catch (error) {
          if (error instanceof CideryError && error.retry === 'never') return null
        }
        await time.timers.sleep(askAgain)
      }
    } finally {
      waiting -= 1
    }
  }

  /** A change that somebody makes, and what the audit must say of it. Who changes one thing twice waits for the first answer before he asks again. */
  function change({ of, what, event }: Wish, work: (tx: RecordTx, core: ControllerCore) => Promise<unknown>): void {
    const actor = `user:operator-${(asked += 1)}`
    async function ask(): Promise<void> {
      try {
        const done = await insist((core) => core.services.recorder.write({ actor, origin: '127.0.0.1' }, (tx) => work(tx, core)))
        if (done !== null) tell({ kind: 'answered', actor, what, event })
      } catch (error) {
        tell({ kind: 'told', who: 'people', what: `${what}: ${String(error)}` })
      }
    }
    const before = open.get(of)
    const turn = before === undefined ? ask() : before.then(ask)
    open.set(of, turn)
    void turn.then(() => (open.get(of) === turn ? open.delete(of) : undefined))
  }

  async function submit(job: SubmittedJob): Promise<void> {
    const { key, queue, engine, image, labels, shape, priority, timeoutS } = job
    const parsed = JobSpec.parse({
      queue,
      labels,
      shape,
      priority,
      command: simulatedWords(job),
      secrets: job.secret ? ['TOKEN'] : [],
      ...(engine === undefined ? {} : { engine }),
      ...(image === undefined ? {} : { image }),
      ...(timeoutS === undefined ? {} : { timeoutS }),
    })
    const id = ids.next('job')
    around.named(id, key)
    const answered = await insist(async (core) => {
      const spec = core.services.spec()
      const resolved = core.services.judgement.resolveJob(spec, parsed)
      const maxQueued = spec.queues[queue]?.maxQueued ?? 0
      await core.services.recorder.write({ actor: 'user:client', origin: '127.0.0.1' }, async (tx) => {
        // As with an idempotency key: what was accepted before and not answered is not made again.
        if ((await findJob(tx.db, id)) === null) await submitJob(tx, { id, resolved, maxQueued })
      })
      return id
    })
    if (answered === null) return
    accepted.set(key, id)
    tell({ kind: 'accepted', job: id, key })
  }

  function applied(name: string, spec: Spec): void {
    around.keepSpec(name, spec)
    change({ of: 'spec', what: `the spec ${name}`, event: 'spec.applied' }, async (tx) => {
      const generation = (await readSpec(tx.db)).generation + 1
      await applySpec(tx.db, { generation, source: name, appliedAt: tx.now, appliedBy: tx.author.actor })
      tx.note('spec.applied', 'spec', { data: { generation } })
      return generation
    })
  }

  function operate(host: string, request: OperationRequest): void {
    change({ of: host, what: `${request.kind} of ${host}`, event: 'operation.requested' }, async (tx, core) => {
      const limits = limitsFor(core.services.spec(), request.kind, {})
      const id = core.services.ids.next('op')
      return createOperation(tx, { id, host: await readHost(tx.db, host), request, limits, queueIfLost: false, silentMs: null })
    })
  }

  return {
    accepted,
    waiting: () => waiting,
    submit: (job) => void submit(job),
    cancel(key) {
      const id = accepted.get(key)
      if (id !== undefined) change({ of: key, what: `cancel of ${key}`, event: 'job.cancelRequested' }, (tx) => cancelJob(tx, id))
    },
    cordon: (host) =>
      change({ of: host, what: `cordon of ${host}`, event: 'host.cordoned' }, (tx) => cordonHost(tx, { host, ifMatch: null }, 'simulated')),
    uncordon: (host) =>
      change({ of: host, what: `uncordon of ${host}`, event: 'host.uncordoned' }, (tx) => uncordonHost(tx, { host, ifMatch: null })),
    drain: (host, deadlineMs) =>
      change({ of: host, what: `drain of ${host}`, event: 'host.draining' }, (tx) =>
        drainHost(tx, { host, ifMatch: null }, { reason: 'simulated', deadlineMs }),
      ),
    operate: (host, what) => operate(host, what === 'restartAgent' ? { kind: what, drain: false } : { kind: what }),
    run: (host, command) => operate(host, { kind: 'exec', command: simulatedWords({ ...command, stubborn: false, secret: false }) }),
    editSpec: (how) => applied(how, edits[how](around.spec)),
    revertSpec: () => applied('as before', around.spec),
  }
}

const edits: Readonly<Record<SpecEdit, (spec: Spec) => Spec>> = {
  narrow: (spec) =>
    eachPool(spec, (pool) => ({ ...pool, engines: { ...pool.engines, tart: { limits: 'enforced', networks: ['nat'], slots: 1 } } })),
  strict: (spec) =>
    eachPool(spec, (pool) => ({
      ...pool,
      readiness: { checkInterval: minute, checkMaxAge: 3 * minute, bootProofMaxAge: 60 * minute },
    })),
  lost: (spec) => ({ ...spec, limits: { ...spec.limits, missedSyncs: 2 } }),
}

function eachPool(spec: Spec, edit: (pool: Spec['pools'][string]) => Spec['pools'][string]): Spec {
  return { ...spec, pools: Object.fromEntries(Object.entries(spec.pools).map(([name, pool]) => [name, edit(pool)])) }
}
