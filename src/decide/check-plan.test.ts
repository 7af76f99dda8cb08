import { describe, expect, it } from 'vitest'
import {
  makeAttempt,
  makeEngine,
  makeFacts,
  makeHost,
  makeJob,
  makeOperation,
  makeSandbox,
  makeSpec,
  makeWorld,
  provenReady,
  start,
  type JobWish,
  type Things,
} from '../../test/decide/build-world.ts'
import type { Host } from '../model/host.ts'
import { hour, minute, second } from '../model/instant.ts'
import type { Job } from '../model/job.ts'
import type { Step } from '../model/plan.ts'
import type { Spec } from '../model/spec.ts'
import { checkPlan } from './check-plan.ts'

const plainSpec = makeSpec({ images: { 'macos-15': { engine: 'tart' } } })
const host = makeHost(1)

function problems(steps: readonly Step[], things: Things, given: { spec?: Spec; now?: number } = {}): string[] {
  const scene = { spec: given.spec ?? plainSpec, world: makeWorld(things), now: given.now ?? start }
  return checkPlan({ steps, waiting: [], nextAt: null }, scene).map(({ index, problem, step }) => {
    expect(step).toBe(steps[index])
    return `${index}: ${problem}`
  })
}

function assign(job: Job, to: Host = host): Step {
  return { kind: 'assign', jobId: job.id, jobGeneration: job.generation, hostId: to.id, hostGeneration: to.generation, why: '' }
}

function job(number: number, wish: JobWish = {}): Job {
  return makeJob(number, { spec: plainSpec, ...wish })
}

/** The problem of placing one job on one host. */
function refusal(given: { host?: Partial<Host>; job?: JobWish; spec?: Spec; now?: number; things?: Things }): string | undefined {
  const target = makeHost(1, given.host)
  const wanted = job(1, given.job)
  const found = problems([assign(wanted, target)], { hosts: [target], jobs: [wanted], ...given.things }, given)
  expect(found.length).toBeLessThanOrEqual(1)
  return found[0]?.slice('0: '.length)
}

describe('the checker lets a job be placed', () => {
  it('where everything is right', () => {
    expect(refusal({})).toBeUndefined()
    expect(refusal({ now: start + 30 * second })).toBeUndefined()
  })

  it('but not twice', () => {
    const [one, other] = [host, makeHost(2)]
    expect(problems([assign(job(1), one), assign(job(1), other)], { hosts: [one, other], jobs: [job(1)] })).toEqual([
      `1: a second step for job ${job(1).id}`,
    ])
  })

  it.each([
    ['assigned', { state: 'assigned' }, 'the job is assigned'],
    ['cancelled', { cancelRequested: { by: 'user:alice', at: start } }, 'the job was cancelled'],
    ['delayed', { notBefore: start + 1 }, 'the job waits for its retry'],
  ] as const)('not when it is %s', (_name, changes, problem) => {
    expect(refusal({ job: { changes } })).toBe(problem)
  })

  it('not when it, or the host, has ended', () => {
    expect(problems([assign(job(1))], { hosts: [host] })).toEqual(['0: the job has ended'])
    expect(problems([assign(job(1))], { jobs: [job(1)] })).toEqual(['0: the host left the fleet'])
  })

  it('not under an older generation', () => {
    const [newer, newerHost] = [job(1, { changes: { generation: 2 } }), makeHost(1, { generation: 2 })]
    expect(problems([assign(job(1))], { hosts: [host], jobs: [newer] })).toEqual(['0: decided under job generation 1, it is 2 now'])
    expect(problems([assign(job(1))], { hosts: [newerHost], jobs: [job(1)] })).toEqual(['0: decided under host generation 1, it is 2 now'])
  })

  it('not while an attempt of it may be alive', () => {
    expect(refusal({ things: { hosts: [host], jobs: [job(1)], attempts: [makeAttempt(1, { job: job(1), host })] } })).toBe(
      'the job has an attempt that may be alive',
    )
  })

  it.each([
    ['lost', { state: 'lost' }, 'the host is lost'],
    ['cordoned', { schedulable: { kind: 'cordoned', by: '', at: 0, reason: '' } }, 'the host is cordoned'],
    ['silent', { lastSeenAt: start - 30 * second - 1 }, 'the host missed a sync'],
    ['of a pool that is gone', { pool: 'gone' }, 'the host does not offer engine user'],
    ['unknown', { facts: null }, 'the host does not offer engine user'],
  ] as const)('not on a host that is %s', (_name, changes, problem) => {
    expect(refusal({ host: changes })).toBe(problem)
  })

  it.each([{ kind: 'reboot' as const }, { kind: 'restartAgent' as const, drain: true }])(
    'not on a host that is about to restart',
    (request) => {
      expect(refusal({ things: { hosts: [host], jobs: [job(1)], operations: [makeOperation(1, host, { request })] } })).toBe(
        'the host is about to restart',
      )
      const elsewhere = makeOperation(1, makeHost(2), { request })
      expect(refusal({ things: { hosts: [host], jobs: [job(1)], operations: [elsewhere, makeOperation(2, host)] } })).toBeUndefined()
    },
  )

  it('not where pool, labels, network, image or proofs do not match', () => {
    expect(refusal({ spec: makeSpec({ queues: { default: { pools: ['other'] } } }) })).toBe('the pool does not serve the queue')
    expect(refusal({ spec: makeSpec({ queues: { ci: {} } }) })).toBe('the pool does not serve the queue')
    expect(refusal({ job: { wants: { labels: { xcode: '16' } } } })).toBe('the host has no label xcode=16')
    expect(refusal({ host: { labels: { xcode: '16' } }, job: { wants: { labels: { xcode: '16' } } } })).toBeUndefined()
    const open = makeSpec({ pools: { default: { engines: { user: { networks: ['host', 'nat'] } } } } })
    expect(refusal({ job: { spec: open, wants: { network: 'host' } } })).toBe('the host gives no network host')
    const closed = makeFacts({ engines: [makeEngine('user', { capabilities: { ...makeEngine().capabilities, networks: ['none'] } })] })
    expect(refusal({ host: { facts: closed } })).toBe('the host gives no network nat')
    const tart = (images: string[]) => makeFacts({ engines: [makeEngine('tart')], images, readiness: [provenReady('tart', 'macos-15')] })
    expect(refusal({ host: { facts: tart([]) }, job: { wants: { image: 'macos-15' } } })).toBe('image macos-15 is not on the host')
    expect(refusal({ host: { facts: tart(['macos-15']) }, job: { wants: { image: 'macos-15' } } })).toBeUndefined()
    expect(refusal({ host: { facts: makeFacts({ readiness: [] }) } })).toBe('the host is not proved ready: never probed')
    expect(refusal({ host: { facts: makeFacts({ readiness: [provenReady('user', null, start + hour)] }) } })).toBe(
      'the host is not proved ready: the check is too old',
    )
    expect(
      refusal({ host: { facts: makeFacts({ clockSkewMs: hour, readiness: [provenReady('user', null, start + hour)] }) } }),
    ).toBeUndefined()
  })

  it.each([
    ['CPU', { cpu: 5 }],
    ['memory', { memoryMiB: 10_000 }],
    ['disk', { diskMiB: 110_000 }],
  ])('not beyond the %s of the host', (what, shape) => {
    const jobs = [job(1, { wants: { shape } }), job(2, { wants: { shape } })]
    expect(
      problems(
        jobs.map((one) => assign(one)),
        { hosts: [host], jobs },
      ),
    ).toEqual([`1: the host has not enough ${what}`])
    const running = { ...job(3, { wants: { shape } }), state: 'running' as const }
    const things = { hosts: [host], jobs: [...jobs, running], attempts: [makeAttempt(1, { job: running, host })] }
    expect(problems([assign(job(1, { wants: { shape } }))], things)).toEqual([`0: the host has not enough ${what}`])
  })

  it('exactly up to what the host has', () => {
    expect(refusal({ job: { wants: { shape: { cpu: 8, memoryMiB: 16_384, diskMiB: 204_800 } } } })).toBeUndefined()
    const facts = makeFacts({ capacity: { cpu: 0.3, memoryMiB: 16_384, diskMiB: 102_400 } })
    const tiny = [1, 2, 3].map((number) => job(number, { wants: { shape: { cpu: 0.1 } } }))
    expect(
      problems(
        tiny.map((one) => assign(one)),
        { hosts: [makeHost(1, { facts })], jobs: tiny },
      ),
    ).toEqual([])
  })

  it('not beyond the slots of pool and engine, sandboxes of people included', () => {
    const jobs = [1, 2, 3, 4, 5].map((number) => job(number, { wants: { shape: { cpu: 1 } } }))
    const all = jobs.map((one) => assign(one))
    expect(problems(all, { hosts: [host], jobs })).toEqual(['4: the host has no free slot of engine user'])
    const spec = makeSpec({ pools: { default: { engines: { user: { limits: 'advisory', slots: 3 } } } } })
    expect(problems(all, { hosts: [host], jobs }, { spec })).toHaveLength(2)
    expect(problems(all, { hosts: [host], jobs, sandboxes: [makeSandbox(1, host), makeSandbox(2, makeHost(2))] })).toHaveLength(2)
    expect(refusal({ host: { facts: makeFacts({ engines: [makeEngine('user', { ok: false })] }) } })).toBe(
      'the host has no free slot of engine user',
    )
  })

  it('not beyond the limit of its queue', () => {
    const spec = makeSpec({ queues: { default: { maxRunning: 2 } } })
    const running = { ...job(9), state: 'running' as const }
    const jobs = [job(1), job(2)]
    const things = { hosts: [host], jobs: [...jobs, running], attempts: [makeAttempt(1, { job: running, host })] }
    expect(
      problems(
        jobs.map((one) => assign(one)),
        things,
        { spec },
      ),
    ).toEqual(['1: queue default runs as many jobs as it may'])
  })
})

describe('the checker lets a queued job be cancelled', () => {
  const cancelled = makeJob(1, { changes: { cancelRequested: { by: 'user:alice', at: start } } })
  const step: Step = { kind: 'cancelQueued', jobId: cancelled.id, jobGeneration: 1 }

  it('when somebody asked for it and nothing of it may run', () => {
    expect(problems([step], { jobs: [cancelled] })).toEqual([])
    expect(problems([step, step], { jobs: [cancelled] })).toEqual([`1: a second step for job ${cancelled.id}`])
    expect(problems([step], { jobs: [job(1)] })).toEqual(['0: nobody cancelled the job'])
    expect(problems([step], {})).toEqual(['0: the job is not queued'])
    expect(problems([step], { jobs: [{ ...cancelled, state: 'running' }] })).toEqual(['0: the job is not queued'])
    expect(problems([{ ...step, jobGeneration: 0 }], { jobs: [cancelled] })).toEqual(['0: decided under generation 0, it is 1 now'])
    expect(problems([step], { hosts: [host], jobs: [cancelled], attempts: [makeAttempt(1, { job: cancelled, host })] })).toEqual([
      '0: the job has an attempt that may be alive',
    ])
  })
})

describe('the checker lets an attempt', () => {
  const running = makeJob(1, { changes: { state: 'running' } })
  const attempt = makeAttempt(1, { job: running, host })
  const at = { attemptId: attempt.id, jobId: running.id, generation: 1 }
  const end: Step = { kind: 'endAttempt', ...at, outcome: { kind: 'infrastructure', part: 'host', code: 'X', message: '' }, why: '' }
  const cancel: Step = { kind: 'cancelAttempt', ...at, by: 'user:alice' }
  const things = (seen: Host, changes = {}) => ({ hosts: [seen], jobs: [running], attempts: [{ ...attempt, ...changes }] })

  it('be ended only when it cannot be alive', () => {
    expect(problems([end], things(host))).toEqual(['0: the attempt may still be alive'])
    expect(problems([end], things(makeHost(1, { state: 'retired' })))).toEqual([])
    expect(problems([end], things(makeHost(1, { bootId: 'boot-2' })))).toEqual([])
    expect(problems([end], things(makeHost(1, { bootId: null })))).toEqual(['0: the attempt may still be alive'])
    expect(problems([end], things(makeHost(1, { bootId: 'boot-2' }), { hostBootId: '' }))).toEqual(['0: the attempt may still be alive'])
    expect(problems([end], things(host), { now: start + 34 * minute })).toEqual([])
    expect(problems([end], things(host), { now: start + 34 * minute - 1 })).toHaveLength(1)
    expect(problems([end], { jobs: [running], attempts: [attempt] }, { now: start + 34 * minute })).toEqual([])
  })

  it('be asked to stop at any time, once, under its generation', () => {
    expect(problems([cancel], things(host))).toEqual([])
    expect(problems([cancel, end], things(host))).toEqual([`1: a second step for attempt ${attempt.id}`])
    expect(problems([{ ...cancel, generation: 7 }], things(host))).toEqual(['0: decided under generation 7, it is 1 now'])
    expect(problems([{ ...end, generation: 7 }], things(host))).toEqual(['0: decided under generation 7, it is 1 now'])
    expect(problems([cancel], {})).toEqual(['0: the attempt has ended'])
  })
})

describe('the checker lets a host', () => {
  const at = { hostId: host.id, hostGeneration: 1 }
  const lose: Step = { kind: 'hostLost', ...at, silentMs: 0 }
  const quarantine: Step = { kind: 'quarantineHost', ...at, reason: '', cure: '', repair: null }

  it('be lost after the lost interval only', () => {
    expect(problems([lose], { hosts: [host] }, { now: start + 90 * second })).toEqual([])
    expect(problems([lose], { hosts: [host] }, { now: start + 90 * second - 1 })).toEqual(['0: the host was heard of lately'])
    expect(problems([lose], { hosts: [makeHost(1, { state: 'lost' })] })).toEqual(['0: the host is lost already'])
  })

  it('be put into quarantine from open only', () => {
    expect(problems([quarantine], { hosts: [host] })).toEqual([])
    expect(problems([quarantine], { hosts: [makeHost(1, { schedulable: { kind: 'quarantined', at: 0, reason: '', cure: '' } })] })).toEqual(
      ['0: the host is quarantined already'],
    )
  })

  it('have one step, of its own generation, while it is there', () => {
    expect(problems([quarantine, lose], { hosts: [host] })).toEqual([`1: a second step for host ${host.id}`])
    expect(problems([{ ...lose, hostGeneration: 0 }], { hosts: [host] })).toEqual(['0: decided under generation 0, it is 1 now'])
    expect(problems([lose], {})).toEqual(['0: the host left the fleet'])
    expect(problems([quarantine], { hosts: [makeHost(1, { state: 'retired' })] })).toEqual(['0: the host left the fleet'])
  })
})

describe('the checker lets an operation', () => {
  const operation = makeOperation(1, host)
  const move = (to: 'VALIDATING' | 'SUCCESS' | 'SKIPPED', of = operation): Step => ({
    kind: 'moveOperation',
    operationId: of.id,
    generation: of.generation,
    to,
    reason: '',
  })
  const kill: Step = { kind: 'killOperation', operationId: operation.id, generation: 1, reason: '' }

  it('move along its table, under its generation, once', () => {
    expect(problems([move('VALIDATING')], { operations: [operation] })).toEqual([])
    expect(problems([move('SUCCESS')], { operations: [operation] })).toEqual(['0: no operation goes from PENDING to SUCCESS'])
    expect(problems([kill], { operations: [operation] })).toEqual(['0: no operation goes from PENDING to KILLING'])
    expect(problems([kill], { operations: [{ ...operation, state: 'EXECUTING' }] })).toEqual([])
    expect(problems([kill, move('VALIDATING')], { operations: [{ ...operation, state: 'EXECUTING' }] })).toEqual([
      `1: a second step for operation ${operation.id}`,
    ])
    expect(problems([move('VALIDATING')], { operations: [{ ...operation, generation: 2 }] })).toEqual([
      '0: decided under generation 1, it is 2 now',
    ])
    expect(problems([move('VALIDATING')], {})).toEqual(['0: the operation has ended'])
  })

  it('start only when its host does nothing else', () => {
    const other = makeOperation(2, host)
    const busy = { ...other, state: 'EXECUTING' as const }
    expect(problems([move('VALIDATING'), move('VALIDATING', other)], { operations: [operation, other] })).toEqual([
      '1: the host has another operation',
    ])
    expect(problems([move('VALIDATING')], { operations: [operation, busy] })).toEqual(['0: the host has another operation'])
    expect(problems([move('SKIPPED')], { operations: [operation, busy] })).toEqual([])
    const elsewhere = makeOperation(3, makeHost(2))
    expect(problems([move('VALIDATING'), move('VALIDATING', elsewhere)], { operations: [operation, elsewhere] })).toEqual([])
  })
})

describe('the checker lets a sandbox', () => {
  const sandbox = makeSandbox(1, host)
  const warn: Step = { kind: 'warnSandbox', sandboxId: sandbox.id, generation: 1, expiresAt: start }
  const remove: Step = { kind: 'removeSandbox', sandboxId: sandbox.id, generation: 1, reason: '' }

  it('be warned of and removed in one plan, each once', () => {
    expect(problems([warn, remove], { sandboxes: [sandbox] })).toEqual([])
    expect(problems([remove, remove], { sandboxes: [sandbox] })).toEqual([`1: a second step for removeSandbox ${sandbox.id}`])
  })

  it('not when it is gone, going, or has changed', () => {
    expect(problems([warn], {})).toEqual(['0: the sandbox is gone'])
    expect(problems([remove], { sandboxes: [{ ...sandbox, state: 'removing' }] })).toEqual(['0: the sandbox is removing already'])
    expect(problems([warn], { sandboxes: [{ ...sandbox, generation: 5 }] })).toEqual(['0: decided under generation 1, it is 5 now'])
  })
})
