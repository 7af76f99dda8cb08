import { advanceWorld, emptyWorld } from '../../src/decide/advance-world.ts'
import { resolveJob } from '../../src/decide/resolve-job.ts'
import type { EngineFacts, Host, HostFacts } from '../../src/model/host.ts'
import { formatId, type IdKind } from '../../src/model/id.ts'
import type { ImageBuild } from '../../src/model/image/build.ts'
import type { HostImages, ImageLine } from '../../src/model/image/line.ts'
import { hour, minute } from '../../src/model/instant.ts'
import { JobSpec, type Attempt, type EngineName, type Job, type ResolvedJob } from '../../src/model/job.ts'
import { operationLimits, type Operation, type OperationRequest } from '../../src/model/operation.ts'
import type { Sandbox } from '../../src/model/sandbox.ts'
import { Spec } from '../../src/model/spec.ts'
import type { Change, World } from '../../src/model/world.ts'

/** The moment that tests start from. */
export const start = 1_700_000_000_000

/** An id that is told by its number: `idOf('job', 3)`. */
export function idOf<K extends IdKind>(kind: K, number: number) {
  const digits = new Uint8Array(16)
  for (let at = 15, rest = number; at >= 0; at -= 1, rest = Math.floor(rest / 32)) digits[at] = rest % 32
  return formatId(kind, start, digits)
}

/** A spec as people write it; everything left out has its default, and limits are counted only. */
export function makeSpec(written: Record<string, unknown> = {}): Spec {
  const engines = { user: { limits: 'advisory' }, qemu: { limits: 'advisory' }, tart: { limits: 'advisory' } }
  return Spec.parse({ version: 1, pools: { default: { engines } }, ...written })
}

export function makeEngine(name: EngineName = 'user', changes: Partial<EngineFacts> = {}): EngineFacts {
  return {
    name,
    ok: true,
    problems: [],
    isolation: name === 'user' ? 'account' : 'vm',
    slots: name === 'user' ? 4 : 2,
    version: '1',
    capabilities: {
      snapshot: false,
      suspend: false,
      nested: false,
      vnc: false,
      networks: ['nat', 'host', 'none'],
      limits: ['cpu', 'memory', 'disk', 'processes'],
      images: name !== 'user',
    },
    ...changes,
  }
}

export function makeFacts(changes: Partial<HostFacts> = {}): HostFacts {
  return {
    at: start,
    hostname: 'mini',
    os: 'linux',
    osVersion: '6.1',
    arch: 'x64',
    agentVersion: '0.1.0',
    capacity: { cpu: 8, memoryMiB: 16_384, diskMiB: 204_800 },
    free: { cpu: 8, memoryMiB: 16_384, diskMiB: 102_400 },
    load1: 0,
    diskUsed: 0.5,
    memoryFree: 0.8,
    network: { addresses: [], rxBytes: 0, txBytes: 0 },
    engines: [makeEngine()],
    images: [],
    readiness: [provenReady('user', null)],
    sandboxes: [],
    clockSkewMs: 0,
    problems: [],
    ...changes,
  }
}

export function provenReady(engine: EngineName, image: string | null, at = start): HostFacts['readiness'][number] {
  return { engine, image, check: { ok: true, at, reason: '' }, boot: { ok: true, at, reason: '' } }
}

export function makeHost(number: number, changes: Partial<Host> = {}): Host {
  const name = `mini-${number}`
  return {
    id: idOf('host', number),
    name,
    pool: 'default',
    labels: {},
    state: 'up',
    schedulable: { kind: 'open' },
    generation: 1,
    desiredGeneration: 1,
    bootId: 'boot-1',
    enrolledAt: start,
    lastSeenAt: start,
    facts: makeFacts({ hostname: name }),
    failureStreak: 0,
    repairedAt: null,
    ...changes,
  }
}

export interface JobWish {
  readonly spec?: Spec
  readonly wants?: Record<string, unknown>
  readonly changes?: Partial<Job>
}

/** What most tests want: resolved by hand, so that loading a test runs none of the code that it tests. */
const plainJob: ResolvedJob = {
  spec: {
    queue: 'default',
    command: ['true'],
    env: {},
    source: { kind: 'none' },
    files: [],
    artifacts: [],
    labels: {},
    shape: {},
    priority: 0,
    secrets: [],
  },
  engine: 'user',
  image: null,
  shape: { cpu: 1, memoryMiB: 1024, diskMiB: 4096 },
  timeoutS: 3600,
  retries: 2,
  network: 'nat',
  logBytes: 1024 ** 3,
}

export function makeJob(number: number, wish: JobWish = {}): Job {
  const isPlain = wish.wants === undefined && wish.spec === undefined
  const resolved = isPlain ? plainJob : resolveJob(wish.spec ?? makeSpec(), JobSpec.parse({ command: ['true'], ...wish.wants }))
  const submittedAt = wish.changes?.submittedAt ?? start
  return {
    id: idOf('job', number),
    queue: resolved.spec.queue,
    state: 'queued',
    resolved,
    submittedAt,
    submittedBy: 'user:alice',
    generation: 1,
    attempts: 0,
    infrastructureFailures: 0,
    notBefore: submittedAt,
    avoidHosts: [],
    cancelRequested: null,
    outcome: null,
    endedAt: null,
    ...wish.changes,
  }
}

export function makeAttempt(number: number, on: { readonly job: Job; readonly host: Host }, changes: Partial<Attempt> = {}): Attempt {
  const { job, host } = on
  return {
    id: idOf('att', number),
    jobId: job.id,
    number: 1,
    hostId: host.id,
    hostBootId: host.bootId ?? '',
    buildId: null,
    state: 'running',
    generation: job.generation,
    cancelRequested: null,
    receiptAt: start,
    leaseUntil: start + 30 * minute,
    times: { assigned: start },
    outcome: null,
    isolation: 'account',
    logBytes: 0,
    logComplete: false,
    artifacts: [],
    artifactFailures: [],
    notes: [],
    ...changes,
  }
}

export function makeOperation(number: number, host: Host, changes: Partial<Operation> = {}): Operation {
  const request: OperationRequest = changes.request ?? { kind: 'exec', command: ['true'] }
  return {
    id: idOf('op', number),
    hostId: host.id,
    request,
    state: 'PENDING',
    generation: 1,
    limits: operationLimits[request.kind],
    requestedBy: 'user:alice',
    requestedAt: start,
    startedAt: null,
    changedAt: start,
    startedBootId: null,
    completedAt: null,
    endedAt: null,
    killRequested: false,
    deadline: null,
    exitCode: null,
    pid: null,
    outputTail: '',
    reason: '',
    ...changes,
  }
}

export function makeSandbox(number: number, host: Host, changes: Partial<Sandbox> = {}): Sandbox {
  return {
    id: idOf('sbx', number),
    name: `box-${number}`,
    hostId: host.id,
    engine: 'user',
    image: null,
    state: 'running',
    reason: '',
    isolation: 'account',
    createdBy: 'user:alice',
    createdAt: start,
    expiresAt: start + hour,
    hardExpiresAt: start + 8 * hour,
    idleMs: null,
    lastUsedAt: start,
    warnedAt: null,
    generation: 1,
    ...changes,
  }
}

export interface Things {
  readonly hosts?: readonly Host[]
  readonly jobs?: readonly Job[]
  readonly attempts?: readonly Attempt[]
  readonly operations?: readonly Operation[]
  readonly sandboxes?: readonly Sandbox[]
  readonly builds?: readonly ImageBuild[]
  readonly images?: readonly ImageLine[]
  readonly hostImages?: ReadonlyMap<string, HostImages>
  /** Default: long enough ago that silence counts. */
  readonly listeningSince?: number
}

export function changesOf(things: Things): Change[] {
  return [
    ...(things.hosts ?? []).map((host) => ({ of: 'host' as const, id: host.id, host })),
    ...(things.jobs ?? []).map((job) => ({ of: 'job' as const, id: job.id, job })),
    ...(things.attempts ?? []).map((attempt) => ({ of: 'attempt' as const, id: attempt.id, attempt })),
    ...(things.operations ?? []).map((operation) => ({ of: 'operation' as const, id: operation.id, operation })),
    ...(things.sandboxes ?? []).map((sandbox) => ({ of: 'sandbox' as const, id: sandbox.id, sandbox })),
    ...(things.builds ?? []).map((build) => ({ of: 'build' as const, id: build.id, build })),
    ...(things.images ?? []).map((line) => ({ of: 'image' as const, id: line.name, line })),
    ...[...(things.hostImages ?? [])].map(([id, images]) => ({ of: 'hostImages' as const, id, images })),
  ]
}

export function makeWorld(things: Things): World {
  return advanceWorld(emptyWorld(things.listeningSince ?? start - hour), changesOf(things))
}
