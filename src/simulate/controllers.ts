import { createControllerCore, type ControllerCore } from '../loop/controller/core.ts'
import { decisionRules } from '../loop/controller/rules.ts'
import { CideryError } from '../model/errors.ts'
import type { Milliseconds } from '../model/instant.ts'
import type { Spec } from '../model/spec.ts'
import type { Blobs } from '../ports/blobs.ts'
import type { Decider } from '../ports/decider.ts'
import type { Log } from '../ports/log.ts'
import type { SecretBox, Signer } from '../ports/secrets.ts'
import type { Clock } from '../ports/time.ts'
import type { Tell } from './happening.ts'
import { mortalTimers, newLife, type Life } from './life.ts'
import { namedRandom, seededIds } from './random.ts'
import type { SharedStore } from './shared-store.ts'
import { localClock, type LocalClock, type VirtualTime } from './virtual-time.ts'

/** A controller that serves now. */
export interface Serving {
  readonly core: ControllerCore
  readonly life: Life
}

/** One controller of the fleet: a process that may die and comes back. */
export interface SimulatedController {
  readonly name: string
  readonly clock: LocalClock
  serving(): Serving | null
  /** The process that runs now, serving or not yet; null: none does. */
  life(): Life | null
  start(): void
  /** Once: the next death of its process is followed by a start after so long. */
  comesBackAfter(ms: Milliseconds): void
  /** Answers a request; rejects UNREACHABLE when it is not there or dies over it. */
  ask<T>(work: (core: ControllerCore) => Promise<T>): Promise<T>
}

export type Rules = ReturnType<typeof decisionRules>

export interface ControllerSurroundings {
  readonly name: string
  readonly seed: number
  readonly time: VirtualTime
  readonly store: SharedStore
  readonly blobs: Blobs
  readonly log: Log
  readonly alone: boolean
  readonly lookEveryMs: Milliseconds | undefined
  readonly tell: Tell
  /** Told that an id stands for this controller. */
  readonly named: (id: string, name: string) => void
  readonly parseSpec: (source: string) => Spec
  readonly newDecider: (rules: Rules) => Decider
  readonly newClock: (clock: Clock) => Clock
  /** Changes the rules on their way to the decider; for mutants. */
  readonly alterRules?: (rules: Rules) => Rules
}

/** The service manager starts what ended by itself after so long. */
const usualRestart: Milliseconds = 5000

export const simulatedSigner: Signer = { publicKey: 'simulated', sign: (text) => `signed ${text.length}`, verify: () => true }

/** Keeps secrets unreadable in rows and events, so that a plain one that is found there was put there. */
export const simulatedBox: SecretBox = {
  keyId: 'simulated',
  seal: (plain, context) => Buffer.from(JSON.stringify([context, plain])).toString('hex'),
  open(sealed, context) {
    const [bound, plain] = JSON.parse(Buffer.from(sealed, 'hex').toString()) as [string, string]
    if (bound !== context) throw new CideryError('INTERNAL', 'the secret was sealed for another place')
    return plain
  },
}

/** Warnings that belong into the journal of a run: what a controller learns and nothing else shows. */
const spoken: Readonly<Record<string, (facts: Record<string, unknown>) => string>> = {
  'this controller does not lead any more': () => 'learns that it does not lead any more',
  'a second agent speaks for a host': ({ hostId }) => `turns a second agent of ${String(hostId)} away: the first one is on the line`,
}

function outspoken({ name, log, tell }: ControllerSurroundings): Log {
  return {
    ...log,
    warn(message, facts) {
      log.warn(message, facts)
      const words = spoken[message]
      if (words !== undefined) tell({ kind: 'told', who: name, what: words({ ...facts }) })
    },
  }
}

export function simulatedController(around: ControllerSurroundings): SimulatedController {
  const { name, time, tell } = around
  const log = outspoken(around)
  const machineClock = localClock(time.clock)
  let starts = 0
  let process: Life | null = null
  let serving: Serving | null = null
  let restartAfter = usualRestart

  function start(): void {
    if (process !== null) return
    starts += 1
    const life = newLife()
    process = life
    tell({ kind: 'told', who: name, what: 'starts' })
    void life.died.then(() => ended(life))
    run(life).catch((error: unknown) => {
      if (!life.alive) return
      log.warn('a controller could not start', { error })
      life.end()
    })
  }

  function ended(life: Life): void {
    if (process !== life) return
    process = null
    serving = null
    tell({ kind: 'told', who: name, what: 'dies' })
    time.timers.after(restartAfter, start)
    restartAfter = usualRestart
  }

  async function run(life: Life): Promise<void> {
    const timers = mortalTimers(time.timers, life)
    const clock = around.newClock(machineClock)
    const random = namedRandom(around.seed, `${name}/${starts}`)
    const ids = seededIds(random, clock)
    const rules = decisionRules((fault) => tell({ kind: 'planFault', problem: fault.problem }))
    const decider = around.newDecider(around.alterRules?.(rules) ?? rules)
    const holder = ids.next('ctl')
    around.named(holder, name)
    const core = await createControllerCore(
      {
        store: around.store.connect(life, name),
        blobs: around.blobs,
        decider,
        clock,
        timers,
        ids,
        log,
        signer: simulatedSigner,
        parseSpec: around.parseSpec,
      },
      { holder, alone: around.alone, ...(around.lookEveryMs === undefined ? {} : { atLeastEvery: around.lookEveryMs }) },
    )
    await core.start()
    if (life.alive) serving = { core, life }
  }

  async function ask<T>(work: (core: ControllerCore) => Promise<T>): Promise<T> {
    const now = serving
    if (now === null) throw new CideryError('UNREACHABLE', `${name} does not answer`)
    const { core, life } = now
    const frozen = life.running()
    if (frozen !== null) await Promise.race([frozen, life.died])
    const goneAway = (): CideryError => new CideryError('UNREACHABLE', `${name} went away`)
    if (!life.alive) throw goneAway()
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    const stopListening = life.onEnd(() => reject(goneAway()))
    // What a dead process answers nobody hears.
    work(core)
      .then((value) => (life.alive ? resolve(value) : undefined), reject)
      .finally(stopListening)
    return promise
  }

  return {
    name,
    clock: machineClock,
    start,
    ask,
    serving: () => (serving?.life.alive === true ? serving : null),
    life: () => process,
    comesBackAfter(ms) {
      restartAfter = ms
    },
  }
}
