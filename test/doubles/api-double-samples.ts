import { randomBytes } from 'node:crypto'
import type { z } from 'zod'
import type { AttemptView, HostView, JobView, OperationView, PoolView, QueueView, SandboxView, UserView } from '../../src/model/api.ts'
import { formatId } from '../../src/model/id.ts'
import type { IdKind } from '../../src/model/id.ts'
import type { JobSpec } from '../../src/model/job.ts'
import { operationLimits } from '../../src/model/operation.ts'

/** An id as the controller makes them. */
export function newId(kind: IdKind): string {
  return formatId(kind, Date.now(), randomBytes(16))
}

export function sampleJob(spec: JobSpec): JobView {
  return {
    id: newId('job'),
    name: spec.name ?? '',
    queue: spec.queue,
    state: 'queued',
    spec,
    engine: spec.engine ?? 'user',
    image: spec.image ?? null,
    shape: { cpu: 1, memoryMiB: 1024, diskMiB: 4096 },
    timeoutS: spec.timeoutS ?? 3600,
    retries: spec.retries ?? 2,
    network: spec.network ?? 'nat',
    submittedAt: Date.now(),
    submittedBy: 'user:admin',
    endedAt: null,
    generation: 1,
    outcome: null,
    exitCode: null,
    cancelRequested: false,
    infrastructureFailures: 0,
    attempts: [],
    waiting: [
      {
        subject: 'class/x',
        code: 'noMatch',
        message: 'no host has the label xcode=16; 3 hosts have xcode=15',
        cure: 'cidery host ls -o wide',
        hosts: [],
        hostCount: 3,
        jobCount: 1,
        since: Date.now(),
      },
    ],
    stepMs: {},
  }
}

export function sampleAttempt(number: number): AttemptView {
  return {
    id: newId('att'),
    number,
    hostId: newId('host'),
    hostName: 'mini-1',
    state: 'running',
    times: { assigned: Date.now() },
    outcome: null,
    isolation: 'account',
    leaseUntil: Date.now() + 1_800_000,
    receiptAt: Date.now(),
    logBytes: 0,
    logComplete: false,
    artifacts: [],
    artifactFailures: [],
    notes: [],
  }
}

export function sampleHost(name: string): HostView {
  const capacity = { cpu: 8, memoryMiB: 16_384, diskMiB: 500_000 }
  return {
    id: newId('host'),
    name,
    pool: 'default',
    labels: { xcode: '15' },
    state: 'up',
    schedulable: { kind: 'open' },
    generation: 3,
    enrolledAt: Date.now() - 86_400_000,
    lastSeenAt: Date.now() - 4_000,
    silentMs: 4_000,
    bootId: 'boot-1',
    facts: {
      at: Date.now(),
      hostname: name,
      os: 'macos',
      osVersion: '15.5',
      arch: 'arm64',
      agentVersion: '0.1.0',
      capacity,
      free: { cpu: 6, memoryMiB: 8192, diskMiB: 300_000 },
      load1: 1.5,
      diskUsed: 0.4,
      memoryFree: 0.5,
      network: { addresses: ['10.0.0.7'], rxBytes: 0, txBytes: 0 },
      engines: [
        {
          name: 'user',
          ok: true,
          problems: [],
          isolation: 'account',
          slots: 4,
          version: '1',
          capabilities: {
            snapshot: false,
            suspend: false,
            nested: false,
            vnc: false,
            networks: ['nat', 'none'],
            limits: ['cpu'],
            images: false,
          },
        },
      ],
      images: [],
      readiness: [],
      sandboxes: [],
      clockSkewMs: 2,
      problems: [],
    },
    runningJobs: [],
    used: { cpu: 2, memoryMiB: 1024, diskMiB: 4096 },
    slots: { user: { used: 1, total: 4 } },
    operation: null,
    failureStreak: 0,
    readiness: [],
    waiting: [],
  }
}

export function sampleOperation(hostId: string, request: OperationView['request']): OperationView {
  return {
    id: newId('op'),
    hostId,
    request,
    state: 'PENDING',
    generation: 1,
    requestedBy: 'user:admin',
    requestedAt: Date.now(),
    startedAt: null,
    endedAt: null,
    limits: operationLimits[request.kind],
    deadline: null,
    killRequested: false,
    exitCode: null,
    pid: null,
    outputTail: '',
    reason: '',
  }
}

export function sampleSandbox(name: string): SandboxView {
  return {
    id: newId('sbx'),
    name,
    hostId: newId('host'),
    hostName: 'mini-1',
    engine: 'user',
    image: null,
    state: 'running',
    reason: '',
    isolation: 'account',
    createdBy: 'user:admin',
    createdAt: Date.now(),
    expiresAt: Date.now() + 3_600_000,
    hardExpiresAt: Date.now() + 7_200_000,
    timeLeftMs: 3_600_000,
    generation: 1,
    jobId: null,
  }
}

export const sampleQueue: QueueView = {
  name: 'default',
  pools: [],
  weight: 1,
  maxRunning: null,
  maxQueued: 10_000,
  queued: 2,
  running: 1,
  oldestQueuedAt: 1_760_000_000_000,
  waiting: [],
  secrets: ['API_TOKEN'],
}
export const samplePool: PoolView = {
  name: 'default',
  provider: 'static',
  hosts: ['mini-1', 'mini-2'],
  up: 2,
  lost: 0,
  open: 2,
  running: 1,
  engines: ['user'],
  labels: {},
}
export const sampleUser: z.infer<typeof UserView> = {
  id: newId('usr'),
  name: 'admin',
  role: 'admin',
  queues: [],
  createdAt: 1_760_000_000_000,
  disabled: false,
  generation: 1,
}
