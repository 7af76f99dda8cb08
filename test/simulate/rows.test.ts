import { describe, expect, it } from 'vitest'
import type { z } from 'zod'
import { createReadiness } from '../../src/main/controller-readiness.ts'
import { simulationDrivers } from '../../src/main/simulate.ts'
import type { Event } from '../../src/model/event.ts'
import { minute, second, type Milliseconds } from '../../src/model/instant.ts'
import { buildFleet } from '../../src/simulate/fleet.ts'
import type { Happening } from '../../src/simulate/happening.ts'
import { between, namedRandom, wholeBetween } from '../../src/simulate/random.ts'
import { Scenario } from '../../src/simulate/scenario.ts'
import { simulate } from '../../src/simulate/simulate.ts'
import { recordingLog } from '../doubles/recording-log.ts'
import { the } from '../doubles/the.ts'

const spec = `version: 1
images: { macos-15: { engine: tart } }
pools:
  default: { engines: { tart: {} } }
queues:
  default: { engine: tart, image: macos-15, shape: { cpu: 4, memoryMiB: 4000, diskMiB: 20000 } }
`
const hosts = ['mini-1', 'mini-2', 'mini-3'] as const

/** Three Macs, and what else a test needs. */
function scenarioOf(input: Partial<z.input<typeof Scenario>>): Scenario {
  const engines = [{ name: 'tart', slots: 2, images: ['macos-15'], bootMs: ['5s', '15s'] }] as const
  return Scenario.parse({
    seed: 1,
    durationMs: '20m',
    calmMs: '3h',
    spec,
    hosts: hosts.map((name) => ({ name, engines })),
    jobs: [],
    ...input,
  })
}

/** Runs it, with all safety properties on and the end looked at; gives what happened. */
async function happeningsOf(scenario: Scenario) {
  const happenings: { readonly at: Milliseconds; readonly happening: Happening }[] = []
  const onHappening = (happening: Happening, at: Milliseconds): void => void happenings.push({ at, happening })
  const result = await simulate(scenario, { drivers: simulationDrivers(), onHappening, keepLines: 100_000 })
  expect(result.violation).toBeNull()
  const events = happenings.flatMap(({ happening }) => (happening.kind === 'committed' ? happening.events : []))
  return { happenings, events, result }
}

function countBy<T>(items: readonly T[], key: (item: T) => string): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(Object.groupBy(items, key)).map(([name, group]) => [name, group?.length ?? 0]))
}

const jobsOf = (events: readonly Event[], kind: Event['kind']): readonly string[] =>
  events.filter((event) => event.kind === kind).map(({ subject }) => subject)

describe('a fleet whose lines break all the time', () => {
  it.each([1, 2, 3, 4, 5])('loops on, and ends each job once with its own result and its whole log (seed %i) [003-40]', async (seed) => {
    const random = namedRandom(seed, 'bad lines')
    const lines = hosts.map((host) => ({
      kind: 'badLine',
      at: '1m',
      for: '19m',
      host,
      lose: between(random, 0.1, 0.4),
      double: between(random, 0, 0.3),
      lateMs: between(random, 0, 5000),
    }))
    const cuts = Array.from({ length: 12 }, () => ({
      kind: 'partition',
      at: wholeBetween(random, 60, 1100) * second,
      for: wholeBetween(random, 5, 200) * second,
      hosts: random.fraction() < 0.3 ? 'all' : [the(hosts[wholeBetween(random, 0, 2)])],
    }))
    const jobs = Array.from({ length: 30 }, (_, code) => ({
      key: `job-${code}`,
      at: `${60 + code * 20}s`,
      runsMs: '30s',
      code,
      logBytes: 4000,
    }))
    // That each result is its command's own, that each log is whole, and that nothing runs twice, the simulator looks at itself.
    const { events, result } = await happeningsOf(scenarioOf({ seed, jobs, faults: [...lines, ...cuts] }))
    expect(result.jobs).toEqual({ accepted: 30, ended: 30 })
    expect(new Set(jobsOf(events, 'job.ended')).size).toBe(30)
    expect(jobsOf(events, 'job.ended')).toHaveLength(30)
  })

  it('has a readiness that follows the real loop: while it stands still the controller answers, and is not ready [003-40]', async () => {
    const drivers = simulationDrivers()
    let stuck: Promise<void> | null = null
    let goOn: () => void = () => undefined
    const fleet = await buildFleet(scenarioOf({}), {
      drivers: {
        ...drivers,
        newDecider(rules) {
          const decider = drivers.newDecider(rules)
          return {
            ...decider,
            async decide(now) {
              await stuck
              return decider.decide(now)
            },
          }
        },
      },
      tell: () => undefined,
      log: recordingLog(),
      named: () => undefined,
    })
    const { time, people } = fleet
    const controller = the(fleet.controllers[0])
    controller.start()
    for (const { agent } of fleet.hosts.values()) agent.start()
    await time.runTo(minute)
    const { core } = the(controller.serving())
    const look = createReadiness({
      store: fleet.store.own,
      clock: controller.clock,
      timers: time.timers,
      instance: 'controller-1',
      loop: core.loop.status,
    })
    const readiness = async () => {
      const found = look(new AbortController().signal)
      await time.runTo(time.elapsed() + 2 * second)
      return found
    }
    expect(await readiness()).toEqual({ ready: true, reasons: [] })

    stuck = new Promise((resolve) => (goOn = resolve))
    people.submit({
      key: 'job',
      queue: 'default',
      labels: {},
      shape: {},
      priority: 0,
      runsMs: 1000,
      code: 0,
      logBytes: 0,
      stubborn: false,
      secret: false,
    })
    await time.runTo(time.elapsed() + minute)
    // Requests are answered: the job is accepted, and hosts are heard of.
    expect(people.accepted.size).toBe(1)
    for (const { id } of fleet.hosts.values()) expect(core.lastSeen.get(id)).toBeGreaterThan(controller.clock.now() - 30 * second)
    expect(await readiness()).toEqual({ ready: false, reasons: [expect.stringMatching(/^the loop has not passed for \d+ s$/)] })

    stuck = null
    goOn()
    await time.runTo(time.elapsed() + minute)
    expect(await readiness()).toEqual({ ready: true, reasons: [] })
    await fleet.store.own.close()
  })
})

/** What the rows of operations and hosts were right before each restart of the controller, and right after it; and how commands ran and ended. */
function watch() {
  const before: string[] = []
  const after: string[] = []
  const ran: string[] = []
  const ended: (readonly [state: unknown, exitCode: unknown])[] = []
  let last = ''
  let died = false

  function commit({ events, look }: Extract<Happening, { kind: 'committed' }>): void {
    for (const { kind, data } of events) if (kind === 'operation.ended') ended.push([data['state'], data['exitCode']])
    last = JSON.stringify([
      look('select id, state, generation, doc from operations order by id'),
      look('select id, name, state, generation, desired_generation from hosts order by id'),
    ])
    if (before.length > after.length && events.some(({ kind }) => kind === 'controller.led')) after.push(last)
  }

  function keep(happening: Happening): void {
    if (happening.kind === 'commandStarted') ran.push(happening.operation)
    if (happening.kind === 'committed') commit(happening)
    if (happening.kind !== 'told' || happening.who !== 'controller-1') return
    died ||= happening.what === 'dies'
    // Not when it dies: what others had in the same commit may still become true.
    if (happening.what === 'starts' && died) before.push(last)
  }
  return { keep, before, after, ran, ended }
}

describe('a controller that is killed while hosts carry out commands', () => {
  const moments = Array.from({ length: 24 }, (_, index) => 1 + index * 2)

  it.each(moments)('has all states again, and learns how each command ended that ran on (statement %i) [003-41]', async (statements) => {
    const scenario = scenarioOf({
      seed: statements,
      faults: [
        { kind: 'cordon', host: 'mini-3', at: '1m', for: '18m' },
        { kind: 'controllerCrash', controller: 0, at: '119s', statements, backAfter: '7s' },
        { kind: 'hostCommand', host: 'mini-1', at: '2m', runsMs: '6m', code: 0 },
        { kind: 'hostCommand', host: 'mini-2', at: '2m', runsMs: '6m', code: 3 },
        // In the middle of the commands, and over their end.
        { kind: 'controllerCrash', controller: 0, at: '5m', statements: 0, backAfter: '20s' },
        { kind: 'controllerCrash', controller: 0, at: '7m', statements: 0, backAfter: '3m' },
      ],
    })
    const { keep, before, after, ran, ended } = watch()
    const result = await simulate(scenario, { drivers: simulationDrivers(), onHappening: keep })
    expect(result.violation).toBeNull()
    expect(after).toHaveLength(3)
    expect(after).toEqual(before)
    expect(the(before[1])).toContain('EXECUTING')
    // Each ran once, and ended as it did.
    expect(ran).toHaveLength(2)
    expect(new Set(ran).size).toBe(2)
    expect(ended).toHaveLength(2)
    expect(ended).toContainEqual(['SUCCESS', 0])
    expect(ended).toContainEqual(['ERROR', 3])
  })
})

describe('two controllers of which the leader is killed or stands still', () => {
  const strikes = 6

  it.each([1, 2, 3, 4, 5, 6])('lose nothing and do nothing twice, and another leads within ten seconds (seed %i) [W-19]', async (seed) => {
    const random = namedRandom(seed, 'strikes')
    const faults = Array.from({ length: strikes }, (_, strike) => {
      const at = (2 + strike * 2) * minute + wholeBetween(random, 0, 20_000)
      return strike % 3 === 2
        ? { kind: 'controllerFreeze', controller: 'leader', at, for: wholeBetween(random, 15, 60) * second }
        : {
            kind: 'controllerCrash',
            controller: 'leader',
            at,
            statements: wholeBetween(random, 0, 40),
            backAfter: wholeBetween(random, 15, 60) * second,
          }
    })
    const jobs = Array.from({ length: 36 }, (_, code) => ({ key: `job-${code}`, at: (60 + code * 20) * second, runsMs: '20s', code }))
    const { happenings, events, result } = await happeningsOf(scenarioOf({ seed, controllers: 2, jobs, faults }))

    expect(result.jobs).toEqual({ accepted: 36, ended: 36 })
    expect(countBy(jobsOf(events, 'job.ended'), (subject) => subject)).toEqual(
      countBy(jobsOf(events, 'job.assigned'), (subject) => subject),
    )
    expect(new Set(jobsOf(events, 'job.assigned')).size).toBe(36)
    expect(jobsOf(events, 'job.assigned')).toHaveLength(36)
    const runs = happenings.flatMap(({ happening }) => (happening.kind === 'runStarted' ? [happening.attempt] : []))
    expect(new Set(runs).size).toBe(36)
    expect(runs).toHaveLength(36)

    const gaps = leaderlessFor(result.journal)
    expect(gaps).toHaveLength(strikes)
    for (const gap of gaps) expect(gap).toBeLessThanOrEqual(10 * second)
  })
})

/** For each end or halt of a leader in a journal: how long until another led. */
function leaderlessFor(journal: readonly string[]): readonly Milliseconds[] {
  const gaps: Milliseconds[] = []
  let leader = ''
  let since: Milliseconds | null = null
  for (const line of journal) {
    const [, who = '', what = ''] = /^\S+ +(\S+) +(.*)$/.exec(line) ?? []
    if ((who === leader && what === 'dies') || (who === 'fault' && /^for .* that leads stands still/.test(what))) since ??= timeOf(line)
    if (!what.startsWith('leads from now on')) continue
    if (since !== null) gaps.push(timeOf(line) - since)
    since = null
    leader = who
  }
  return gaps
}

function timeOf(line: string): Milliseconds {
  const [hours = 0, minutes = 0, seconds = 0] = line.slice(0, 12).split(':').map(Number)
  return Math.round((hours * 3600 + minutes * 60 + seconds) * second)
}
