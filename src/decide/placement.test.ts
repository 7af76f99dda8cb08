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
  type Things,
} from '../../test/decide/build-world.ts'
import type { Host } from '../model/host.ts'
import { hour, minute, second } from '../model/instant.ts'
import type { Job } from '../model/job.ts'
import type { Plan, Waiting } from '../model/plan.ts'
import type { Spec } from '../model/spec.ts'
import { advanceWorld } from './advance-world.ts'
import { decide } from './decide.ts'

const now = start + second

function planFor(things: Things, spec: Spec = makeSpec()): Plan {
  return decide(spec, makeWorld(things), now)
}

/** Names of the hosts that jobs were given, in the order of the steps. */
function placedOn(plan: Plan, hosts: readonly Host[]): string[] {
  return plan.steps.flatMap((step) => (step.kind === 'assign' ? [hosts.find((host) => host.id === step.hostId)?.name ?? '?'] : []))
}

function reasons(plan: Plan): Waiting[] {
  return plan.waiting.filter((waiting) => waiting.subject.startsWith('class/'))
}

/** The one reason that a class waits for. */
function reason(things: Things, spec?: Spec): Waiting {
  const [first, ...others] = reasons(planFor(things, spec))
  if (first === undefined || others.length > 0) throw new Error(`one reason expected, ${others.length + 1} found`)
  return first
}

function running(number: number, host: Host, wants: Record<string, unknown> = {}) {
  const job = makeJob(1000 + number, { wants, changes: { state: 'running' } })
  return { job, attempt: makeAttempt(number, { job, host }) }
}

function withRunning(
  hosts: readonly Host[],
  busy: readonly { job: Job; attempt: ReturnType<typeof makeAttempt> }[],
  jobs: readonly Job[],
): Things {
  return { hosts, jobs: [...jobs, ...busy.map(({ job }) => job)], attempts: busy.map(({ attempt }) => attempt) }
}

describe('a job is placed', () => {
  it('on a host that is up, open and proved ready, under the generations that were seen', () => {
    const [host, job] = [makeHost(1, { generation: 7 }), makeJob(1, { changes: { generation: 3 } })]
    expect(planFor({ hosts: [host], jobs: [job] }).steps).toEqual([
      { kind: 'assign', jobId: job.id, jobGeneration: 3, hostId: host.id, hostGeneration: 7, why: 'the only matching host' },
    ])
  })

  it('on the least loaded host: the largest of its slots, CPU, memory and disk in use, each as part of what it has [000-53]', () => {
    const size = (cpu: number, memoryMiB: number, slots: number) =>
      makeFacts({
        capacity: { cpu, memoryMiB, diskMiB: 1_000_000 },
        free: { cpu, memoryMiB, diskMiB: 900_000 },
        engines: [makeEngine('user', { slots })],
      })
    const hosts = [
      makeHost(1, { name: 'small', facts: size(2, 4096, 1) }),
      makeHost(2, { name: 'large', facts: size(8, 16_384, 4) }),
      makeHost(3, { name: 'large-unproved', facts: { ...size(8, 16_384, 4), readiness: [] } }),
    ]
    const jobs = Array.from({ length: 7 }, (_, index) => makeJob(index + 1, { wants: { shape: { cpu: 1, memoryMiB: 1024 } } }))
    const plan = planFor({ hosts, jobs })
    expect(placedOn(plan, hosts)).toEqual(['small', 'large', 'large', 'large', 'large'])
    expect(reasons(plan).map(({ code }) => code)).toEqual(['noCapacity', 'readinessUnknown'])
  })

  it.each([
    ['CPU', { cpu: 4 }, { cpu: 2 }],
    ['memory', { memoryMiB: 8192 }, { memoryMiB: 4096 }],
    ['disk', { diskMiB: 80_000 }, { diskMiB: 20_000 }],
  ])('counting %s in use', (_what, most, less) => {
    const hosts = [makeHost(1), makeHost(2), makeHost(3)]
    const [first, second_, third] = hosts as [Host, Host, Host]
    const busy = [running(1, first, { shape: most }), running(2, second_, { shape: less }), running(3, third, { shape: most })]
    expect(placedOn(planFor(withRunning(hosts, busy, [makeJob(1)])), hosts)).toEqual(['mini-2'])
  })

  it('where its image was booted last, of hosts that are loaded alike', () => {
    const tart = (at: number) =>
      makeFacts({ engines: [makeEngine('tart')], images: ['macos-15'], readiness: [provenReady('tart', 'macos-15', at)] })
    const hosts = [
      makeHost(1, { facts: tart(start - 9000) }),
      makeHost(2, { facts: tart(start - 3000) }),
      makeHost(3, { facts: tart(start - 6000) }),
    ]
    const spec = makeSpec({ images: { 'macos-15': { engine: 'tart' } } })
    const job = makeJob(1, { spec, wants: { image: 'macos-15' } })
    expect(placedOn(planFor({ hosts, jobs: [job] }, spec), hosts)).toEqual(['mini-2'])
  })

  it('on the host with the lower id, of hosts that are alike', () => {
    const hosts = [makeHost(2), makeHost(1)]
    expect(placedOn(planFor({ hosts, jobs: [makeJob(1)] }), hosts)).toEqual(['mini-1'])
  })

  it('away from hosts that failed it before, unless there is no other', () => {
    const hosts = [makeHost(1), makeHost(2), makeHost(3)]
    const [first, second_, third] = hosts as [Host, Host, Host]
    const busy = [running(1, third)]
    const fussy = makeJob(1, { changes: { avoidHosts: [first.id, second_.id] } })
    expect(placedOn(planFor(withRunning(hosts, busy, [fussy])), hosts)).toEqual(['mini-3'])
    expect(placedOn(planFor({ hosts: [first, second_], jobs: [fussy] }), hosts)).toEqual(['mini-1'])
    // What one job avoids is still there for the next.
    expect(placedOn(planFor({ hosts: [first], jobs: [fussy, makeJob(2)] }), hosts)).toEqual(['mini-1', 'mini-1'])
  })

  it('by priority, then by age, then by id', () => {
    const hosts = [makeHost(1)]
    const jobs = [
      makeJob(1, { wants: { priority: -1 }, changes: { submittedAt: start - 100 } }),
      makeJob(2, { wants: { priority: 5 } }),
      makeJob(3, { wants: { shape: { cpu: 2 } }, changes: { submittedAt: start - 5 } }),
      makeJob(5),
      makeJob(4),
    ]
    const plan = planFor({ hosts, jobs })
    expect(plan.steps.map((step) => (step.kind === 'assign' ? jobs.findIndex(({ id }) => id === step.jobId) + 1 : 0))).toEqual([2, 3, 5, 4])
  })

  it('next to a larger one that has no room, instead of behind it', () => {
    const host = makeHost(1)
    const hosts = [host]
    const busy = [running(1, host, { shape: { cpu: 4 } })]
    const jobs = [makeJob(1, { wants: { shape: { cpu: 8 } } }), makeJob(2)]
    const plan = planFor(withRunning(hosts, busy, jobs))
    expect(plan.steps).toMatchObject([{ kind: 'assign', jobId: jobs[1]?.id }])
    expect(reasons(plan)).toMatchObject([{ code: 'noCapacity', message: '1 matching host is full: 1 of 1 lacks CPU' }])
  })

  it('by labels of the host, of its pool, and those that every host has', () => {
    const spec = makeSpec({ pools: { default: { engines: { user: { limits: 'advisory' } }, labels: { site: 'berlin' } } } })
    const hosts = [makeHost(1, { labels: { xcode: '15' } }), makeHost(2, { labels: { xcode: '16' } })]
    const job = makeJob(1, { spec, wants: { labels: { xcode: '16', site: 'berlin', os: 'linux', host: 'mini-2' } } })
    expect(placedOn(planFor({ hosts, jobs: [job] }, spec), hosts)).toEqual(['mini-2'])
  })
})

describe('room', () => {
  it('is never over-committed: at most two VMs on a host, also when the world is made anew [002-91]', () => {
    const spec = makeSpec({
      pools: { default: { engines: { tart: { limits: 'advisory', slots: 5 } } } },
      images: { 'macos-15': { engine: 'tart' } },
    })
    const facts = makeFacts({ engines: [makeEngine('tart')], images: ['macos-15'], readiness: [provenReady('tart', 'macos-15')] })
    const host = makeHost(1, { facts })
    const hosts = [host]
    const jobs = [1, 2, 3].map((number) => makeJob(number, { spec, wants: { image: 'macos-15' } }))
    const plan = planFor({ hosts, jobs }, spec)
    expect(plan.steps).toHaveLength(2)
    expect(reasons(plan)).toMatchObject([{ code: 'noCapacity', jobCount: 1, message: '1 matching host is full: 1 of 1 lacks a slot' }])
    const busy = jobs
      .slice(0, 2)
      .map((job, index) => ({ job: { ...job, state: 'running' as const }, attempt: makeAttempt(index, { job, host }) }))
    expect(planFor(withRunning(hosts, busy, jobs.slice(2)), spec).steps).toEqual([])
  })

  it('is counted by the shape of each job, and a shape beyond the host is refused with what is too large [002-92]', () => {
    const hosts = [makeHost(1)]
    const fits = [
      makeJob(1, { wants: { shape: { cpu: 6, memoryMiB: 8192, diskMiB: 51_200 } } }),
      makeJob(2, { wants: { shape: { cpu: 2 } } }),
      makeJob(3, { wants: { shape: { cpu: 0.5 } } }),
    ]
    expect(planFor({ hosts, jobs: fits }).steps).toHaveLength(2)
    const told = (shape: Record<string, number>) => reason({ hosts, jobs: [makeJob(1, { wants: { shape } })] })
    expect(told({ cpu: 9 })).toMatchObject({
      code: 'tooLarge',
      message: 'the job is larger than 1 matching host: it wants 9 of CPU, the largest has 8',
    })
    expect(told({ memoryMiB: 16_385 }).message).toContain('it wants 16385 MiB of memory, the largest has 16384 MiB')
    expect(told({ diskMiB: 204_801 }).message).toContain('it wants 204801 MiB of disk, the largest has 204800 MiB')
    expect(
      planFor({ hosts, jobs: [makeJob(1, { wants: { shape: { cpu: 8, memoryMiB: 16_384, diskMiB: 102_400 } } })] }).steps,
    ).toHaveLength(1)
  })

  it('says when only the sum is too much for any single host', () => {
    const capacity = (cpu: number, memoryMiB: number) => makeFacts({ capacity: { cpu, memoryMiB, diskMiB: 100_000 } })
    const hosts = [makeHost(1, { facts: capacity(8, 1024) }), makeHost(2, { facts: capacity(2, 8192) })]
    expect(reason({ hosts, jobs: [makeJob(1, { wants: { shape: { cpu: 8, memoryMiB: 8192 } } })] }).message).toContain(
      'no single host has enough of all it wants',
    )
  })

  it.each([
    ['CPU', { taken: { cpu: 7.5 }, tooMuch: { cpu: 0.6 }, justFits: { cpu: 0.5 } }],
    ['memory', { taken: { memoryMiB: 16_000 }, tooMuch: { memoryMiB: 385 }, justFits: { memoryMiB: 384 } }],
    ['disk', { taken: { diskMiB: 2000 }, tooMuch: { diskMiB: 102_401 }, justFits: { diskMiB: 102_400 } }],
  ])('ends where the last of the %s is gone', (what, { taken, tooMuch, justFits }) => {
    const host = makeHost(1)
    const busy = [running(1, host, { shape: taken })]
    const [refused, placed] = [makeJob(1, { wants: { shape: tooMuch } }), makeJob(1, { wants: { shape: justFits } })]
    expect(reason(withRunning([host], busy, [refused])).message).toBe(`1 matching host is full: 1 of 1 lacks ${what}`)
    expect(planFor(withRunning([host], busy, [placed])).steps).toHaveLength(1)
  })

  it.each([
    ['memory', { memoryMiB: 9000 }],
    ['disk', { diskMiB: 60_000 }],
    ['CPU', { cpu: 5 }],
  ])('counts the %s of what the same pass placed', (what, shape) => {
    const jobs = [makeJob(1, { wants: { shape } }), makeJob(2, { wants: { shape } })]
    const plan = planFor({ hosts: [makeHost(1)], jobs })
    expect(plan.steps).toHaveLength(1)
    expect(reasons(plan)[0]?.message).toBe(`1 matching host is full: 1 of 1 lacks ${what}`)
  })

  it('counts disk against what the host has in all, even when more seems free', () => {
    const facts = makeFacts({
      capacity: { cpu: 8, memoryMiB: 16_384, diskMiB: 10_000 },
      free: { cpu: 8, memoryMiB: 16_384, diskMiB: 900_000 },
    })
    const host = makeHost(1, { facts })
    expect(planFor(withRunning([host], [running(1, host, { shape: { diskMiB: 6000 } })], [makeJob(1)])).steps).toHaveLength(0)
    expect(planFor(withRunning([host], [running(1, host, { shape: { diskMiB: 5904 } })], [makeJob(1)])).steps).toHaveLength(1)
  })

  it('counts fractions of CPUs without their rounding errors', () => {
    const facts = makeFacts({ capacity: { cpu: 0.3, memoryMiB: 16_384, diskMiB: 100_000 } })
    const jobs = [1, 2, 3].map((number) => makeJob(number, { wants: { shape: { cpu: 0.1 } } }))
    expect(planFor({ hosts: [makeHost(1, { facts })], jobs }).steps).toHaveLength(3)
  })

  it('takes disk promised since the host looked from its free disk, and not what it had seen already', () => {
    const facts = makeFacts({ at: start, free: { cpu: 8, memoryMiB: 16_384, diskMiB: 50_000 } })
    const host = makeHost(1, { facts })
    const { job, attempt } = running(1, host, { shape: { diskMiB: 30_000 } })
    const next = makeJob(1, { wants: { shape: { diskMiB: 30_000 } } })
    const seen = { ...attempt, times: { assigned: start } }
    const unseen = { ...attempt, times: { assigned: start + 1 } }
    expect(planFor(withRunning([host], [{ job, attempt: seen }], [next])).steps).toHaveLength(1)
    expect(reason(withRunning([host], [{ job, attempt: unseen }], [next])).message).toContain('lacks disk')
    const two = [next, makeJob(2, { wants: { shape: { diskMiB: 30_000 } } })]
    expect(planFor({ hosts: [host], jobs: two }).steps).toHaveLength(1)
  })

  it("counts people's sandboxes, and VMs that nobody here knows", () => {
    const spec = makeSpec({ images: { 'macos-15': { engine: 'tart' } } })
    const facts = makeFacts({
      engines: [makeEngine('user', { slots: 1 }), makeEngine('tart')],
      images: ['macos-15'],
      readiness: [provenReady('user', null), provenReady('tart', 'macos-15')],
      sandboxes: [
        { id: 'ghost-1', engine: 'tart', state: 'running' },
        { id: makeSandbox(2, makeHost(1)).id, engine: 'tart', state: 'running' },
        { id: 'left-over', engine: 'user', state: 'stopped' },
      ],
    })
    const host = makeHost(1, { facts })
    const vm = makeJob(1, { spec, wants: { image: 'macos-15' } })
    const person = makeSandbox(2, host, { engine: 'tart' })
    expect(planFor({ hosts: [host], jobs: [vm] }, spec).steps).toHaveLength(0)
    expect(planFor({ hosts: [host], jobs: [vm], sandboxes: [person] }, spec).steps).toHaveLength(0)
    const alone = makeHost(1, { facts: { ...facts, sandboxes: facts.sandboxes.slice(1) } })
    expect(planFor({ hosts: [alone], jobs: [vm], sandboxes: [person] }, spec).steps).toHaveLength(1)
    expect(planFor({ hosts: [host], jobs: [makeJob(2)] }, spec).steps).toHaveLength(1)
    expect(planFor({ hosts: [host], jobs: [makeJob(2)], sandboxes: [makeSandbox(1, host)] }, spec).steps).toHaveLength(0)
  })

  it('is what the pool says when that is less than what the engine allows', () => {
    const spec = makeSpec({ pools: { default: { engines: { user: { limits: 'advisory', slots: 2 } } } } })
    expect(planFor({ hosts: [makeHost(1)], jobs: [1, 2, 3].map((number) => makeJob(number)) }, spec).steps).toHaveLength(2)
  })
})

describe('every job that waits says for what, and what to do [W-01]', () => {
  const jobs = [makeJob(1)]

  it('no host at all', () => {
    expect(reason({ jobs })).toEqual({
      subject: 'class/default/user/-/1x1024x4096/nat/0/',
      code: 'noHosts',
      message: 'no host is in pool default',
      cure: 'cidery host add --pool default',
      hosts: [],
      hostCount: 0,
      jobCount: 1,
      since: start,
    })
    const spec = makeSpec({ pools: { a: {}, b: {} } })
    expect(reason({ hosts: [makeHost(1)], jobs }, spec)).toMatchObject({
      code: 'noHosts',
      message: 'no host is in pools a, b',
      cure: 'cidery host add --pool a',
    })
    expect(reason({ hosts: [makeHost(1, { state: 'retired' })], jobs })).toMatchObject({ code: 'noHosts' })
  })

  it('a queue that is gone from the spec', () => {
    const spec = makeSpec({ queues: { ci: {} } })
    expect(reason({ hosts: [makeHost(1)], jobs }, spec)).toMatchObject({
      code: 'noHosts',
      message: 'queue default is not in the spec',
      cure: 'add queues.default to cidery.yaml and run cidery apply, or cancel its jobs',
    })
  })

  it('an engine that no host has', () => {
    const spec = makeSpec({ images: { 'macos-15': { engine: 'tart' } } })
    const job = makeJob(1, { spec, wants: { image: 'macos-15' } })
    expect(reason({ hosts: [makeHost(1)], jobs: [job] }, spec)).toMatchObject({
      code: 'engineUnsupported',
      message: 'no host of pool default offers engine tart',
      cure: 'use another engine, or a pool whose hosts have tart',
      hosts: [makeHost(1).id],
      hostCount: 1,
    })
  })

  it('an engine that runs no images', () => {
    const spec = makeSpec({ images: { 'macos-15': { engine: 'user' } } })
    const job = makeJob(1, { spec, wants: { image: 'macos-15' } })
    expect(reason({ hosts: [makeHost(1)], jobs: [job] }, spec)).toMatchObject({
      code: 'engineUnsupported',
      message: 'engine user on 1 matching host runs no images',
    })
  })

  it('the label that no host has, with the values that hosts do have [002-95]', () => {
    const hosts = [
      makeHost(1, { labels: { xcode: '15' } }),
      makeHost(2, { labels: { xcode: '15' } }),
      makeHost(3, { labels: { xcode: '14', rack: 'a' } }),
    ]
    expect(reason({ hosts, jobs: [makeJob(1, { wants: { labels: { xcode: '16' } } })] })).toMatchObject({
      code: 'noMatch',
      message: 'no host of pool default with engine user has the label xcode=16; 2 hosts have xcode=15; 1 host has xcode=14',
      cure: 'ask for another label, or give a host this one: pools.default.labels.xcode in cidery.yaml',
      hostCount: 3,
    })
    expect(reason({ hosts, jobs: [makeJob(1, { wants: { labels: { gpu: 'yes' } } })] }).message).toBe(
      'no host of pool default with engine user has the label gpu=yes',
    )
    expect(reason({ hosts, jobs: [makeJob(1, { wants: { labels: { os: 'linux', xcode: '16' } } })] }).message).toContain(
      'has the label xcode=16;',
    )
    expect(reason({ hosts, jobs: [makeJob(1, { wants: { labels: { rack: 'a', xcode: '15' } } })] }).message).toBe(
      'no host of pool default with engine user has the label rack=a and xcode=15',
    )
  })

  it('tells at most three other values', () => {
    const hosts = [1, 2, 3, 4, 5].map((number) => makeHost(number, { labels: { xcode: String(10 + number) } }))
    const { message } = reason({ hosts, jobs: [makeJob(1, { wants: { labels: { xcode: '99' } } })] })
    expect(message.split('; ')).toHaveLength(4)
  })

  it('a network that the pool does not allow, or that the host lacks, with what it lacks', () => {
    function told(networks: ('nat' | 'host' | 'none')[], allowed: ('nat' | 'host' | 'none')[], problems: string[] = []) {
      const spec = makeSpec({ pools: { default: { engines: { user: { limits: 'advisory', networks: allowed } } } } })
      const facts = makeFacts({ engines: [makeEngine('user', { problems, capabilities: { ...makeEngine().capabilities, networks } })] })
      // Accepted while the pool still allowed it.
      const before = makeSpec({ pools: { default: { engines: { user: { limits: 'advisory', networks: ['none'] } } } } })
      const job = makeJob(1, { spec: before, wants: { network: 'none' } })
      return reason({ hosts: [makeHost(1, { facts })], jobs: [job] }, spec)
    }
    const message = '1 matching host cannot give engine user the network "none"'
    expect(told(['nat', 'none'], ['nat'])).toMatchObject({
      code: 'networkUnsupported',
      message,
      cure: 'ask for another network, or add it to pools.<pool>.engines.user.networks',
    })
    const cure = 'mend it there (cidery host show mini-1), or ask for another network'
    expect(told(['nat', 'host'], ['nat', 'none'])).toMatchObject({ message: `${message}: its engine does not offer it`, cure })
    const needs = ['network nat needs nft', 'network none needs root']
    expect(told(['nat'], ['nat', 'none'], needs)).toMatchObject({ message: `${message}: network none needs root`, cure })
  })

  it('limits that the pool wants enforced and the host cannot enforce', () => {
    const spec = makeSpec({ pools: { default: { engines: { user: { limits: 'enforced' } } } } })
    const facts = (limits: ('cpu' | 'memory' | 'disk')[]) =>
      makeFacts({ engines: [makeEngine('user', { capabilities: { ...makeEngine().capabilities, limits } })] })
    expect(reason({ hosts: [makeHost(1, { facts: facts(['memory']) })], jobs }, spec)).toMatchObject({
      code: 'limitUnenforceable',
      message: '1 matching host cannot enforce limits of cpu, disk for engine user',
      cure: 'set pools.<pool>.engines.user.limits: advisory to count them only, or use another pool',
    })
    const noDisk = makeJob(1, { wants: { shape: { diskMiB: 0 } } })
    const hosts = [makeHost(1, { facts: facts(['cpu', 'memory']) })]
    expect(planFor({ hosts, jobs: [noDisk] }, spec).steps).toHaveLength(1)
    expect(reason({ hosts, jobs }, spec).code).toBe('limitUnenforceable')
    expect(planFor({ hosts: [makeHost(1, { facts: facts(['cpu', 'memory', 'disk']) })], jobs }, spec).steps).toHaveLength(1)
  })

  it('an image that is not there', () => {
    const spec = makeSpec({ images: { 'macos-15': { engine: 'tart' } } })
    const facts = makeFacts({ engines: [makeEngine('tart')], images: [], readiness: [provenReady('tart', 'macos-15')] })
    expect(reason({ hosts: [makeHost(1, { facts })], jobs: [makeJob(1, { spec, wants: { image: 'macos-15' } })] }, spec)).toMatchObject({
      code: 'imageMissing',
      message: 'image macos-15 is not on 1 matching host',
      cure: 'wait until it is pulled, or cidery host show mini-1',
    })
  })

  it('proofs that are missing, too old, or of failure', () => {
    const facts = (readiness: ReturnType<typeof makeFacts>['readiness']) => makeFacts({ readiness })
    const proof = (ok: boolean, at = start) => ({ ok, at, reason: 'no account could be made' })
    const told = (readiness: ReturnType<typeof makeFacts>['readiness']) =>
      reason({ hosts: [makeHost(1, { facts: facts(readiness) })], jobs })
    expect(told([])).toMatchObject({
      code: 'readinessUnknown',
      message: '1 matching host did not prove lately that a user sandbox starts',
      cure: 'wait for the next probe, or cidery host probe mini-1',
    })
    expect(told([{ engine: 'user', image: null, check: proof(true), boot: proof(true, start - 25 * hour) }]).code).toBe('readinessUnknown')
    expect(told([{ engine: 'user', image: null, check: proof(true), boot: proof(false) }])).toMatchObject({
      code: 'hostNotReady',
      message: '1 matching host cannot start a user sandbox: no account could be made',
      cure: 'cidery host show mini-1',
    })
    expect(told([provenReady('tart', null)]).code).toBe('readinessUnknown')
  })

  it('an image that does not boot', () => {
    const spec = makeSpec({ images: { 'macos-15': { engine: 'tart' } } })
    const at = { ok: true, at: start, reason: '' }
    const readiness = [{ engine: 'tart' as const, image: 'macos-15', check: { ...at, ok: false, reason: 'no such VM' }, boot: at }]
    const facts = makeFacts({ engines: [makeEngine('tart')], images: ['macos-15'], readiness })
    expect(reason({ hosts: [makeHost(1, { facts })], jobs: [makeJob(1, { spec, wants: { image: 'macos-15' } })] }, spec).message).toBe(
      '1 matching host cannot start image macos-15: no such VM',
    )
  })

  it('an engine that does not work', () => {
    const facts = (problems: string[]) => makeFacts({ engines: [makeEngine('user', { ok: false, problems })] })
    expect(reason({ hosts: [makeHost(1, { facts: facts(['no cgroups']) })], jobs })).toMatchObject({
      code: 'hostNotReady',
      message: '1 matching host cannot start a user sandbox: no cgroups',
    })
    expect(reason({ hosts: [makeHost(1, { facts: facts([]) })], jobs }).message).toContain('engine user does not work there')
  })

  it('hosts that are closed, each with who closed it and since when', () => {
    const at = start - minute
    const restarting = makeHost(7)
    const hosts = [
      makeHost(1, { schedulable: { kind: 'cordoned', by: 'user:bob', at, reason: 'new fan' } }),
      makeHost(2, { schedulable: { kind: 'cordoned', by: 'user:bob', at, reason: '' } }),
      makeHost(3, { schedulable: { kind: 'quarantined', at, reason: 'it fails', cure: 'repair it' } }),
      makeHost(4, { schedulable: { kind: 'draining', by: 'user:bob', at, reason: '', deadline: start + minute } }),
      makeHost(5, { state: 'lost', lastSeenAt: start - hour }),
      makeHost(6, { facts: null }),
      restarting,
    ]
    const operations = [
      makeOperation(1, restarting, { request: { kind: 'reboot' } }),
      makeOperation(2, restarting, { request: { kind: 'reboot' } }),
    ]
    const { job, attempt } = running(1, restarting)
    const plan = planFor({ hosts, jobs: [...jobs, job], attempts: [attempt], operations })
    expect(reasons(plan).map(({ code, message, cure, hostCount, since }) => [code, message, cure, hostCount, since])).toEqual([
      ['hostCordoned', 'mini-1 is cordoned by user:bob ("new fan"), and 1 more host likewise', 'cidery host uncordon mini-1', 2, start],
      ['hostQuarantined', 'mini-3 is in quarantine: it fails', 'repair it', 1, start],
      ['draining', 'mini-4 is draining: nothing runs there any more', 'cidery host uncordon mini-4', 1, start],
      [
        'hostLost',
        'mini-5 has been silent for 1h1s',
        'start the agent on mini-5 or look at its power and network; cidery host retire mini-5 gives its jobs to others at once',
        1,
        start,
      ],
      ['operationBusy', 'mini-7 takes no jobs until its reboot is over', 'wait for it, or cidery host show mini-7', 1, start],
      [
        'hostStale',
        'mini-6 has not reported what it has',
        'cidery host show mini-6; when its agent does not run, start it there',
        1,
        start,
      ],
    ])
    expect(plan.waiting.find(({ subject }) => subject === `host/${makeHost(2).id}`)).toMatchObject({
      message: 'mini-2 is cordoned by user:bob',
      since: at,
      jobCount: 0,
    })
    expect(plan.waiting.find(({ subject }) => subject === `host/${makeHost(7).id}`)).toMatchObject({
      code: 'operationBusy',
      since: start,
      jobCount: 1,
    })
  })

  it('a host that missed a sync, from one millisecond after it was due', () => {
    const hosts = [makeHost(1)]
    const spec = makeSpec()
    const world = makeWorld({ hosts, jobs })
    expect(decide(spec, world, start + 30 * second).steps).toHaveLength(1)
    const late = decide(spec, world, start + 30 * second + 1)
    expect(reasons(late)).toMatchObject([{ code: 'hostStale', message: 'mini-1 missed a sync', since: start }])
    const heard = advanceWorld(world, [{ of: 'lastSeen', id: hosts[0]?.id ?? '', at: start + 1 }])
    expect(decide(spec, heard, start + 30 * second + 1).steps).toHaveLength(1)
  })

  it('a host that enrolled and did not report', () => {
    expect(reason({ hosts: [makeHost(1, { state: 'enrolled', facts: null, lastSeenAt: null })], jobs })).toMatchObject({
      code: 'hostStale',
      message: 'mini-1 has not reported what it has',
    })
    expect(reason({ hosts: [makeHost(1, { state: 'enrolled' })], jobs }).code).toBe('hostStale')
  })

  it.each([{ kind: 'restartAgent' as const, drain: false }, { kind: 'reboot' as const }])(
    'a host that is about to restart, also while that waits',
    (request) => {
      const host = makeHost(1, { state: 'up' })
      const other = makeOperation(2, host, { state: 'EXECUTING', requestedAt: start - 1, startedAt: start })
      expect(reason({ hosts: [host], jobs, operations: [makeOperation(1, host, { request }), other] })).toMatchObject({
        code: 'operationBusy',
      })
      expect(planFor({ hosts: [host], jobs, operations: [other] }).steps).toHaveLength(1)
    },
  )

  it('a limit of its queue', () => {
    const spec = makeSpec({ queues: { default: { maxRunning: 2 } } })
    const host = makeHost(1)
    const hosts = [host]
    const busy = [running(1, host)]
    const plan = planFor(
      withRunning(
        hosts,
        busy,
        [1, 2, 3].map((number) => makeJob(number, { spec })),
      ),
      spec,
    )
    expect(plan.steps).toHaveLength(1)
    expect(reasons(plan)).toMatchObject([
      {
        code: 'queueLimit',
        message: 'queue default runs as many jobs as its limit allows (2)',
        cure: 'wait, or raise queues.default.maxRunning in cidery.yaml',
        jobCount: 2,
        hosts: [],
      },
    ])
  })

  it('its retry, and then no longer', () => {
    const job = makeJob(1, { changes: { notBefore: now + 5 * second, submittedAt: start - minute } })
    const other = makeJob(2, { changes: { notBefore: now + 9 * second } })
    const plan = planFor({ hosts: [makeHost(1)], jobs: [job, other] })
    expect(plan.steps).toEqual([])
    expect(plan.nextAt).toBe(now + 5 * second)
    expect(reasons(plan)).toEqual([
      expect.objectContaining({
        code: 'retryDelay',
        message: '2 jobs failed for a fault of the infrastructure; the next try is in 5s',
        cure: `nothing to do; cidery job show ${job.id} tells what failed`,
        jobCount: 2,
        since: start - minute,
        hosts: [],
        hostCount: 0,
      }),
    ])
    const later = decide(makeSpec(), makeWorld({ hosts: [makeHost(1)], jobs: [job, other] }), now + 5 * second)
    expect(later.steps).toHaveLength(1)
    expect(reasons(later)).toMatchObject([{ code: 'retryDelay', jobCount: 1 }])
  })

  it('an attempt of its own that may be alive', () => {
    const job = makeJob(1)
    const host = makeHost(1)
    const plan = planFor({ hosts: [host], jobs: [job], attempts: [makeAttempt(1, { job, host })] })
    expect(plan.steps).toEqual([])
    expect(reasons(plan)).toMatchObject([
      {
        code: 'leaseRunning',
        message: '1 job may still be running in an attempt that did not report its end',
        cure: `cidery job show ${job.id} names the host; its report, reboot or retirement ends the wait`,
        jobCount: 1,
      },
    ])
  })

  it('since the cause began, when that is later than the job', () => {
    const host = makeHost(1, { schedulable: { kind: 'cordoned', by: 'user:bob', at: start + 500, reason: '' } })
    expect(reason({ hosts: [host], jobs })).toMatchObject({ code: 'hostCordoned', since: start + 500 })
    expect(reason({ hosts: [host], jobs: [makeJob(1, { changes: { submittedAt: start + 800 } })] }).since).toBe(start + 800)
  })

  it('with the first twenty hosts by id, and the number of all', () => {
    const hosts = Array.from({ length: 25 }, (_, index) =>
      makeHost(index + 1, { labels: { rack: `r${index % 3}` }, schedulable: { kind: 'cordoned', by: 'user:bob', at: start, reason: '' } }),
    )
    // A job that selects by rack puts the hosts into groups; the list is in order all the same.
    const told = reasons(planFor({ hosts, jobs: [...jobs, makeJob(2, { wants: { labels: { rack: 'r9' } } })] }))[0]
    expect(told?.hostCount).toBe(25)
    expect(told?.hosts).toEqual(hosts.slice(0, 20).map(({ id }) => id))
  })
})

describe('proofs are judged by the clock of their host', () => {
  it('and are ready until the last millisecond of their age', () => {
    const skew = 3 * hour
    const facts = makeFacts({ clockSkewMs: skew, readiness: [provenReady('user', null, start + skew)] })
    const host = makeHost(1, { facts })
    const jobs = [makeJob(1)]
    const at = (moment: number) =>
      decide(makeSpec(), advanceWorld(makeWorld({ hosts: [host], jobs }), [{ of: 'lastSeen', id: host.id, at: moment }]), moment)
    expect(at(start + 15 * minute).steps).toHaveLength(1)
    expect(reasons(at(start + 15 * minute + 1))).toMatchObject([{ code: 'readinessUnknown' }])
    expect(at(start).nextAt).toBe(start + 30 * second + 1)
    // Going back in time gives the earlier answer again.
    expect(at(start + minute).steps).toHaveLength(1)
  })

  it('and a plan is due again when the first of them gets too old', () => {
    const spec = makeSpec({
      pools: { default: { engines: { user: { limits: 'advisory' } }, readiness: { checkMaxAge: '20s', checkInterval: '5s' } } },
    })
    const world = makeWorld({ hosts: [makeHost(1)], jobs: [] })
    expect(decide(spec, world, now).nextAt).toBe(start + 20 * second + 1)
  })
})
