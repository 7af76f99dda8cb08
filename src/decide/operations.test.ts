import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { makeAttempt, makeFacts, makeHost, makeJob, makeOperation, makeSpec, makeWorld, start } from '../../test/decide/build-world.ts'
import { CideryError } from '../model/errors.ts'
import type { Host } from '../model/host.ts'
import { day, hour, minute, second } from '../model/instant.ts'
import { isTerminalOperation, operationStates, operationTransitions, type Operation, type OperationState } from '../model/operation.ts'
import type { Plan, Step } from '../model/plan.ts'
import { advanceWorld } from './advance-world.ts'
import { decide } from './decide.ts'
import { mayMove, moveOperation } from './move-operation.ts'
import { blockedLimit, deadlineOf, extensionWindow, killPatience, pendingLimit } from './operations.ts'

const spec = makeSpec()
const host = makeHost(1)

/** A plan over a host that reports at that very moment, whose facts are from `factsAt`. */
function planFor(operations: readonly Operation[], moment: number, changes: Partial<Host> = {}): Plan {
  const seen = { ...host, lastSeenAt: moment, ...changes }
  return decide(spec, makeWorld({ hosts: [seen], operations }), moment)
}

function steps(operation: Operation, moment: number, changes: Partial<Host> = {}): readonly Step[] {
  return planFor([operation], moment, changes).steps.filter(({ kind }) => kind === 'moveOperation' || kind === 'killOperation')
}

/** The one move that is decided: its state, or `kill`; null: none. */
function moveOf(operation: Operation, moment: number, changes: Partial<Host> = {}): OperationState | 'kill' | null {
  const [step, ...others] = steps(operation, moment, changes)
  expect(others).toEqual([])
  if (step === undefined) return null
  return step.kind === 'moveOperation' ? step.to : 'kill'
}

function started(state: OperationState, changes: Partial<Operation> = {}): Operation {
  return makeOperation(1, host, { state, startedAt: start, startedBootId: 'boot-1', ...changes })
}

const upgradeRequest = {
  kind: 'upgradeAgent',
  blob: '0'.repeat(64),
  sizeBytes: 1,
  version: '2.0.0',
  release: '1'.repeat(64),
  allowDowngrade: false,
  deadlineS: 120,
} as const

function factsFrom(at: number, clockSkewMs = 0): Partial<Host> {
  return { facts: makeFacts({ at, clockSkewMs }) }
}

describe('the table of states [003-33]', () => {
  const pairs = operationStates.flatMap((from) => operationStates.map((to) => [from, to] as const))

  it.each(pairs)('%s to %s: moves when the table has it, throws otherwise', (from, to) => {
    const operation = started(from)
    const move = { to, at: start + 5, reason: 'why' }
    if ((operationTransitions[from] as readonly OperationState[]).includes(to)) {
      expect(mayMove(from, to)).toBe(true)
      expect(moveOperation(operation, move)).toMatchObject({ state: to, generation: 2, changedAt: start + 5, reason: 'why' })
      return
    }
    expect(mayMove(from, to)).toBe(false)
    expect(() => moveOperation(operation, move)).toThrow(CideryError)
  })

  it('reaches every state from PENDING, and every state has an end', () => {
    const reached = new Set<OperationState>(['PENDING'])
    for (const state of reached) for (const next of operationTransitions[state]) reached.add(next)
    expect([...reached].sort()).toEqual([...operationStates].sort())
    expect(operationStates.filter((state) => isTerminalOperation(state)).sort()).toEqual(
      ['SUCCESS', 'ERROR', 'TIMEOUT', 'SKIPPED', 'KILLED', 'PARTIAL', 'STALE_BINARY', 'SUSPICIOUS'].sort(),
    )
  })

  it('remembers when and under which boot id an operation started, and when it ended', () => {
    const pending = makeOperation(1, host)
    const begun = moveOperation(pending, { to: 'VALIDATING', at: start + 1, reason: '', bootId: 'boot-7' })
    expect(begun).toMatchObject({ startedAt: start + 1, startedBootId: 'boot-7', endedAt: null })
    expect(moveOperation(pending, { to: 'VALIDATING', at: start, reason: '' }).startedBootId).toBeNull()
    expect(moveOperation(pending, { to: 'KILLED', at: start + 1, reason: '', bootId: 'boot-7' })).toMatchObject({
      startedAt: null,
      startedBootId: null,
      endedAt: start + 1,
    })
    const running = moveOperation(begun, { to: 'EXECUTING', at: start + 2, reason: '', bootId: 'boot-8' })
    expect(running).toMatchObject({ startedAt: start + 1, startedBootId: 'boot-7', endedAt: null })
    expect(moveOperation(running, { to: 'SUCCESS', at: start + 3, reason: '' })).toMatchObject({ endedAt: start + 3, startedAt: start + 1 })
  })

  it('says what may follow when a move is refused', () => {
    const refusal = (from: OperationState, to: OperationState) => {
      try {
        moveOperation(started(from), { to, at: start, reason: '' })
      } catch (error) {
        if (error instanceof CideryError) return error
      }
      throw new Error('it was not refused')
    }
    expect(refusal('PENDING', 'SUCCESS')).toMatchObject({
      code: 'CONFLICT',
      message: `operation ${started('PENDING').id} cannot go from PENDING to SUCCESS`,
      hint: 'after PENDING comes VALIDATING, SKIPPED, KILLED, TIMEOUT',
      details: { state: 'PENDING' },
    })
    expect(refusal('SUCCESS', 'ERROR').hint).toBe('it has ended: ask for a new one')
  })
})

describe('an operation that waits', () => {
  const pending = makeOperation(1, host)

  it('is handed to its host when that reports and does nothing else', () => {
    expect(steps(pending, start)).toEqual([
      { kind: 'moveOperation', operationId: pending.id, generation: 1, to: 'VALIDATING', reason: 'handed to the host' },
    ])
  })

  it('lets others go first: one at a time, the oldest request, then the lower id', () => {
    const [older, twin] = [makeOperation(3, host, { requestedAt: start - 1 }), makeOperation(2, host)]
    const plan = planFor([pending, older, twin], start)
    expect(plan.steps).toMatchObject([{ operationId: older.id, to: 'VALIDATING' }])
    expect(plan.waiting).toMatchObject([
      {
        subject: `operation/${pending.id}`,
        code: 'operationBusy',
        message: `mini-1 does one operation at a time: exec ${older.id} is PENDING`,
        cure: `wait for it, or cidery operation kill ${older.id}`,
        hosts: [host.id],
        hostCount: 1,
        jobCount: 0,
        since: start,
      },
      { subject: `operation/${twin.id}`, code: 'operationBusy' },
    ])
    expect(planFor([twin, pending], start).steps).toMatchObject([{ operationId: pending.id }])
  })

  it('names what runs there, and its process', () => {
    const running = makeOperation(2, host, { state: 'EXECUTING', startedAt: start, pid: 42 })
    const plan = planFor([pending, running], start)
    expect(plan.steps).toEqual([])
    expect(plan.waiting).toMatchObject([
      { code: 'operationBusy', message: `mini-1 does one operation at a time: exec ${running.id} is EXECUTING, pid 42` },
    ])
  })

  it('is ended at once when a person gives it up, or when the host left the fleet', () => {
    expect(moveOf({ ...pending, killRequested: true }, start)).toBe('KILLED')
    expect(moveOf(pending, start, { state: 'retired' })).toBe('SKIPPED')
    expect(decide(spec, makeWorld({ operations: [pending] }), start).steps).toMatchObject([
      { to: 'SKIPPED', reason: 'the host left the fleet' },
    ])
  })

  it('for a host that does not report is cleared after ten minutes, never one that is active [003-38]', () => {
    expect(pendingLimit).toBe(10 * minute)
    const lost = { state: 'lost' as const, lastSeenAt: start }
    const waits = planFor([pending], start + 10 * minute - 1, lost)
    expect(waits.steps).toEqual([])
    expect(waits.nextAt).toBe(start + 10 * minute)
    expect(waits.waiting.find(({ subject }) => subject.startsWith('operation/'))).toMatchObject({
      code: 'hostLost',
      message: 'mini-1 does not report',
      cure: 'start the agent on mini-1',
      since: start,
    })
    expect(steps(pending, start + 10 * minute, lost)).toMatchObject([{ to: 'SKIPPED', reason: 'the host did not report for 10m' }])
    expect(moveOf(pending, start + 10 * minute, { state: 'enrolled' })).toBe('SKIPPED')
    const active = started('EXECUTING', { limits: { warning: hour, hard: 2 * hour, reconnect: hour } })
    expect(moveOf(active, start + 11 * minute, lost)).toBeNull()
  })

  it.each([
    ['a reboot', { kind: 'reboot' as const }, true],
    ['a restart of the agent that drains', { kind: 'restartAgent' as const, drain: true }, true],
    ['a restart of the agent', { kind: 'restartAgent' as const, drain: false }, false],
    ['a probe', { kind: 'probe' as const }, false],
  ])('%s waits for running jobs only if it has to', (_name, request, hasToWait) => {
    const job = makeJob(1, { changes: { state: 'running' } })
    const operation = makeOperation(1, host, { request })
    const world = makeWorld({ hosts: [host], jobs: [job], attempts: [makeAttempt(1, { job, host })], operations: [operation] })
    const plan = decide(spec, world, start)
    expect(plan.steps).toHaveLength(hasToWait ? 0 : 1)
    if (!hasToWait) return
    expect(plan.waiting.find(({ subject }) => subject.startsWith('operation/'))).toMatchObject({
      code: 'draining',
      message: '1 attempt still on mini-1; nothing new is placed there',
      cure: `wait for the jobs, cancel them, or cidery operation kill ${operation.id}`,
    })
  })

  it('for running jobs gives up after a day', () => {
    expect(blockedLimit).toBe(day)
    const job = makeJob(1, { changes: { state: 'running' } })
    const operation = makeOperation(1, host, { request: { kind: 'reboot' } })
    const planAt = (moment: number) => {
      const seen = { ...host, lastSeenAt: moment }
      return decide(
        spec,
        makeWorld({ hosts: [seen], jobs: [job], attempts: [makeAttempt(1, { job, host: seen })], operations: [operation] }),
        moment,
      )
    }
    expect(planAt(start + day - 1).steps).toEqual([])
    expect(planAt(start + day).steps).toMatchObject([
      { to: 'TIMEOUT', reason: 'waited 1d: 1 attempt still on mini-1; nothing new is placed there' },
    ])
  })
})

describe('limits [003-34]', () => {
  const limits = { warning: 5 * minute, hard: 15 * minute, reconnect: 90 * second }

  it('warn, then give time for more, then kill, each at its own moment', () => {
    const running = started('EXECUTING', { limits })
    expect(moveOf(running, start + 5 * minute - 1)).toBeNull()
    expect(planFor([running], start + 5 * minute - second).nextAt).toBe(start + 5 * minute)
    expect(steps(running, start + 5 * minute)).toMatchObject([{ to: 'RUNNING_WARNING', reason: 'runs for longer than 5m' }])
    const warned = started('RUNNING_WARNING', { limits })
    expect(moveOf(warned, start + 15 * minute - 1)).toBeNull()
    expect(steps(warned, start + 15 * minute)).toMatchObject([
      { to: 'TIMEOUT_PENDING', reason: 'over its limit; it is killed in 1m30s unless it gets more time' },
    ])
    expect(moveOf(running, start + 15 * minute)).toBe('TIMEOUT_PENDING')
    expect(extensionWindow).toBe(90 * second)
    const overdue = started('TIMEOUT_PENDING', { limits, changedAt: start + 15 * minute })
    expect(moveOf(overdue, start + 15 * minute + 90 * second - 1)).toBeNull()
    expect(steps(overdue, start + 15 * minute + 90 * second)).toEqual([
      { kind: 'killOperation', operationId: overdue.id, generation: 1, reason: 'over its limit' },
    ])
  })

  it('move with the deadline that a person gave', () => {
    const deadline = start + hour
    expect(deadlineOf(started('EXECUTING', { limits }))).toBe(start + 15 * minute)
    expect(deadlineOf(started('EXECUTING', { limits, deadline }))).toBe(deadline)
    expect(deadlineOf(makeOperation(1, host, { limits }))).toBe(start + 15 * minute)
    expect(moveOf(started('RUNNING_WARNING', { limits, deadline }), deadline - 1)).toBeNull()
    const back = started('TIMEOUT_PENDING', { limits, changedAt: start + 15 * minute, deadline })
    expect(steps(back, start + 16 * minute)).toMatchObject([{ to: 'RUNNING_WARNING', reason: 'it got more time' }])
    expect(planFor([back], deadline - second).nextAt).toBe(deadline)
    expect(moveOf(back, deadline)).toBe('kill')
  })

  it.each(['VALIDATING', 'BLOCKED'] as const)('end what is %s for too long', (state) => {
    expect(moveOf(started(state, { limits }), start + 15 * minute - 1)).toBeNull()
    expect(steps(started(state, { limits }), start + 15 * minute)).toMatchObject([
      { to: 'TIMEOUT', reason: 'the host did not start it in time' },
    ])
    expect(steps(started(state, { limits, killRequested: true }), start)).toMatchObject([
      { to: 'KILLED', reason: 'cancelled before it started' },
    ])
  })

  it('end the wait for a host that went away, counted from when it did', () => {
    const away = started('AWAITING_RECONNECT', { limits, changedAt: start + minute })
    expect(moveOf(away, start + minute + 90 * second - 1)).toBeNull()
    expect(steps(away, start + minute + 90 * second)).toMatchObject([{ to: 'TIMEOUT', reason: 'the host did not come back in time' }])
    expect(steps({ ...away, killRequested: true }, start + minute)).toMatchObject([
      { to: 'KILLED', reason: 'given up while the host was away' },
    ])
  })
})

describe('every operation ends, whatever host and agent do [003-15]', () => {
  it('one that is being killed counts as dead when its end is not reported', () => {
    const patience = 93 * second
    expect(killPatience(spec.limits)).toBe(patience)
    const killing = started('KILLING', { changedAt: start + hour })
    expect(moveOf(killing, start + hour + patience - 1)).toBeNull()
    expect(steps(killing, start + hour + patience)).toMatchObject([{ to: 'TIMEOUT', reason: 'its end was not reported within 1m33s' }])
    expect(moveOf({ ...killing, killRequested: true }, start + hour + patience)).toBe('KILLED')
  })

  it('when a person asks for its end', () => {
    expect(steps(started('EXECUTING', { killRequested: true }), start)).toEqual([
      { kind: 'killOperation', operationId: started('EXECUTING').id, generation: 1, reason: 'a person asked for it' },
    ])
    expect(moveOf(started('RUNNING_WARNING', { killRequested: true }), start)).toBe('kill')
    expect(moveOf(started('TIMEOUT_PENDING', { killRequested: true }), start)).toBe('kill')
  })

  it.each([
    ['VALIDATING', 'SKIPPED'],
    ['BLOCKED', 'SKIPPED'],
    ['EXECUTING', 'ERROR'],
    ['RUNNING_WARNING', 'ERROR'],
    ['TIMEOUT_PENDING', 'ERROR'],
    ['AWAITING_RECONNECT', 'ERROR'],
    ['KILLING', 'ERROR'],
  ] as const)('when its host left the fleet: %s becomes %s', (state, end) => {
    expect(steps(started(state), start, { state: 'retired' })).toMatchObject([{ to: end, reason: 'the host left the fleet' }])
    expect(decide(spec, makeWorld({ operations: [started(state)] }), start).steps).toMatchObject([{ to: end }])
  })

  it('from any state, in any way that time can pass, on a host that never answers', () => {
    const live = operationStates.filter((state) => !isTerminalOperation(state))
    const request = fc.constantFrom<Operation['request'][]>(
      { kind: 'exec', command: ['true'] },
      { kind: 'reboot' },
      { kind: 'restartAgent', drain: true },
    )
    fc.assert(
      fc.property(fc.constantFrom(...live), request, fc.boolean(), (state, kind, killRequested) => {
        const silent = { ...host, state: 'lost' as const }
        let operation = makeOperation(1, host, {
          ...(state === 'PENDING' ? {} : { startedAt: start, startedBootId: 'boot-1' }),
          state,
          request: kind,
          killRequested,
        })
        let world = makeWorld({ hosts: [silent], operations: [operation] })
        let now = start
        for (let round = 0; round < 20 && !isTerminalOperation(operation.state); round += 1) {
          const plan = decide(spec, world, now)
          for (const step of plan.steps) {
            if (step.kind !== 'moveOperation' && step.kind !== 'killOperation') continue
            operation = moveOperation(operation, { to: step.kind === 'killOperation' ? 'KILLING' : step.to, at: now, reason: step.reason })
            world = advanceWorld(world, [{ of: 'operation', id: operation.id, operation }])
          }
          if (!isTerminalOperation(operation.state)) now = plan.steps.length > 0 ? now + 1 : (plan.nextAt ?? now + day)
        }
        expect(isTerminalOperation(operation.state)).toBe(true)
        expect(now).toBeLessThan(start + hour)
      }),
    )
  })
})

describe('success', () => {
  const completedAt = start + minute
  const done = started('EXECUTING', { completedAt, exitCode: 0 })

  it('counts only from facts that are newer than the end of the operation [003-35]', () => {
    expect(moveOf(done, completedAt + second, factsFrom(completedAt))).toBeNull()
    expect(steps(done, completedAt + second, factsFrom(completedAt + 1))).toMatchObject([
      { to: 'SUCCESS', reason: 'done, and seen in newer facts of the host' },
    ])
    expect(moveOf(done, completedAt + second, { facts: null })).toBeNull()
    // A host whose clock is ahead must not prove anything by that.
    expect(moveOf(done, completedAt + second, factsFrom(completedAt + hour, hour))).toBeNull()
    expect(moveOf(done, completedAt + second, factsFrom(completedAt + hour + 1, hour))).toBe('SUCCESS')
  })

  it('does not come from an exit code that is not 0', () => {
    expect(steps({ ...done, exitCode: 3 }, completedAt, factsFrom(completedAt + 1))).toMatchObject([
      { to: 'ERROR', reason: 'it ended with code 3' },
    ])
    expect(moveOf({ ...done, exitCode: null }, completedAt + second, factsFrom(completedAt + 1))).toBe('SUCCESS')
  })

  it.each([
    ['EXECUTING', 'SUSPICIOUS'],
    ['RUNNING_WARNING', 'SUSPICIOUS'],
    ['AWAITING_RECONNECT', 'SUSPICIOUS'],
    ['TIMEOUT_PENDING', 'PARTIAL'],
    ['KILLING', 'PARTIAL'],
  ] as const)('without newer facts for 92 s is not success: %s becomes %s', (state, end) => {
    const waiting = {
      ...done,
      state,
      changedAt: completedAt,
      limits: { warning: hour, hard: 2 * hour, reconnect: hour },
      deadline: state === 'TIMEOUT_PENDING' ? start : null,
    }
    expect(moveOf(waiting, completedAt + 92 * second - 1, factsFrom(completedAt))).not.toBe(end)
    expect(steps(waiting, completedAt + 92 * second, factsFrom(completedAt))).toMatchObject([
      { to: end, reason: 'it reported success, and no newer facts of the host came' },
    ])
  })

  it('of a reboot shows in a new boot id, and facts taken after it', () => {
    const reboot = started('AWAITING_RECONNECT', {
      request: { kind: 'reboot' },
      changedAt: start + minute,
      limits: { warning: minute, hard: hour, reconnect: hour },
    })
    const back = { bootId: 'boot-2', ...factsFrom(start + minute + 1) }
    expect(moveOf(reboot, start + 2 * minute, back)).toBe('SUCCESS')
    expect(moveOf(reboot, start + 2 * minute, { ...back, ...factsFrom(start + minute) })).toBeNull()
    expect(moveOf(reboot, start + 2 * minute, { ...back, bootId: 'boot-1' })).toBeNull()
    expect(moveOf(reboot, start + 2 * minute, { ...back, bootId: null })).toBeNull()
    expect(moveOf({ ...reboot, startedBootId: null }, start + 2 * minute, back)).toBeNull()
    expect(moveOf({ ...reboot, request: { kind: 'restartAgent', drain: true } }, start + 2 * minute, back)).toBeNull()
    expect(moveOf({ ...reboot, state: 'VALIDATING' }, start + 2 * minute, back)).toBeNull()
    expect(moveOf({ ...reboot, state: 'BLOCKED' }, start + 2 * minute, back)).toBeNull()
  })

  it('of an upgrade shows in newer facts that name it as what brought the release; without them it ends at its deadline [003-36]', () => {
    const upgrade = started('AWAITING_RECONNECT', {
      request: upgradeRequest,
      changedAt: start + minute,
      limits: { warning: minute, hard: hour, reconnect: 5 * minute },
    })
    const release = { commit: null, path: '/releases/2.0.0', sha256: upgradeRequest.release, operation: upgrade.id as string | null }
    const runs = (at: number, change: Partial<typeof release> = {}) => ({
      facts: makeFacts({ at, agentRelease: { ...release, ...change } }),
    })
    expect(moveOf(upgrade, start + 2 * minute, runs(start + minute + 1))).toBe('SUCCESS')
    // The host came back by the new release and says nothing more of the operation: that is enough.
    expect(moveOf({ ...upgrade, state: 'EXECUTING' }, start + 2 * minute, runs(start + minute + 1))).toBe('SUCCESS')
    expect(moveOf(upgrade, start + 2 * minute, runs(start + minute))).toBeNull()
    // On trial, or brought by something else: that it runs is not yet that it stays.
    expect(moveOf(upgrade, start + 2 * minute, runs(start + minute + 1, { operation: null }))).toBeNull()
    expect(moveOf(upgrade, start + 2 * minute, runs(start + minute + 1, { operation: 'op_another' }))).toBeNull()
    expect(moveOf(upgrade, start + 2 * minute, factsFrom(start + minute + 1))).toBeNull()
    expect(moveOf(upgrade, start + 6 * minute - 1, factsFrom(start + 5 * minute))).toBeNull()
    expect(moveOf(upgrade, start + 6 * minute, factsFrom(start + 5 * minute))).toBe('TIMEOUT')
  })
})

it.each([
  ['reboot', { kind: 'reboot' }, 'AWAITING_RECONNECT'],
  ['upgrade of the agent', upgradeRequest, 'AWAITING_RECONNECT'],
  ['restart of the agent', { kind: 'restartAgent', drain: false }, 'AWAITING_RECONNECT'],
  ['command', { kind: 'exec', command: ['true'] }, null],
] satisfies [string, Operation['request'], OperationState | null][])(
  'a %s that makes its host silent waits for it to come back, if that is its nature',
  (_name, request, to) => {
    const limits = { warning: hour, hard: 2 * hour, reconnect: hour }
    expect(moveOf(started('EXECUTING', { request, limits }), start + minute, { state: 'lost', lastSeenAt: start })).toBe(to)
    expect(moveOf(started('RUNNING_WARNING', { request, limits }), start + minute, { state: 'lost', lastSeenAt: start })).toBe(to)
    expect(moveOf(started('EXECUTING', { request, limits }), start + minute)).toBeNull()
  },
)
