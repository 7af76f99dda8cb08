import { describe, expect, it } from 'vitest'
import {
  makeAttempt,
  makeEngine,
  makeFacts,
  makeJob,
  makeOperation,
  makeSandbox,
  makeSpec,
  makeWorld,
  start,
  type Things,
} from '../../test/decide/build-world.ts'
import { illness, mac, repairQuarantine } from '../../test/decide/sick-mac.ts'
import type { Host } from '../model/host.ts'
import { hour, minute, second } from '../model/instant.ts'
import type { Step, Waiting } from '../model/plan.ts'
import type { Spec } from '../model/spec.ts'
import { checkPlan } from './check-plan.ts'
import { decide } from './decide.ts'
import { mostReboots } from './repairs.ts'

const spec = makeSpec()

function repairSteps(things: Things, given: { readonly spec?: Spec; readonly now?: number } = {}): readonly Step[] {
  const scene = { spec: given.spec ?? spec, world: makeWorld(things), now: given.now ?? start }
  const plan = decide(scene.spec, scene.world, scene.now)
  expect(checkPlan(plan, scene)).toEqual([])
  return plan.steps.filter(({ kind }) => kind === 'quarantineHost' || kind === 'rebootHost' || kind === 'returnHost')
}

function waitOf(things: Things, given: { readonly spec?: Spec; readonly now?: number } = {}): Waiting | undefined {
  const { waiting } = decide(given.spec ?? spec, makeWorld(things), given.now ?? start)
  return waiting.find(({ subject }) => subject.startsWith('host/'))
}

describe('a host that only a restart of its machine cures', () => {
  it('goes into quarantine when it first says so, and gets no job in that pass, whatever its engine', () => {
    const host = mac(1, { isIll: true }, { generation: 3 })
    const plan = decide(spec, makeWorld({ hosts: [host], jobs: [makeJob(1)] }), start)
    expect(plan.steps).toEqual([
      {
        kind: 'quarantineHost',
        hostId: host.id,
        hostGeneration: 3,
        reason: `tart: ${illness}`,
        cure: 'cidery restarts it once nothing runs there; it gets jobs again when tart boots: cidery explain host/mini-1',
        repair: ['tart'],
      },
    ])
    expect(plan.waiting[0]).toMatchObject({ code: 'hostQuarantined', jobCount: 1 })
    const byHand = repairSteps({ hosts: [host] }, { spec: makeSpec({ pools: { default: { repair: { reboots: 0 } } } }) })
    expect(byHand).toMatchObject([{ cure: expect.stringMatching(/^cidery host reboot mini-1; it gets jobs again when tart boots/) }])
  })

  it('stays as it is when a person closed it, or when its pool does not offer that engine', () => {
    expect(
      repairSteps({ hosts: [mac(1, { isIll: true }, { schedulable: { kind: 'cordoned', by: 'user:bob', at: 0, reason: '' } })] }),
    ).toEqual([])
    expect(
      repairSteps({ hosts: [mac(1, { isIll: true })] }, { spec: makeSpec({ pools: { default: { engines: { user: {} } } } }) }),
    ).toEqual([])
  })

  it('is restarted when nothing runs there: no job, no sandbox, no operation', () => {
    const host = mac(1, { isIll: true }, { schedulable: repairQuarantine, generation: 5 })
    const job = makeJob(1, { changes: { state: 'running', attempts: 1 } })
    expect(repairSteps({ hosts: [host] })).toEqual([{ kind: 'rebootHost', hostId: host.id, hostGeneration: 5, reason: `tart: ${illness}` }])
    const busy = { hosts: [host], jobs: [job], attempts: [makeAttempt(1, { job, host })] }
    expect(repairSteps(busy)).toEqual([])
    expect(waitOf(busy)).toMatchObject({
      code: 'hostQuarantined',
      message: `mini-1 is in quarantine: ${illness}; its jobs and sandboxes have not ended`,
      jobCount: 1,
    })
    expect(repairSteps({ hosts: [host], sandboxes: [makeSandbox(1, host)] })).toEqual([])
    expect(repairSteps({ hosts: [host], sandboxes: [makeSandbox(1, host, { state: 'failed' })] })).toHaveLength(1)
    const operation = makeOperation(1, host, { state: 'EXECUTING' })
    expect(repairSteps({ hosts: [host], operations: [operation] })).toEqual([])
    expect(waitOf({ hosts: [host], operations: [operation] })?.cure).toBe(`wait for it, or cidery operation kill ${operation.id}`)
  })

  it('is not restarted when it does not report, when the pool says never, or when a person has to look', () => {
    const host = mac(1, { isIll: true }, { schedulable: repairQuarantine })
    expect(repairSteps({ hosts: [host] }, { now: start + 31 * second })).toEqual([])
    expect(repairSteps({ hosts: [{ ...host, state: 'lost' }] })).toEqual([])
    const never = makeSpec({ pools: { default: { repair: { reboots: 0 } } } })
    expect(repairSteps({ hosts: [host] }, { spec: never })).toEqual([])
    expect(waitOf({ hosts: [host] }, { spec: never })?.message).toContain('pools.default.repair.reboots is 0')
    const guarded = { ...host, facts: { ...makeFacts(), ...host.facts, mayReboot: false } }
    expect(repairSteps({ hosts: [guarded] })).toEqual([])
    expect(waitOf({ hosts: [guarded] })?.message).toContain('its agent may not restart it')
    expect(repairSteps({ hosts: [{ ...guarded, facts: { ...guarded.facts, mayReboot: true } }] })).toHaveLength(1)
    const { repair: _, ...forPeople } = repairQuarantine
    expect(repairSteps({ hosts: [{ ...host, schedulable: forPeople }] })).toEqual([])
    const tried = { ...repairQuarantine, repair: { engines: ['tart' as const], tries: mostReboots } }
    expect(repairSteps({ hosts: [{ ...host, schedulable: tried }] })).toEqual([])
    expect(waitOf({ hosts: [{ ...host, schedulable: tried }] })?.message).toContain(
      'it was asked to restart 3 times, which did not cure it',
    )
  })

  it('is restarted once an hour at most, to the millisecond, and the plan says when to look again', () => {
    const host = mac(1, { isIll: true, at: start }, { schedulable: repairQuarantine, repairedAt: start - hour + 20 * second })
    expect(repairSteps({ hosts: [host] }, { now: start + 20 * second - 1 })).toEqual([])
    expect(decide(spec, makeWorld({ hosts: [host] }), start).nextAt).toBe(start + 20 * second)
    expect(waitOf({ hosts: [host] })?.message).toContain('it was asked to restart 59m40s ago, and may be again in 20s')
    expect(repairSteps({ hosts: [host] }, { now: start + 20 * second })).toHaveLength(1)
    const often = makeSpec({ pools: { default: { repair: { rebootEvery: '10m' } } } })
    expect(repairSteps({ hosts: [host] }, { spec: often })).toHaveLength(1)
  })

  it('waits for its turn: as many at once as the pool says, who waited longest first', () => {
    const hosts = [30, 10, 20].map((ago, at) =>
      mac(at + 1, { isIll: true }, { schedulable: { ...repairQuarantine, at: start - ago * second } }),
    )
    const idsOf = (steps: readonly Step[]): readonly unknown[] => steps.map((step) => 'hostId' in step && step.hostId)
    expect(idsOf(repairSteps({ hosts }))).toEqual([hosts[0]?.id])
    expect(idsOf(repairSteps({ hosts }, { spec: makeSpec({ pools: { default: { repair: { reboots: 2 } } } }) }))).toEqual([
      hosts[0]?.id,
      hosts[2]?.id,
    ])
    // A restart that a person asked for counts, and so does a machine that did not come back, for an hour.
    const other = mac(9, {})
    const asked = makeOperation(1, other, { request: { kind: 'reboot' }, state: 'AWAITING_RECONNECT' })
    expect(repairSteps({ hosts: [...hosts, other], operations: [asked] })).toEqual([])
    const gone = mac(
      8,
      {},
      {
        state: 'lost',
        repairedAt: start - 10 * minute,
        schedulable: { ...repairQuarantine, at: start - hour, repair: { engines: ['tart'], tries: 1 } },
      },
    )
    expect(repairSteps({ hosts: [...hosts, gone] })).toEqual([])
    expect(repairSteps({ hosts: [...hosts, { ...gone, repairedAt: start - hour }] })).toHaveLength(1)
    expect(repairSteps({ hosts: [...hosts, { ...gone, pool: 'other' }] })).toHaveLength(1)
    // One that is here and as ill as before, since its agent refused the restart, holds nobody up.
    const refused = mac(7, { isIll: true }, { repairedAt: start - 10 * minute, schedulable: gone.schedulable })
    expect(idsOf(repairSteps({ hosts: [...hosts, refused] }))).toEqual([hosts[0]?.id])
  })

  it('says whose turn it is while it waits for its own, to its jobs as well', () => {
    const [first, second] = [30, 10].map((ago, at) =>
      mac(at + 1, { isIll: true }, { schedulable: { ...repairQuarantine, at: start - ago * 60_000 } }),
    ) as [Host, Host]
    const waits = (things: Things, pools = spec): readonly (string | undefined)[] => {
      const { waiting } = decide(pools, makeWorld(things), start)
      return waiting.filter(({ subject }) => subject === `host/${second.id}`).map(({ message }) => message)
    }
    const turn = `mini-2 is in quarantine: ${illness}; waits for its turn: mini-1 is being restarted (pools.default.repair.reboots is 1)`
    expect(waits({ hosts: [first, second] })).toEqual([turn])
    expect(waits({ hosts: [second] })).toEqual([`mini-2 is in quarantine: ${illness}`])
    const asked = makeOperation(1, mac(1, {}), { request: { kind: 'reboot' }, state: 'AWAITING_RECONNECT' })
    expect(waits({ hosts: [mac(1, {}), second], operations: [asked] })).toEqual([turn])
    const crowd = [3, 4, 5, 6].map((number) => mac(number, {}))
    const operations = crowd.map((host, at) => makeOperation(at + 2, host, { request: { kind: 'reboot' }, state: 'EXECUTING' }))
    expect(waits({ hosts: [...crowd, second], operations })).toEqual([
      expect.stringContaining('mini-3, mini-4, mini-5 and 1 more are being restarted'),
    ])
    const job = makeJob(1)
    const { waiting } = decide(spec, makeWorld({ hosts: [mac(1, {}), second], operations: [asked], jobs: [job] }), start)
    expect(waiting.map(({ message }) => message).filter((message) => message.startsWith(turn))).toHaveLength(2)
  })

  it('returns when its engine booted a machine since the quarantine began, and not before', () => {
    const tried = { ...repairQuarantine, repair: { engines: ['tart' as const], tries: 1 } }
    const at = start + 10 * minute
    const host = (bootedAt: number): Host => mac(1, { at, bootedAt }, { schedulable: tried, repairedAt: start + minute })
    expect(repairSteps({ hosts: [host(start)] }, { now: at })).toEqual([])
    expect(waitOf({ hosts: [host(start)] }, { now: at })).toMatchObject({
      message: `mini-1 is in quarantine: ${illness}; tart has not booted since`,
      cure: 'cidery host probe mini-1, or cidery host uncordon mini-1',
    })
    const back = host(start + 1)
    expect(repairSteps({ hosts: [back] }, { now: at })).toEqual([
      { kind: 'returnHost', hostId: back.id, hostGeneration: 1, why: 'tart booted, and needs no restart any more' },
    ])
    const broken = { ...back, facts: { ...makeFacts(), ...back.facts, engines: [makeEngine('tart', { ok: false })] } }
    expect(repairSteps({ hosts: [broken] }, { now: at })).toEqual([])
    const removed = { ...back, facts: { ...makeFacts(), ...back.facts, engines: [makeEngine('user')] } }
    expect(repairSteps({ hosts: [removed] }, { now: at })).toEqual([])
    expect(repairSteps({ hosts: [back] }, { now: at + 31 * second })).toEqual([])
  })
})

describe('the checker lets a host be repaired', () => {
  const host = mac(1, { isIll: true }, { schedulable: repairQuarantine })
  const well = mac(1, {}, { schedulable: repairQuarantine })
  const reboot: Step = { kind: 'rebootHost', hostId: host.id, hostGeneration: 1, reason: '' }
  const back: Step = { kind: 'returnHost', hostId: host.id, hostGeneration: 1, why: '' }
  const problems = (steps: readonly Step[], things: Things): readonly string[] =>
    checkPlan({ steps, waiting: [], nextAt: null }, { spec, world: makeWorld(things), now: start }).map(({ problem }) => problem)
  const job = makeJob(1, { changes: { state: 'running', attempts: 1 } })
  const second = mac(2, { isIll: true }, { schedulable: repairQuarantine })

  it.each<[string, readonly Step[], Things, string | null]>([
    ['where all is right', [reboot], { hosts: [host] }, null],
    ['not when it left', [reboot], {}, 'the host is gone'],
    ['not when it is lost', [reboot], { hosts: [{ ...host, state: 'lost' }] }, 'the host is lost'],
    ['not under an older generation', [back], { hosts: [{ ...well, generation: 2 }] }, 'decided under generation 1, it is 2 now'],
    ['not when it is open', [reboot], { hosts: [{ ...host, schedulable: { kind: 'open' } }] }, 'cidery does not repair the host'],
    [
      'not where the agent may not',
      [reboot],
      { hosts: [{ ...host, facts: { ...makeFacts(), ...host.facts, mayReboot: false } }] },
      'the agent may not restart the host',
    ],
    [
      'not under a job',
      [reboot],
      { hosts: [host], jobs: [job], attempts: [makeAttempt(1, { job, host })] },
      'a job may be alive on the host',
    ],
    ['not under a sandbox', [reboot], { hosts: [host], sandboxes: [makeSandbox(1, host)] }, 'a sandbox is on the host'],
    ['not beside an operation', [reboot], { hosts: [host], operations: [makeOperation(1, host)] }, 'the host has an operation'],
    ['not twice in an hour', [reboot], { hosts: [{ ...host, repairedAt: start - 1 }] }, 'the host was restarted lately'],
    [
      'not two of a pool at once',
      [reboot, { ...reboot, hostId: second.id }],
      { hosts: [host, second] },
      '1 hosts of the pool are being restarted',
    ],
    ['not where no pool allows it', [reboot], { hosts: [{ ...host, pool: 'gone' }] }, 'the host belongs to no pool'],
    [
      'not for ever',
      [reboot],
      { hosts: [{ ...host, schedulable: { ...repairQuarantine, repair: { engines: ['tart'], tries: 3 } } }] },
      'the host was restarted 3 times already',
    ],
    ['back when it is well', [back], { hosts: [well] }, null],
    ['not back while it is ill', [back], { hosts: [host] }, 'the host needs a restart'],
  ])('%s', (...[, steps, things, problem]) => {
    expect(problems(steps, things)).toEqual(problem === null ? [] : [problem])
  })
})
