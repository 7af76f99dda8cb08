import { describe, it } from 'vitest'
import type { z } from 'zod'
import { makeFacts } from '../../test/decide/build-world.ts'
import { expectHeld, type Held } from '../../test/model/hold-schema.ts'
import * as api from './api.ts'

const digest = 'a1'.repeat(32)
const long = (length: number) => 'x'.repeat(length)

const waiting = { subject: 'class/x', code: 'noHosts', message: 'm', cure: 'c', hosts: ['host_1'], hostCount: 1, jobCount: 2, since: 1.5 }
const outcome = { kind: 'exited', code: 0 }
const attempt = {
  id: 'att_1',
  number: 1,
  hostId: 'host_1',
  hostName: 'mini-1',
  state: 'running',
  times: { assigned: 1 },
  outcome: null,
  isolation: 'account',
  leaseUntil: 5,
  receiptAt: 4,
  logBytes: 3,
  logComplete: false,
  artifacts: [{ path: 'a', sizeBytes: 1, mode: 420, blob: digest }],
  artifactFailures: [{ pattern: '*', reason: 'none' }],
  notes: ['n'],
}
const job = {
  id: 'job_1',
  name: 'build',
  queue: 'ci',
  state: 'queued',
  spec: {
    queue: 'ci',
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
  shape: { cpu: 1, memoryMiB: 1, diskMiB: 0 },
  timeoutS: 1,
  retries: 0,
  network: 'nat',
  submittedAt: 1,
  submittedBy: 'user:alice',
  endedAt: null,
  generation: 1,
  outcome: null,
  exitCode: null,
  cancelRequested: false,
  infrastructureFailures: 0,
  attempts: [attempt],
  waiting: [waiting],
  stepMs: { queue: 1, boot: 1, source: 1, prepare: 1, run: 1, collect: 1, clean: 1 },
}
const operation = {
  id: 'op_1',
  hostId: 'host_1',
  request: { kind: 'reboot' },
  state: 'PENDING',
  generation: 1,
  requestedBy: 'user:alice',
  requestedAt: 1,
  startedAt: null,
  endedAt: null,
  limits: { warning: 1, hard: 2, reconnect: 3 },
  deadline: null,
  killRequested: false,
  exitCode: null,
  pid: null,
  outputTail: '',
  reason: '',
}
const host = {
  id: 'host_1',
  name: 'mini-1',
  pool: 'default',
  labels: { a: 'b' },
  state: 'up',
  schedulable: { kind: 'open' },
  generation: 1,
  enrolledAt: 1,
  lastSeenAt: 2,
  silentMs: 3,
  bootId: 'b',
  facts: makeFacts(),
  runningJobs: [{ jobId: 'job_1', attemptId: 'att_1', queue: 'ci', since: 1 }],
  used: { cpu: 0, memoryMiB: 0, diskMiB: 0 },
  slots: { user: { used: 1, total: 2 } },
  operation,
  failureStreak: 0,
  readiness: [{ engine: 'user', image: null, state: 'ready', reason: '' }],
  waiting: [waiting],
}
const fleetHost = {
  id: 'host_1',
  name: 'mini-1',
  pool: 'default',
  state: 'up',
  schedulable: 'open',
  readiness: 'ready',
  used: 1,
  total: 4,
  operation: null,
}
const sandbox = {
  id: 'sbx_1',
  name: 'box',
  hostId: 'host_1',
  hostName: 'mini-1',
  engine: 'user',
  image: null,
  state: 'running',
  reason: '',
  isolation: 'account',
  createdBy: 'user:alice',
  createdAt: 1,
  expiresAt: 2,
  hardExpiresAt: 3,
  timeLeftMs: 4,
  generation: 5,
  jobId: null,
}
const token = {
  id: 'tok_1',
  name: 'ci',
  user: 'alice',
  scopes: ['read'],
  queues: ['ci'],
  createdAt: 1,
  expiresAt: 2,
  lastUsedAt: null,
  revokedAt: null,
}

const table: Record<string, readonly [z.ZodType, Held]> = {
  Problem: [
    api.Problem,
    {
      sample: {
        type: 't',
        title: 't',
        status: 404,
        code: 'NOT_FOUND',
        detail: 'd',
        hint: 'h',
        problems: [{ path: 'p', message: 'm', accepted: ['a'] }],
        details: { a: 1 },
      },
      optional: { hint: undefined, problems: undefined, details: undefined },
      good: { problems: [[{ path: 'p', message: 'm' }], [{ path: 'p', message: 'm', line: 5 }]] },
      bad: { status: [0.5], problems: [[{}], [{ path: 'p' }]] },
      loose: true,
    },
  ],
  PageQuery: [
    api.PageQuery,
    {
      sample: { cursor: 'c', limit: 1 },
      optional: { cursor: undefined, limit: 100 },
      good: { limit: ['500', 1], cursor: [long(500)] },
      bad: { limit: [0, 501, 1.5, 'x'], cursor: [long(501)] },
    },
  ],
  WaitingView: [api.WaitingView, { sample: waiting, bad: { code: ['bored'], hosts: [[1]], hostCount: [0.5], jobCount: [0.5] } }],
  AttemptView: [
    api.AttemptView,
    {
      sample: attempt,
      good: { outcome: [outcome], isolation: [null, 'directory', 'vm'] },
      bad: {
        state: ['queued'],
        number: [0.5],
        isolation: ['none'],
        logBytes: [0.5],
        artifacts: [[{}]],
        artifactFailures: [[{}]],
        notes: [[1]],
        times: [{ x: 1 }],
      },
    },
  ],
  JobView: [
    api.JobView,
    {
      sample: job,
      good: { image: ['macos-15'], endedAt: [1], outcome: [outcome], exitCode: [3], network: ['host', 'none'], stepMs: [{}, { boot: 5 }] },
      bad: {
        state: ['lost'],
        spec: [{}],
        timeoutS: [0.5],
        retries: [0.5],
        network: ['x'],
        generation: [0.5],
        exitCode: [0.5],
        infrastructureFailures: [0.5],
        attempts: [[{}]],
        waiting: [[{}]],
        stepMs: [{ dance: 1 }],
      },
    },
  ],
  JobList: [api.JobList, { sample: { items: [job], nextCursor: null }, good: { nextCursor: ['c'] }, bad: { items: [[{}]] } }],
  JobListQuery: [
    api.JobListQuery,
    {
      sample: { cursor: 'c', limit: 2, queue: 'ci', state: 'ended', host: 'mini-1' },
      optional: { cursor: undefined, limit: 100, queue: undefined, state: undefined, host: undefined },
      good: { host: [long(100)] },
      bad: { queue: ['A'], state: ['x'], host: ['', long(101)] },
    },
  ],
  HostView: [
    api.HostView,
    {
      sample: host,
      good: { lastSeenAt: [null], silentMs: [null], bootId: [null], facts: [null], operation: [null] },
      bad: {
        labels: [{ A: '' }],
        state: ['x'],
        schedulable: [{}],
        generation: [0.5],
        runningJobs: [[{}], [{ jobId: 'j', attemptId: 'a', queue: 'q', since: 1, x: 1 }]],
        used: [{}, { cpu: 1, memoryMiB: 1 }],
        slots: [{ user: {} }, { user: { used: 0.5, total: 1 } }, { user: { used: 1, total: 0.5 } }, { user: { used: 1, total: 1, x: 1 } }],
        operation: [{}],
        failureStreak: [0.5],
        readiness: [
          [{}],
          [{ engine: 'x', image: null, state: 'ready', reason: '' }],
          [{ engine: 'user', image: null, state: 'x', reason: '' }],
          [{ engine: 'user', image: null, state: 'ready', reason: '', x: 1 }],
        ],
        waiting: [[{}]],
      },
    },
  ],
  HostList: [api.HostList, { sample: { items: [host], nextCursor: 'c' }, bad: { items: [[{}]] } }],
  HostListQuery: [
    api.HostListQuery,
    {
      sample: { cursor: 'c', limit: 2, pool: 'a', state: 'up' },
      optional: { cursor: undefined, limit: 100, pool: undefined, state: undefined },
      bad: { pool: ['A'], state: ['x'] },
    },
  ],
  FleetHost: [
    api.FleetHost,
    {
      sample: fleetHost,
      good: {
        state: ['enrolled', 'lost', 'retired'],
        schedulable: ['cordoned', 'draining', 'quarantined'],
        readiness: ['notReady', 'unknown'],
        operation: ['reboot', 'sandboxSnapshot'],
      },
      bad: { state: ['x'], schedulable: ['x'], readiness: ['x'], used: [0.5], total: [0.5], operation: ['x'] },
    },
  ],
  FleetList: [api.FleetList, { sample: { items: [fleetHost], nextCursor: null }, good: { nextCursor: ['c'] }, bad: { items: [[{}]] } }],
  FleetQuery: [
    api.FleetQuery,
    {
      sample: { cursor: 'c', limit: 2, names: 'mini-1,mini-2' },
      optional: { cursor: undefined, limit: 2000, names: undefined },
      good: { cursor: [long(500)], limit: [1, 2000], names: [long(8000)] },
      bad: { cursor: [long(501)], limit: [0, 2001, 1.5], names: ['', long(8001)] },
    },
  ],
  CordonRequest: [
    api.CordonRequest,
    { sample: { reason: 'r' }, optional: { reason: '' }, good: { reason: [long(500)] }, bad: { reason: [long(501)] } },
  ],
  DrainRequest: [
    api.DrainRequest,
    {
      sample: { reason: 'r', deadlineMs: 1 },
      optional: { reason: '', deadlineMs: null },
      good: { deadlineMs: [null], reason: [long(500)] },
      bad: { reason: [long(501)], deadlineMs: [0, 0.5] },
    },
  ],
  OperationView: [
    api.OperationView,
    {
      sample: operation,
      good: { startedAt: [1], endedAt: [1], deadline: [1], exitCode: [1], pid: [1] },
      bad: { request: [{}], state: ['x'], generation: [0.5], exitCode: [0.5], pid: [0.5] },
    },
  ],
  OperationCreate: [
    api.OperationCreate,
    {
      sample: { request: { kind: 'probe' }, queueIfLost: true, warningS: 1, hardS: 1 },
      optional: { queueIfLost: false, warningS: undefined, hardS: undefined },
      bad: { request: [{}], warningS: [0, 0.5], hardS: [0, 0.5] },
    },
  ],
  QueueView: [
    api.QueueView,
    {
      sample: {
        name: 'ci',
        pools: ['a'],
        weight: 1.5,
        maxRunning: 1,
        maxQueued: 2,
        queued: 3,
        running: 4,
        oldestQueuedAt: 5,
        waiting: [waiting],
        secrets: ['A'],
      },
      good: { maxRunning: [null], oldestQueuedAt: [null] },
      bad: { pools: [[1]], maxRunning: [0.5], maxQueued: [0.5], queued: [0.5], running: [0.5], waiting: [[{}]], secrets: [[1]] },
    },
  ],
  PoolView: [
    api.PoolView,
    {
      sample: {
        name: 'a',
        provider: 'static',
        hosts: ['mini-1'],
        up: 1,
        lost: 2,
        open: 3,
        running: 4,
        engines: ['user'],
        labels: { a: 'b' },
      },
      bad: { hosts: [[1]], up: [0.5], lost: [0.5], open: [0.5], running: [0.5], engines: [[1]], labels: [{ A: '' }] },
    },
  ],
  SandboxView: [
    api.SandboxView,
    {
      sample: sandbox,
      good: { image: ['m'], isolation: [null], jobId: ['job_1'] },
      bad: { engine: ['x'], state: ['x'], generation: [0.5] },
    },
  ],
  SandboxCreate: [
    api.SandboxCreate,
    {
      sample: { name: 'box', host: 'mini-1', engine: 'tart', image: 'macos-15', ttlS: 60, idleS: 60 },
      optional: { name: undefined, host: undefined, engine: 'user', image: undefined, ttlS: 3600, idleS: undefined },
      good: { ttlS: [604_800], idleS: [604_800] },
      bad: { name: ['A'], engine: ['x'], image: ['A'], ttlS: [59, 604_801, 60.5], idleS: [59, 604_801, 60.5] },
    },
  ],
  UserView: [
    api.UserView,
    {
      sample: { id: 'usr_1', name: 'alice', role: 'viewer', queues: ['ci'], createdAt: 1, disabled: false, generation: 1 },
      bad: { role: ['x'], queues: [[1]], generation: [0.5] },
    },
  ],
  UserCreate: [
    api.UserCreate,
    {
      sample: { name: 'alice', role: 'admin', queues: ['ci'], password: long(12) },
      optional: { queues: [] },
      good: { password: [long(256)] },
      bad: { name: ['A'], role: ['x'], queues: [['A']], password: [long(11), long(257)] },
    },
  ],
  UserPatch: [
    api.UserPatch,
    {
      sample: { role: 'admin', queues: ['ci'], disabled: true, password: long(12) },
      optional: { role: undefined, queues: undefined, disabled: undefined, password: undefined },
      good: { password: [long(256)] },
      bad: { role: ['x'], queues: [['A']], password: [long(11), long(257)] },
    },
  ],
  TokenView: [api.TokenView, { sample: token, good: { lastUsedAt: [1], revokedAt: [1] }, bad: { scopes: [['x']], queues: [[1]] } }],
  TokenCreate: [
    api.TokenCreate,
    {
      sample: { name: 'ci', scopes: ['read'], queues: ['ci'], ttlS: 60 },
      optional: { queues: [], ttlS: 90 * 86_400 },
      good: { name: ['x', long(100)], ttlS: [366 * 86_400] },
      bad: { name: ['', long(101)], scopes: [[], ['x']], queues: [['A']], ttlS: [59, 366 * 86_400 + 1, 60.5] },
    },
  ],
  TokenCreated: [api.TokenCreated, { sample: { ...token, token: 'cidery_tok_x' } }],
  LoginRequest: [
    api.LoginRequest,
    {
      sample: { name: 'alice', password: 'x' },
      good: { name: [long(100)], password: [long(256)] },
      bad: { name: [long(101)], password: [long(257)] },
    },
  ],
  SessionView: [
    api.SessionView,
    {
      sample: { user: 'alice', role: 'viewer', scopes: ['read'], queues: ['ci'], csrfToken: 'c', expiresAt: 1 },
      good: { csrfToken: [null], expiresAt: [null] },
      bad: { role: ['x'], scopes: [['x']], queues: [[1]] },
    },
  ],
  EnrolmentCreate: [
    api.EnrolmentCreate,
    {
      sample: { name: 'mini-1', pool: 'a', labels: { a: 'b' }, ttlS: 60 },
      optional: { name: undefined, pool: 'default', labels: {}, ttlS: 900 },
      good: { ttlS: [86_400] },
      bad: { name: ['A'], pool: ['A'], labels: [{ A: '' }], ttlS: [59, 86_401, 60.5] },
    },
  ],
  EnrolmentCreated: [
    api.EnrolmentCreated,
    { sample: { id: 'enr_1', token: 't', url: 'u', caFingerprint: 'f', command: 'c', expiresAt: 1 }, good: { caFingerprint: [null] } },
  ],
  SecretView: [api.SecretView, { sample: { queue: 'ci', name: 'A', setBy: 'user:alice', setAt: 1 } }],
  SecretSet: [api.SecretSet, { sample: { value: 'x' }, good: { value: [long(1_048_576)] }, bad: { value: ['', long(1_048_577)] } }],
  SpecView: [api.SpecView, { sample: { generation: 1, source: 's', appliedAt: 1, appliedBy: 'user:alice' }, bad: { generation: [0.5] } }],
  SpecApply: [
    api.SpecApply,
    {
      sample: { source: 's', file: 'f', dryRun: true },
      optional: { file: 'cidery.yaml', dryRun: false },
      good: { source: [long(1_048_576)], file: [long(1000)] },
      bad: { source: [long(1_048_577)], file: [long(1001)] },
    },
  ],
  SpecDiff: [
    api.SpecDiff,
    {
      sample: { generation: 1, applied: false, changes: [{ path: 'a', from: 1, to: [2] }], consequences: ['c'] },
      bad: { generation: [0.5], changes: [[{}], [{ path: 'a', from: 1, to: 2, x: 1 }]], consequences: [[1]] },
    },
  ],
  ExplainView: [
    api.ExplainView,
    {
      sample: { subject: 's', summary: 's', waiting: [waiting], facts: [{ name: 'n', value: 'v' }] },
      bad: { waiting: [[{}]], facts: [[{}], [{ name: 'n' }], [{ name: 'n', value: 'v', x: 1 }]] },
    },
  ],
  UploadCreate: [
    api.UploadCreate,
    { sample: { sizeBytes: 0, digest }, bad: { sizeBytes: [-1, 0.5], digest: ['', `${digest}0`, `x${digest}`, digest.toUpperCase()] } },
  ],
  UploadView: [api.UploadView, { sample: { id: 'upl_1', offset: 1, complete: false }, bad: { offset: [0.5] } }],
  ControllerView: [
    api.ControllerView,
    {
      sample: {
        version: '1',
        instance: 'ctl_1',
        epoch: 1,
        leads: true,
        startedAt: 1,
        store: 'sqlite',
        schema: 1,
        url: 'u',
        caFingerprint: null,
        syncProtocols: [1],
        loop: { lastPassAt: null, lastPassMs: null, passes: 1, problem: null },
      },
      good: { caFingerprint: ['f'], loop: [{ lastPassAt: 1, lastPassMs: 2, passes: 1, problem: 'p' }] },
      bad: {
        epoch: [0.5],
        schema: [0.5],
        syncProtocols: [[0.5]],
        loop: [
          {},
          { lastPassAt: 1, lastPassMs: 2, passes: 0.5, problem: null },
          { lastPassAt: 1, lastPassMs: 2, passes: 1, problem: null, x: 1 },
        ],
      },
    },
  ],
  CheckView: [
    api.CheckView,
    {
      sample: { name: 'n', state: 'passed', message: 'm', fix: null },
      good: { state: ['warning', 'failed'], fix: ['f'] },
      bad: { state: ['x'] },
    },
  ],
  DoctorView: [
    api.DoctorView,
    {
      sample: { verdict: 'healthy', checks: [{ name: 'n', state: 'passed', message: 'm', fix: null }] },
      good: { verdict: ['degraded', 'failed'] },
      bad: { verdict: ['x'], checks: [[{}]] },
    },
  ],
  AuditVerifyView: [
    api.AuditVerifyView,
    {
      sample: { ok: true, first: 1, last: 2, checked: 2, problem: null },
      good: { first: [null], last: [null], problem: ['p'] },
      bad: { first: [0.5], last: [0.5], checked: [0.5] },
    },
  ],
}

describe('what travels over the API is held to its shape', () => {
  it.each(Object.entries(table))('%s', (_name, [schema, held]) => {
    expectHeld(schema, held)
  })
})
