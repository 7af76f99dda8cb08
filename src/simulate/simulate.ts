import { formatDuration, minute, type Milliseconds } from '../model/instant.ts'
import type { Log } from '../ports/log.ts'
import { createChronicle } from './chronicle.ts'
import type { Rules } from './controllers.ts'
import { faultKind, type Fault } from './faults/registry.ts'
import { buildFleet, type BuiltFleet, type SimulationDrivers } from './fleet.ts'
import type { Happening } from './happening.ts'
import type { About, Property } from './properties/property.ts'
import { safetyProperties } from './properties/registry.ts'
import { unrest, wrongLogs } from './rest.ts'
import type { Scenario } from './scenario.ts'

export interface SimulateOptions {
  readonly drivers: SimulationDrivers
  /** Properties that are looked at; default: all. */
  readonly properties?: readonly Property[]
  /** Lines of the journal that are kept; default 400. The hash covers all. */
  readonly keepLines?: number
  readonly alterRules?: (rules: Rules) => Rules
  /** Told of everything that happens; for reports. */
  readonly onHappening?: (happening: Happening, at: Milliseconds) => void
  /** Lines that the processes log, with the moment. */
  readonly onLog?: (line: SimulatedLogLine) => void
}

export interface SimulatedLogLine {
  readonly at: Milliseconds
  readonly level: keyof Log
  readonly message: string
  readonly facts: unknown
}

export interface Violation {
  /** Name of the property; `rest` when the fleet did not come to rest. */
  readonly property: string
  readonly problem: string
  readonly at: Milliseconds
}

export interface SimulationResult {
  readonly violation: Violation | null
  /** SHA-256 over the whole journal. */
  readonly hash: string
  readonly journal: readonly string[]
  /** How long the fleet took to come to rest after the last fault; null when it did not, or was not looked at. */
  readonly restMs: Milliseconds | null
  readonly jobs: { readonly accepted: number; readonly ended: number }
  /** Faults that were begun, by kind. */
  readonly faults: Readonly<Record<string, number>>
  readonly timersFired: number
}

/** How long nothing may be written once all is at rest. */
const settledFor: Milliseconds = 10 * minute
/** How often a fleet that calms down is looked at. */
const lookEvery: Milliseconds = 30_000

/**
 * Runs a whole fleet in virtual time: the real loops over simulated machines, lines and people. Ends at the first broken property, or when the fleet has
 * come to rest after the last fault. The same scenario gives the same journal.
 */
export async function simulate(scenario: Scenario, options: SimulateOptions): Promise<SimulationResult> {
  const chronicle = createChronicle(options.keepLines ?? 400)
  const heard = new Map<string, Milliseconds>()
  const gone = new Map<string, Milliseconds>()
  const faults: Record<string, number> = {}
  const violations: Violation[] = []
  const broken = (): boolean => violations.length > 0
  let watchers: readonly { readonly name: string; readonly look: (happening: Happening) => string | null }[] = []
  let events = 0

  function tell(happening: Happening, at: Milliseconds): void {
    if (happening.kind === 'heard') heard.set(happening.host, at)
    if (happening.kind === 'committed') events += happening.events.length
    chronicle.write(at, happening)
    options.onHappening?.(happening, at)
    for (const { name, look } of watchers) {
      const problem = broken() ? null : look(happening)
      if (problem === null) continue
      violations.push({ property: name, problem, at })
      chronicle.note(at, 'fleet', `broke a property (${name}): ${problem}`)
    }
  }

  const now = (): Milliseconds => fleet?.time.elapsed() ?? 0
  const at = (level: keyof Log) => (message: string, facts?: unknown) => options.onLog?.({ at: now(), level, message, facts })
  const log: Log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
  let fleet: BuiltFleet | null = null
  const built = await buildFleet(scenario, {
    drivers: options.drivers,
    log,
    tell: (happening, time) => tell(happening, time.elapsed()),
    named: chronicle.name,
    ...(options.alterRules === undefined ? {} : { alterRules: options.alterRules }),
  })
  fleet = built
  const { time } = built
  const about: About = {
    scenario,
    spec: built.spec,
    now,
    look: built.look,
    heardAt: (host) => heard.get(host) ?? Number.NEGATIVE_INFINITY,
    agentGoneSince: (host) => gone.get(host) ?? null,
    keyOf: chronicle.nameOf,
  }
  watchers = (options.properties ?? safetyProperties).map(({ name, begin }) => ({ name, look: begin(about) }))

  function plan(): void {
    for (const controller of built.controllers) controller.start()
    for (const { agent } of built.hosts.values()) agent.start()
    for (const job of scenario.jobs) time.timers.after(job.at, () => built.people.submit(job))
    for (const fault of scenario.faults) planFault(fault)
    watchAgents()
  }

  function planFault(fault: Fault): void {
    const kind = faultKind(fault.kind)
    time.timers.after(fault.at, () => {
      faults[fault.kind] = (faults[fault.kind] ?? 0) + 1
      chronicle.note(now(), 'fault', beginWords(kind.words(fault), fault.for))
      kind.begin(built, fault)
    })
    if (fault.for === undefined || kind.end === undefined) return
    time.timers.after(fault.at + fault.for, () => {
      chronicle.note(now(), 'fault', `over: ${kind.words(fault)}`)
      kind.end?.(built, fault)
    })
  }

  /** Keeps since when an agent cannot act: its process is gone, frozen, or without power. */
  function watchAgents(): void {
    for (const name of built.hosts.keys()) {
      if (isRunning(built, name)) gone.delete(name)
      else if (!gone.has(name)) gone.set(name, now())
    }
    time.timers.after(5000, watchAgents)
  }

  async function rest(): Promise<Milliseconds | null> {
    const from = now()
    const end = from + scenario.calmMs
    while (!broken() && now() < end) {
      await time.runTo(Math.min(end, now() + lookEvery), broken)
      if (unrest(built, chronicle.nameOf).length > 0) continue
      chronicle.note(now(), 'fleet', 'is at rest: every job is over, and every host is ready or says what it needs')
      return now() - from
    }
    return null
  }

  /** With nothing to do, nothing is written. */
  async function settle(): Promise<void> {
    await time.runTo(now() + minute)
    const before = events
    await time.runTo(now() + settledFor)
    if (events > before)
      violations.push({ property: 'settling', problem: `${events - before} events were written with nothing to do`, at: now() })
    const [wrong] = await wrongLogs(built, scenario)
    if (wrong !== undefined) violations.push({ property: 'logs', problem: wrong, at: now() })
  }

  /** What is under way in the database may sleep, in virtual time. */
  async function closeStore(): Promise<void> {
    // The run is over: what still happens is looked at no more, and could not be once the database is gone.
    watchers = []
    built.store.faults.slowMs = 0
    let closed = false
    const closing = built.store.own.close().then(() => (closed = true))
    await time.runTo(now() + minute, () => closed)
    await closing
  }

  plan()
  await time.runTo(scenario.durationMs, broken)
  let restMs: Milliseconds | null = null
  if (!broken() && scenario.calmMs > 0) {
    await time.runTo(Math.max(now(), endOfFaults(scenario)), broken)
    spareAll(built)
    restMs = await rest()
    if (restMs === null) violations.push({ property: 'rest', problem: unrest(built, chronicle.nameOf).join('; '), at: now() })
    else await settle()
  }
  const ended = (built.look()?.("select count(*) as n from jobs where state = 'ended'")[0] as { n: number } | undefined)?.n ?? 0
  await closeStore()
  return {
    violation: violations[0] ?? null,
    hash: chronicle.hash(),
    journal: chronicle.lines(),
    restMs,
    jobs: { accepted: built.people.accepted.size, ended },
    faults,
    timersFired: time.fired(),
  }
}

function beginWords(words: string, lasts: Milliseconds | undefined): string {
  return lasts === undefined ? words : `for ${formatDuration(lasts)}: ${words}`
}

/** A death that was aimed at a call or statement which has not come is no fault of the calm. */
function spareAll({ controllers, hosts }: BuiltFleet): void {
  for (const controller of controllers) controller.life()?.spare()
  for (const { agent } of hosts.values()) agent.life()?.spare()
}

function isRunning(fleet: BuiltFleet, host: string): boolean {
  const life = fleet.host(host).agent.life()
  return life !== null && life.alive && !life.frozen
}

/** When the last fault is over, and what it took down is coming back. */
function endOfFaults(scenario: Scenario): Milliseconds {
  return scenario.faults.reduce((latest, { at, for: lasts }) => Math.max(latest, at + (lasts ?? 0)), 0)
}
