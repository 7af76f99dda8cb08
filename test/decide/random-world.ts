import fc from 'fast-check'
import { advanceWorld, emptyWorld } from '../../src/decide/advance-world.ts'
import type { Host } from '../../src/model/host.ts'
import { hour, minute, second } from '../../src/model/instant.ts'
import type { Attempt, Job } from '../../src/model/job.ts'
import { operationTransitions, type Operation, type OperationState } from '../../src/model/operation.ts'
import type { Sandbox } from '../../src/model/sandbox.ts'
import type { Spec } from '../../src/model/spec.ts'
import {
  changesOf,
  makeAttempt,
  makeEngine,
  makeFacts,
  makeHost,
  makeJob,
  makeOperation,
  makeSandbox,
  makeSpec,
  provenReady,
  start,
} from './build-world.ts'
import type { Scene } from './carry-out.ts'

/** A fleet for properties: mixed hosts in every state, jobs in every state, things that contradict each other as the field does. */
export function randomSpec(): fc.Arbitrary<Spec> {
  return fc
    .record({
      weight: fc.constantFrom(1, 2, 5),
      maxRunning: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
      slots: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
      limits: fc.constantFrom('enforced', 'advisory'),
      ciPools: fc.constantFrom([], ['minis'], ['default', 'minis']),
      holdAfter: fc.constantFrom('1s', '10m'),
      reboots: fc.constantFrom(0, 1, 2),
    })
    .map((it) =>
      makeSpec({
        pools: {
          default: { engines: { user: { limits: 'advisory', ...(it.slots === undefined ? {} : { slots: it.slots }) } } },
          minis: {
            hosts: ['mini-1*', 'mini-3'],
            labels: { xcode: '16' },
            engines: { user: { limits: it.limits }, tart: { limits: 'advisory' } },
            repair: { reboots: it.reboots },
          },
        },
        images: { 'macos-15': { engine: 'tart' } },
        queues: {
          default: {},
          ci: { pools: it.ciPools, weight: it.weight, ...(it.maxRunning === undefined ? {} : { maxRunning: it.maxRunning }) },
        },
        limits: { holdAfter: it.holdAfter },
      }),
    )
}

function randomHost(number: number): fc.Arbitrary<Host> {
  return fc
    .record({
      state: fc.constantFrom<Host['state'][]>('up', 'up', 'up', 'up', 'enrolled', 'lost', 'retired'),
      schedulable: fc.constantFrom<Host['schedulable'][]>(
        { kind: 'open' },
        { kind: 'open' },
        { kind: 'open' },
        { kind: 'cordoned', by: 'user:bob', at: start, reason: '' },
        { kind: 'draining', by: 'user:bob', at: start, reason: '', deadline: start + 30 * second },
        { kind: 'quarantined', at: start, reason: 'broken', cure: 'repair' },
        { kind: 'quarantined', at: start - minute, reason: 'ill', cure: 'wait', repair: { engines: ['tart'], tries: 0 } },
        { kind: 'quarantined', at: start - hour, reason: 'ill', cure: 'wait', repair: { engines: ['user', 'tart'], tries: 1 } },
        { kind: 'quarantined', at: start - 30 * hour, reason: 'ill', cure: 'wait', repair: { engines: ['tart'], tries: 3 } },
      ),
      heardAgo: fc.constantFrom(0, 0, 10 * second, 31 * second, 5 * minute, 2 * hour),
      proofAgo: fc.constantFrom(0, 0, 0, 20 * minute, 30 * hour),
      proofOk: fc.constantFrom(true, true, true, false),
      engineOk: fc.constantFrom(true, true, true, false),
      cpu: fc.constantFrom(2, 4, 8),
      freeDisk: fc.constantFrom(5_000, 100_000),
      bootId: fc.constantFrom('boot-1', 'boot-1', 'boot-2'),
      failureStreak: fc.constantFrom(0, 0, 0, 2, 3),
      labels: fc.constantFrom<Host['labels'][]>({}, { xcode: '15' }, { rack: 'a' }),
      hasFacts: fc.constantFrom(true, true, true, true, false),
      skew: fc.constantFrom(0, 0, 40 * minute),
      stranger: fc.boolean(),
      ill: fc.constantFrom(undefined, undefined, 'tart' as const, 'user' as const),
      repairedAgo: fc.constantFrom(null, 20 * second, 59 * minute, 2 * hour),
    })
    .map((it) => {
      const at = start - it.proofAgo + it.skew
      const readiness = [
        provenReady('user', null, at),
        { ...provenReady('tart', 'macos-15', at), boot: { ok: it.proofOk, at, reason: 'no boot' } },
      ]
      const facts = makeFacts({
        capacity: { cpu: it.cpu, memoryMiB: 8192, diskMiB: 100_000 },
        free: { cpu: it.cpu, memoryMiB: 8192, diskMiB: it.freeDisk },
        engines: [makeEngine('user', { ok: it.engineOk }), makeEngine('tart')],
        images: ['macos-15'],
        readiness,
        sandboxes: it.stranger ? [{ id: 'someone-elses', engine: 'tart', state: 'running' }] : [],
        clockSkewMs: it.skew,
        ...(it.ill === undefined ? {} : { needsReboot: [{ engine: it.ill, reason: 'it is stuck' }] }),
      })
      const { state, schedulable, bootId, failureStreak, labels } = it
      return makeHost(number, {
        state,
        schedulable,
        bootId,
        failureStreak,
        labels,
        lastSeenAt: start - it.heardAgo,
        repairedAt: it.repairedAgo === null ? null : start - it.repairedAgo,
        facts: it.hasFacts ? facts : null,
      })
    })
}

function randomJob(number: number, spec: Spec): fc.Arbitrary<Job> {
  return fc
    .record({
      queue: fc.constantFrom('default', 'ci'),
      tart: fc.boolean(),
      cpu: fc.constantFrom(0.5, 1, 2, 4, 16),
      diskMiB: fc.constantFrom(0, 4096, 50_000),
      labels: fc.constantFrom<Record<string, string>[]>({}, {}, { xcode: '16' }, { xcode: '15' }, { host: 'mini-1' }),
      priority: fc.constantFrom(-5, 0, 0, 5),
      ago: fc.constantFrom(0, 1000, 20 * minute),
      delayed: fc.constantFrom(0, 0, 0, 30 * second),
      cancelled: fc.constantFrom(false, false, false, true),
      avoids: fc.constantFrom<number[]>([], [], [1], [1, 2, 3]),
      network: fc.constantFrom('nat', 'none'),
      infrastructureFailures: fc.integer({ min: 0, max: 3 }),
    })
    .map((it) => {
      const { queue, labels, priority, network, infrastructureFailures } = it
      const wants = {
        queue,
        labels,
        priority,
        network,
        shape: { cpu: it.cpu, diskMiB: it.diskMiB },
        ...(it.tart ? { image: 'macos-15' } : {}),
      }
      return makeJob(number, {
        spec,
        wants,
        changes: {
          submittedAt: start - it.ago,
          notBefore: start - it.ago + (it.delayed === 0 ? 0 : it.ago + it.delayed),
          cancelRequested: it.cancelled ? { by: 'user:alice', at: start } : null,
          avoidHosts: it.avoids.map((host) => makeHost(host).id),
          infrastructureFailures,
        },
      })
    })
}

interface Running {
  readonly job: Job
  readonly attempt: Attempt
}

function randomRunning(number: number, spec: Spec, hosts: readonly Host[]): fc.Arbitrary<Running> {
  return fc
    .record({
      job: randomJob(1000 + number, spec),
      host: fc.nat({ max: hosts.length - 1 }),
      receiptAgo: fc.constantFrom(0, minute, 40 * minute),
      cancelRequested: fc.boolean(),
    })
    .map(({ job, host, receiptAgo, cancelRequested }) => {
      const running: Job = { ...job, state: 'running', attempts: 1 }
      const receiptAt = start - receiptAgo
      const attempt = makeAttempt(
        number,
        { job: running, host: pick(hosts, host) },
        {
          hostBootId: 'boot-1',
          receiptAt,
          leaseUntil: receiptAt + 30 * minute,
          cancelRequested: cancelRequested ? { by: 'user:alice', at: start } : null,
        },
      )
      return { job: running, attempt }
    })
}

const liveStates = (Object.keys(operationTransitions) as OperationState[]).filter((state) => operationTransitions[state].length > 0)

function randomOperation(number: number, hosts: readonly Host[]): fc.Arbitrary<Operation> {
  return fc
    .record({
      host: fc.nat({ max: hosts.length - 1 }),
      state: fc.constantFrom(...liveStates, 'PENDING', 'PENDING'),
      request: fc.constantFrom<Operation['request'][]>(
        { kind: 'exec', command: ['true'] },
        { kind: 'reboot' },
        { kind: 'restartAgent', drain: true },
        { kind: 'restartAgent', drain: false },
      ),
      ago: fc.constantFrom(0, 6 * minute, 11 * minute, 40 * minute, 25 * hour),
      changedAgo: fc.constantFrom(0, 100 * second, 5 * minute),
      completedAgo: fc.constantFrom(null, null, -1, 10 * second, 3 * minute),
      exitCode: fc.constantFrom(null, 0, 1),
      killRequested: fc.constantFrom(false, false, true),
      extended: fc.constantFrom(null, null, start + hour),
    })
    .map((it) =>
      makeOperation(number, pick(hosts, it.host), {
        state: it.state,
        request: it.request,
        requestedAt: start - it.ago,
        startedAt: it.state === 'PENDING' ? null : start - it.ago,
        changedAt: start - it.changedAgo,
        startedBootId: it.state === 'PENDING' ? null : 'boot-1',
        completedAt: it.completedAgo === null || it.state === 'PENDING' ? null : start - it.completedAgo,
        exitCode: it.exitCode,
        killRequested: it.killRequested,
        deadline: it.extended,
      }),
    )
}

function randomSandbox(number: number, hosts: readonly Host[]): fc.Arbitrary<Sandbox> {
  return fc
    .record({
      host: fc.nat({ max: hosts.length - 1 }),
      state: fc.constantFrom<Sandbox['state'][]>('requested', 'running', 'running', 'stopped', 'removing'),
      left: fc.integer({ min: -600, max: 3600 }),
      hardLeft: fc.integer({ min: -600, max: 7200 }),
      idleMs: fc.constantFrom(null, minute, hour),
      usedAgo: fc.constantFrom(0, 2 * minute),
      warnedAgo: fc.constantFrom(null, 0, hour),
    })
    .map((it) =>
      makeSandbox(number, pick(hosts, it.host), {
        state: it.state,
        createdAt: start - 2 * hour,
        expiresAt: start + it.left * second,
        hardExpiresAt: start + it.hardLeft * second,
        idleMs: it.idleMs,
        lastUsedAt: start - it.usedAgo,
        warnedAt: it.warnedAgo === null ? null : start - it.warnedAgo,
      }),
    )
}

function pick(hosts: readonly Host[], index: number): Host {
  const host = hosts[index]
  if (host === undefined) throw new Error('no such host')
  return host
}

function listOf<T>(count: number, make: (number: number) => fc.Arbitrary<T>): fc.Arbitrary<T[]> {
  return fc.integer({ min: 0, max: count }).chain((length) => fc.tuple(...Array.from({ length }, (_, index) => make(index + 1))))
}

/** A scene to decide in, at `start` plus up to a minute. */
export function randomScene(): fc.Arbitrary<Scene> {
  return randomSpec().chain((spec) =>
    fc.tuple(...Array.from({ length: 4 }, (_, index) => randomHost(index + 1))).chain((hosts) =>
      fc
        .record({
          jobs: listOf(14, (number) => randomJob(number, spec)),
          running: listOf(5, (number) => randomRunning(number, spec, hosts)),
          operations: listOf(4, (number) => randomOperation(number, hosts)),
          sandboxes: listOf(2, (number) => randomSandbox(number, hosts)),
          listeningAgo: fc.constantFrom(hour, hour, 10 * second),
          later: fc.constantFrom(0, 1, 30 * second),
        })
        .map(({ jobs, running, operations, sandboxes, listeningAgo, later }) => {
          const all = [...jobs, ...running.map(({ job }) => job)]
          const things = { hosts, jobs: all, attempts: running.map(({ attempt }) => attempt), operations, sandboxes }
          const world = advanceWorld(emptyWorld(start - listeningAgo), changesOf(things), spec)
          return { spec, world, jobs: new Map(all.map((job) => [job.id as string, job])), now: start + later, made: 0 }
        }),
    ),
  )
}
