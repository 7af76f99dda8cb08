import { expect, it } from 'vitest'
import { makeFacts } from '../../test/decide/build-world.ts'
import { expectHeld } from '../../test/model/hold-schema.ts'
import { formatId } from './id.ts'
import { AttemptReport, EnrolRequest, OperationReport, SandboxReport, syncProtocol, SyncRequest } from './sync.ts'

const zeros = new Uint8Array(16)
const digest = 'a1'.repeat(32)
const long = (length: number) => 'x'.repeat(length)

const attempt = {
  id: formatId('att', 0, zeros),
  jobId: formatId('job', 0, zeros),
  generation: 1,
  revision: 0,
  state: 'running',
  times: { assigned: 1 },
  outcome: null,
  isolation: 'vm',
  logBytes: 0,
  artifacts: [{ path: 'a', sizeBytes: 1, mode: 420, blob: digest }],
  artifactFailures: [{ pattern: '*', reason: 'none' }],
  notes: ['n'],
}
const operation = {
  id: 'op_1',
  generation: 1,
  revision: 0,
  state: 'EXECUTING',
  exitCode: null,
  pid: null,
  outputTail: '',
  reason: '',
  rejected: null,
}
const sandbox = { id: 'sbx_1', engine: 'user', image: null, state: 'running', reason: '', createdAt: 1, isolation: 'account' }

it('holds the report of an attempt', () => {
  expectHeld(AttemptReport, {
    sample: attempt,
    loose: true,
    good: {
      outcome: [{ kind: 'exited', code: 0 }],
      isolation: [null, 'account', 'directory'],
      notes: [Array.from({ length: 50 }, () => long(1000))],
    },
    bad: {
      id: ['att_1', formatId('job', 0, zeros)],
      jobId: ['job_1'],
      generation: [0.5],
      revision: [-1, 0.5],
      state: ['queued'],
      isolation: ['none'],
      logBytes: [-1, 0.5],
      artifacts: [[{}]],
      artifactFailures: [[{}]],
      notes: [[long(1001)], Array.from({ length: 51 }, () => 'n')],
    },
  })
})

it('holds the report of an operation', () => {
  const rejected = { by: 'op_2', kind: 'exec', pid: 42 }
  expectHeld(OperationReport, {
    sample: operation,
    loose: true,
    good: { exitCode: [0], pid: [1], rejected: [rejected, { ...rejected, pid: null }] },
    bad: {
      generation: [0.5],
      revision: [-1, 0.5],
      state: ['running'],
      exitCode: [0.5],
      pid: [0.5],
      rejected: [{}, { ...rejected, x: 1 }, { ...rejected, pid: 0.5 }],
    },
  })
})

it('holds the report of a sandbox', () => {
  expectHeld(SandboxReport, {
    sample: sandbox,
    loose: true,
    good: { image: ['m'], state: ['creating', 'stopped', 'failed', 'gone'], isolation: [null, 'directory', 'vm'] },
    bad: { state: ['requested'], isolation: ['none'] },
  })
})

it('holds a sync, whose sender may know more than we do', () => {
  expect(syncProtocol).toBe(1)
  const many = <T>(count: number, item: T) => Array.from({ length: count }, () => item)
  expectHeld(SyncRequest, {
    sample: {
      protocol: 1,
      agentVersion: '0.1.0',
      bootId: 'b',
      instanceId: 'i',
      seen: { epoch: 0, generation: 0 },
      waitMs: 0,
      sentAt: 1,
      facts: makeFacts(),
      attempts: [attempt],
      operations: [operation],
      sandboxes: [sandbox],
    },
    loose: true,
    good: {
      facts: [null],
      waitMs: [60_000],
      agentVersion: [long(100)],
      bootId: [long(200)],
      instanceId: [long(200)],
      attempts: [many(1000, attempt)],
      operations: [many(100, operation)],
      sandboxes: [many(1000, sandbox)],
    },
    bad: {
      protocol: [0, 0.5],
      agentVersion: [long(101)],
      bootId: ['', long(201)],
      instanceId: ['', long(201)],
      seen: [
        {},
        { epoch: -1, generation: 0 },
        { epoch: 0, generation: -1 },
        { epoch: 0, generation: 0, x: 1 },
        { epoch: 0.5, generation: 0 },
        { epoch: 0, generation: 0.5 },
      ],
      waitMs: [-1, 60_001, 0.5],
      attempts: [[{}], many(1001, attempt)],
      operations: [[{}], many(101, operation)],
      sandboxes: [[{}], many(1001, sandbox)],
    },
  })
})

it('holds an enrolment', () => {
  expectHeld(EnrolRequest, {
    sample: { token: long(20), protocol: 1, hostname: 'mini-1', keyHash: digest, os: 'macos', arch: 'arm64' },
    good: { token: [long(200)], hostname: [long(255)], os: ['linux'], arch: ['x64'] },
    bad: {
      token: [long(19), long(201)],
      protocol: [0, 0.5],
      hostname: ['', long(256)],
      keyHash: ['', `${digest}0`, `x${digest}`, digest.toUpperCase()],
      os: ['windows'],
      arch: ['x86'],
    },
  })
})
