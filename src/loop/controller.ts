import { carryOut, type CarriedOut } from '../act/carry-out.ts'
import { emptyWorld } from '../decide/advance-world.ts'
import { CideryError } from '../model/errors.ts'
import { second, type Instant, type Milliseconds } from '../model/instant.ts'
import type { Plan } from '../model/plan.ts'
import type { Spec } from '../model/spec.ts'
import type { Decider } from '../ports/decider.ts'
import type { Log } from '../ports/log.ts'
import type { Ids } from '../ports/random.ts'
import type { Clock, Timers } from '../ports/time.ts'
import type { Recorder } from '../record/commit.ts'
import { createChangeFeed } from './controller/changes.ts'
import { leaderEffects } from './controller/effects.ts'
import type { LastSeen } from './controller/last-seen.ts'
import type { Lead } from './controller/lead.ts'
import { createWakeUp } from './wake-up.ts'

export interface ControllerLoopOptions {
  readonly recorder: Recorder
  readonly decider: Decider
  readonly clock: Clock
  readonly timers: Timers
  readonly ids: Ids
  readonly log: Log
  readonly lastSeen: LastSeen
  readonly lead: Lead
  /** The spec in force, read again when another was applied. */
  readonly readSpec: () => Promise<{ readonly generation: number; readonly spec: Spec }>
  /** Told when another spec came into force; not of the first one: every host asks anew under a new epoch. */
  readonly specChanged: (spec: Spec) => Promise<void>
  /** Told of each pass, for metrics and views. */
  readonly passed?: (pass: PassReport) => void
  /** Longest time between two passes. */
  readonly atLeastEvery?: Milliseconds
}

export interface PassReport {
  readonly at: Instant
  readonly ms: Milliseconds
  readonly leads: boolean
  readonly plan: Plan
  readonly carried: CarriedOut
}

export interface LoopStatus {
  readonly lastPassAt: Instant | null
  readonly lastPassMs: Milliseconds | null
  readonly passes: number
  readonly failures: number
  readonly staleSteps: number
  /** Why the last pass failed; null after one that did not. */
  readonly problem: string | null
}

export interface ControllerLoop {
  start(): void
  /** Look now: something may have changed. */
  wake(): void
  status(): LoopStatus
  plan(): Plan
  /** Ends after the pass that is under way. */
  stop(): Promise<void>
}

/** Which spec the decider has, and under which epoch it got its world; null: while another controller led. */
interface SpecAt {
  readonly epoch: number | null
  readonly generation: number
}

const emptyPlan: Plan = { steps: [], waiting: [], nextAt: null }
const nothingDone: CarriedOut = { done: 0, stale: 0, failed: 0 }
/** Commits that come together are looked at together. */
const gather: Milliseconds = 5
const longestBackOff = 10 * second
/** A step that fails is due again at once. The other steps of the next plan must not wait for it for long. */
const longestStepBackOff = second

/**
 * Observe, decide, act, record, again and again: woken by commits, at the moment that the plan names, and every few seconds in any case. A controller
 * that follows observes and decides as well, so that it can say what the fleet waits for; it does not act.
 */
export function createControllerLoop(options: ControllerLoopOptions): ControllerLoop {
  const { recorder, decider, clock, log, lead } = options
  const atLeastEvery = options.atLeastEvery ?? 5 * second
  const wakeUp = createWakeUp(options.timers)
  const feed = createChangeFeed(recorder, options.lastSeen, wakeUp.wake)
  let status: LoopStatus = { lastPassAt: null, lastPassMs: null, passes: 0, failures: 0, staleSteps: 0, problem: null }
  let plan = emptyPlan
  let known: SpecAt | null = null
  let told: SpecAt | null = null
  let listening: { readonly epoch: number | null; readonly since: Instant } | null = null
  let stopped = false
  let running: Promise<void> = Promise.resolve()

  /** Brings the decider's world and spec up to what is committed; from nothing when this controller just took the lead. */
  async function observe(epoch: number | null): Promise<Spec> {
    const { generation, spec } = await options.readSpec()
    if (known?.epoch === epoch && feed.isWhole()) {
      if (known.generation !== generation) await decider.setSpec(spec)
      const changes = await feed.take()
      if (changes.length > 0) decider.advance(changes)
    } else await loadWorld(epoch, spec)
    known = { epoch, generation }
    // The first spec of an epoch is no news: every host asks anew under a new epoch.
    if (epoch !== null && told?.epoch === epoch && told.generation !== generation) await options.specChanged(spec)
    told = known
    return spec
  }

  async function loadWorld(epoch: number | null, spec: Spec): Promise<void> {
    // A pass that failed starts from the rows again, but this controller has listened all the while.
    if (listening?.epoch !== epoch) listening = { epoch, since: clock.now() }
    const all = await feed.all()
    await decider.reset(spec, emptyWorld(listening.since))
    decider.advance(all)
  }

  /** For ever, when this controller never heard of it. */
  function silentMs(hostId: string): Milliseconds {
    return clock.now() - (options.lastSeen.get(hostId) ?? Number.NEGATIVE_INFINITY)
  }

  /** Gives the number of steps that failed. */
  async function pass(): Promise<number> {
    const startedAt = clock.steady()
    const epoch = await lead.hold()
    const spec = await observe(epoch)
    plan = await decider.decide(clock.now())
    const carried =
      epoch === null
        ? nothingDone
        : await carryOut(plan, leaderEffects({ recorder, ids: options.ids, spec: () => spec, silentMs }, epoch), log)
    if (carried.failed > 0) await lead.check()
    const ms = clock.steady() - startedAt
    const at = clock.now()
    status = {
      ...status,
      lastPassAt: at,
      lastPassMs: ms,
      passes: status.passes + 1,
      staleSteps: status.staleSteps + carried.stale,
      problem: null,
    }
    options.passed?.({ at, ms, leads: epoch !== null, plan, carried })
    return carried.failed
  }

  async function run(): Promise<void> {
    let failuresInARow = 0
    let failedStepsInARow = 0
    for (;;) {
      if (stopped) return
      try {
        failedStepsInARow = (await pass()) > 0 ? failedStepsInARow + 1 : 0
        failuresInARow = 0
      } catch (error) {
        if (stopped) return
        failuresInARow += 1
        status = { ...status, failures: status.failures + 1, problem: error instanceof Error ? error.message : String(error) }
        // The world may have missed what the failed pass had taken: the next one starts from the rows.
        known = null
        if (!(error instanceof CideryError && error.code === 'STALE_EPOCH'))
          log.error('a pass of the loop failed', { error, failuresInARow })
      }
      if (failedStepsInARow > 0) await wakeUp.pause(Math.min(longestStepBackOff, 50 * 2 ** Math.min(10, failedStepsInARow)))
      await wait(failuresInARow)
    }
  }

  /** Until something may have changed, or the next pass is due. The lead is held meanwhile: that alone is no reason to look at everything. */
  async function wait(failuresInARow: number): Promise<void> {
    if (stopped) return
    if (failuresInARow > 0) return wakeUp.pause(Math.min(longestBackOff, lead.holdEvery(), 100 * 2 ** Math.min(10, failuresInARow)))
    // What is due and not done by those that follow would be due again at once.
    const untilNext = plan.nextAt === null || !lead.leads() ? atLeastEvery : Math.max(0, plan.nextAt - clock.now())
    const nextAt = clock.steady() + Math.min(atLeastEvery, untilNext)
    do {
      const isWoken = await wakeUp.wait(Math.min(nextAt - clock.steady(), lead.holdEvery()))
      if (stopped) return
      if (isWoken) return wakeUp.pause(gather)
    } while (clock.steady() < nextAt && (await holdsAsBefore()))
  }

  /** Renews the lead, or looks for it. False: it moved, or could not be held; the pass that follows sees to that. */
  async function holdsAsBefore(): Promise<boolean> {
    const before = lead.leads()
    try {
      await lead.hold()
    } catch {
      return false
    }
    return lead.leads() === before
  }

  return {
    start() {
      running = run()
    },
    wake: wakeUp.wake,
    status: () => status,
    plan: () => plan,
    async stop() {
      stopped = true
      feed.close()
      wakeUp.close()
      await running
    },
  }
}
