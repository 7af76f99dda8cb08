import type { Contact } from '../act/agent/attempt-record.ts'
import { messageOf } from '../act/agent/outcome.ts'
import { CideryError } from '../model/errors.ts'
import type { HostFacts } from '../model/host.ts'
import { minute, type Milliseconds } from '../model/instant.ts'
import type { SyncResponse } from '../model/sync.ts'
import { judgeHealth, type AgentHealth } from '../observe/agent/health.ts'
import type { VerdictPolicy } from '../observe/agent/verdict.ts'
import type { AgentPorts } from '../ports/agent.ts'
import { attemptBoard, type AttemptBoardOptions } from './agent/attempts.ts'
import { defaultAgentSettings } from './agent/default-settings.ts'
import { factsBoard } from './agent/facts.ts'
import { healthWatch } from './agent/health-watch.ts'
import { imageBoard } from './agent/images.ts'
import type { Keyring } from './agent/keyring.ts'
import { operationBoard } from './agent/operations.ts'
import { readinessBoard } from './agent/readiness.ts'
import { residueOf } from './agent/residue.ts'
import { sandboxBoard } from './agent/sandboxes.ts'
import { dropStrayRuns, sweepUnowned } from './agent/strays.ts'
import { streamBoard } from './agent/streams.ts'
import { syncLoop, type Reports, type SyncTiming } from './agent/sync.ts'
import { turnsOf } from './agent/turns.ts'
import { warmKeeper } from './agent/warm.ts'

export interface AgentLoopOptions {
  readonly agentVersion: string
  readonly bootId: string
  /** New at each start. */
  readonly instanceId: string
  readonly os: HostFacts['os']
  readonly keyring: Keyring
  /** Addresses of controllers, out of reach for jobs behind `nat`. */
  readonly blockedAddresses: readonly string[]
  /** Words that restart the machine; null: an operation that asks for it is refused. */
  readonly rebootCommand: readonly [string, ...string[]] | null
  readonly hostEnvironment: Readonly<Record<string, string>>
  /** Prove at start and again when due that sandboxes boot. */
  readonly bootProbes: boolean
  /** How often the machine is looked at when nothing asks for it; default: ten seconds. */
  readonly lookEveryMs?: Milliseconds | undefined
  /** This agent is a new release on trial. */
  readonly inTrial?: boolean
  /** When the local health endpoint changes its mind; null or left out: nobody can ask, so that nobody looks. */
  readonly healthPolicy?: VerdictPolicy | null
}

export type AgentEnd = 'stopped' | 'restart'

export interface AgentLoop {
  /** Resolves when the agent ended: told to stop, or asked by an operation to restart. Jobs go on under their supervisors. */
  readonly ended: Promise<AgentEnd>
  stop(): Promise<void>
  /** What the local health endpoint says: changes only after several looks in a row. */
  health(): AgentHealth
  /** Whether this host is in sync with a controller, for those who wait for it. */
  online(): boolean
}

/** One line of this much time is enough to show a cut. */
const checkpointEvery = 10 * minute

/**
 * Runs the agent over its host: observes it, takes in what the controller wants, carries that out, and reports. Takes up what an earlier agent
 * left in the journal first, and removes sandboxes that nobody owns.
 */
export async function startAgentLoop(ports: AgentPorts, options: AgentLoopOptions): Promise<AgentLoop> {
  const { clock, journal, log } = ports
  const { bootId, instanceId, os, blockedAddresses, keyring } = options
  const control = new AbortController()
  const stopping = control.signal
  let end: AgentEnd = 'stopped'
  let settings = defaultAgentSettings
  let seen = await journal.seen()
  let knowsDesired = false
  let clockSkewMs: number | null = null
  let lastContact = clock.steady()
  let checkpoint = 0
  let hostName = ''
  let nextCheckpointAt = 0
  let answering: Promise<void> = Promise.resolve()

  const seenAnew = (): void => {
    sync.wake()
    readiness.wake()
  }
  const changed = (): void => {
    seenAnew()
    turns.wake()
  }
  const residue = residueOf(ports, seenAnew)
  const around: AttemptBoardOptions = {
    ports,
    os,
    bootId,
    blockedAddresses,
    stopping,
    settings: () => settings,
    correctedNow: () => clock.now() - (clockSkewMs ?? 0),
    onChange: changed,
    roomToBoot: (engine, signal) => readiness.waitForRoom(engine, attempts.live(), signal),
    onBoot: (engine, image, proof) => readiness.booted(engine, image, proof),
    onResidue: (left) => residue.add(left),
    onFreed: () => void facts.look(),
  }
  const attempts = attemptBoard(around)
  const sandboxes = sandboxBoard({
    ports,
    blockedAddresses,
    settings: () => settings,
    silentMs: () => clock.steady() - lastContact,
    operating: () => operations.busy(),
    stopping,
    onChange: changed,
  })
  const readiness = readinessBoard({
    ports,
    blockedAddresses,
    residue,
    stopping,
    settings: () => settings,
    live: () => attempts.live(),
    slots: (engine) => facts.engine(engine)?.slots ?? 0,
    hasImages: (engine) => facts.engine(engine)?.capabilities.images ?? false,
    onChange: () => void facts.look(),
  })
  const facts = factsBoard({
    ports,
    stopping,
    agentVersion: options.agentVersion,
    mayReboot: options.rebootCommand !== null,
    everyMs: options.lookEveryMs,
    readiness: () => readiness.all(),
    storedImages: () => images.stored(),
    images: () => readiness.images(),
    residue: () => residue.byEngine(),
    clockSkewMs: () => clockSkewMs,
    checkMaxAgeMs: () => settings.readiness.checkMaxAgeMs,
    pollMs: () => settings.syncPollMs,
    onChange: seenAnew,
    onJump: changed,
  })
  const images = imageBoard({
    ports,
    blockedAddresses,
    stopping,
    hostName: () => hostName,
    slots: ({ name }) => facts.engine(name)?.slots ?? 0,
    onNews: () => sync.wake(),
    onStock: () => void facts.look().then(readiness.lookAtImages),
  })
  const owners = (): ReadonlySet<string> =>
    new Set([...attempts.owners(), ...sandboxes.owners(), ...readiness.owners(), ...images.owners()])
  const operations = operationBoard({
    ports,
    agentVersion: options.agentVersion,
    inTrial: options.inTrial ?? false,
    online: () => sync.state().online,
    bootId,
    instanceId,
    stopping,
    sandboxes,
    owners,
    rebootCommand: options.rebootCommand,
    hostEnvironment: options.hostEnvironment,
    settings: () => settings,
    liveAttempts: () => attempts.live(),
    proveAll: () => readiness.proveAll(),
    onRestart: () => finish('restart'),
    onChange: changed,
    onEnded: () => facts.tell(),
  })
  const streams = streamBoard(ports, stopping)
  const warm = warmKeeper({ ports, blockedAddresses, stopping, settings: () => settings, knows: () => knowsDesired })
  const turns = turnsOf({
    ports,
    stopping,
    async turn() {
      await attempts.checkLeases()
      await operations.checkLimits()
      await sandboxes.removeDue()
    },
    dueIn: () => Math.min(attempts.dueIn(), operations.dueIn(), sandboxes.dueIn()),
  })
  const health = healthWatch({ ports, policy: options.healthPolicy ?? null, look, stopping })
  const sync = syncLoop({
    ports,
    agentVersion: options.agentVersion,
    bootId,
    instanceId,
    stopping,
    pollMs: () => settings.syncPollMs,
    // An agent that just started has its attempts from the journal, but neither settings nor streams: it asks for all of it.
    seen: () => (knowsDesired ? seen : { epoch: seen.epoch, generation: 0 }),
    hasNews: () => attempts.hasNews() || operations.hasNews() || sandboxes.hasNews() || images.hasNews() || facts.news() !== null,
    reports: (all) => ({
      facts: all ? facts.due() : facts.news(),
      attempts: [...attempts.reports(all)],
      operations: [...operations.reports(all)],
      sandboxes: [...sandboxes.reports()],
      builds: [...images.reports(all)],
    }),
    onSent(reports: Reports) {
      attempts.sent(reports.attempts)
      operations.sent(reports.operations)
      sandboxes.sent(reports.sandboxes)
      images.sent(reports.builds ?? [])
      if (reports.facts !== null) facts.sent(reports.facts)
    },
    onAnswer(answer, timing) {
      // Answers of two requests in flight are taken in one after the other.
      const taken = answering.then(() => takeIn(answer, timing))
      answering = taken.catch(() => {
        // Thrown to the request that brought it.
      })
      return taken
    },
    onRefused: () => keyring.refused(),
    presentKey: () => keyring.present(),
  })

  async function takeIn(answer: SyncResponse, timing: SyncTiming): Promise<void> {
    if (answer.epoch < seen.epoch) {
      throw new CideryError('STALE_EPOCH', `the controller of epoch ${answer.epoch} answered after one of epoch ${seen.epoch}`)
    }
    if (timing.parkedMs === 0) clockSkewMs = Math.round((timing.sentWall + timing.answeredWall) / 2 - answer.controllerTime)
    lastContact = Math.max(lastContact, timing.sentSteady)
    // The controller counts the lease from when the request came in, which was no earlier than it was sent.
    const { attemptLeaseMs: leaseMs } = answer.desired?.settings ?? settings
    const contact = { steady: timing.sentSteady, wall: timing.sentWall, bootId, leaseMs }
    await attempts.heard(contact)
    await attempts.acknowledge(answer.acknowledged.attempts)
    await operations.acknowledge(answer.acknowledged.operations)
    await images.acknowledge(answer.acknowledged.builds ?? [])
    if (answer.wantFacts) facts.ask()
    hostName = answer.hostName
    noteCheckpoint(answer.checkpoint)
    await obey(answer, contact)
    await keyring.accepted(timing.key)
    if (answer.rotateKey) await rotateKey()
  }

  async function obey(answer: SyncResponse, contact: Contact): Promise<void> {
    const { desired } = answer
    const older = answer.epoch === seen.epoch && answer.generation < seen.generation
    if (older && desired !== null)
      log.warn('an older wish of the controller is refused', { generation: answer.generation, seen: seen.generation })
    if (desired !== null && !older) {
      settings = desired.settings
      await attempts.apply(desired.attempts, contact, true)
      await operations.apply(desired.operations)
      await sandboxes.apply(desired.sandboxes)
      streams.apply(desired.streams)
      await images.apply(desired.images ?? null)
      // Limits, settings and what is wanted may be others now.
      turns.wake()
      readiness.wake()
      warm.wake()
      knowsDesired = true
    }
    if (!older && (answer.epoch !== seen.epoch || answer.generation !== seen.generation)) {
      seen = { epoch: answer.epoch, generation: answer.generation }
      await journal.saveSeen(seen)
    }
  }

  async function rotateKey(): Promise<void> {
    try {
      await keyring.rotate(ports.link)
      log.info('a new key was announced')
    } catch (error) {
      log.warn('a new key could not be announced; the old one stays', { error: messageOf(error) })
    }
  }

  function noteCheckpoint(point: SyncResponse['checkpoint']): void {
    if (point === null || point.number <= checkpoint || clock.steady() < nextCheckpointAt) return
    checkpoint = point.number
    nextCheckpointAt = clock.steady() + checkpointEvery
    // In this host's log, so that a journal cut short on the controller shows.
    log.info('journal checkpoint', { ...point })
  }

  function finish(how: AgentEnd): void {
    end = how
    control.abort(new CideryError('UNAVAILABLE', 'the agent stops'))
  }

  /** Waits for the loop to turn, and then looks: a loop that stands still says nothing good. */
  async function look(): Promise<AgentHealth> {
    await turns.turned()
    return judgeHealth({ facts: facts.latest(), sync: sync.state(), silentMs: clock.steady() - lastContact })
  }

  async function takeUp(): Promise<void> {
    await residue.load()
    await attempts.load()
    await sandboxes.load()
    await images.load()
    await sweepUnowned(ports, owners())
    await operations.load()
    await dropStrayRuns(ports, new Set([...attempts.ids(), ...operations.ids()]))
    await facts.look()
  }

  async function work(): Promise<AgentEnd> {
    const parts = [
      sync.run(),
      turns.run(),
      facts.run(),
      health.run(),
      warm.run(),
      images.run(),
      ...(options.bootProbes ? [readiness.run()] : []),
    ]
    try {
      await Promise.all(parts)
    } catch (error) {
      if (!stopping.aborted) log.error('a part of the agent broke; the agent stops', { error: messageOf(error) })
      if (!stopping.aborted) finish('restart')
    }
    await Promise.allSettled([...parts, answering, attempts.settled(), operations.settled(), streams.settled(), images.settled()])
    return end
  }

  await takeUp()
  const ended = work()
  return {
    ended,
    async stop() {
      finish('stopped')
      await ended
    },
    health: () => health.verdict(),
    online: () => sync.state().online,
  }
}
