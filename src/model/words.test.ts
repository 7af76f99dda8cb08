import { describe, expect, it } from 'vitest'
import { expectHeld } from '../../test/model/hold-schema.ts'
import { CideryError, errorCodes } from './errors.ts'
import { Event, eventKinds, SealedEvent } from './event.ts'
import { allows, Role, roles, Scope, scopes, scopesOfRole, type Principal } from './identity.ts'
import { waitingCodes } from './plan.ts'
import { sandboxCan, sandboxStates } from './sandbox.ts'

describe('words that are API and never change their name', () => {
  it('of errors, each with its status and what it means', () => {
    expect(Object.entries(errorCodes).map(([code, { status, retry }]) => `${code} ${status} ${retry}`)).toMatchInlineSnapshot(`
      [
        "INVALID_INPUT 400 never",
        "UNAUTHENTICATED 401 never",
        "FORBIDDEN 403 never",
        "NOT_FOUND 404 never",
        "METHOD_NOT_ALLOWED 405 never",
        "REQUEST_TIMEOUT 408 soon",
        "CONFLICT 409 never",
        "HOST_LOST 409 soon",
        "OPERATION_RUNNING 409 soon",
        "STALE_EPOCH 409 soon",
        "IDEMPOTENCY_MISMATCH 409 never",
        "STALE_GENERATION 412 never",
        "PAYLOAD_TOO_LARGE 413 never",
        "UNSUPPORTED_MEDIA_TYPE 415 never",
        "OFFSET_MISMATCH 416 soon",
        "WRONG_HOST 421 never",
        "AGENT_TOO_OLD 426 never",
        "PRECONDITION_REQUIRED 428 never",
        "TOO_MANY_REQUESTS 429 soon",
        "QUEUE_FULL 429 soon",
        "INTERNAL 500 soon",
        "UNSUPPORTED 501 never",
        "UNAVAILABLE 503 soon",
        "STORAGE_FULL 507 soon",
        "ENGINE_FAILED 500 soon",
        "SANDBOX_RESIDUE 500 never",
        "MOUNT_REFUSED 403 never",
        "AGENT_LOCKED 409 never",
        "CONTROLLER_LOCKED 409 never",
        "SCHEMA_TOO_NEW 500 never",
        "UNREACHABLE 503 soon",
        "TLS_REQUIRED 400 never",
        "DIGEST_MISMATCH 502 never",
        "JOURNAL_BROKEN 500 never",
      ]
    `)
    for (const { meaning } of Object.values(errorCodes)) expect(meaning).toMatch(/^[a-z].{15,}[^.]$/)
  })

  it('of events', () => {
    expect(eventKinds).toMatchInlineSnapshot(`
      [
        "controller.started",
        "controller.led",
        "spec.applied",
        "job.submitted",
        "job.assigned",
        "job.running",
        "job.retried",
        "job.cancelRequested",
        "job.ended",
        "attempt.ended",
        "attempt.refused",
        "host.enrolled",
        "host.up",
        "host.lost",
        "host.cordoned",
        "host.uncordoned",
        "host.draining",
        "host.quarantined",
        "host.repairing",
        "host.returned",
        "host.retired",
        "host.keyAsked",
        "host.keyRotated",
        "host.readiness",
        "host.rebooted",
        "operation.requested",
        "operation.changed",
        "operation.ended",
        "image.recipeSet",
        "image.build.asked",
        "image.build.adopted",
        "image.build.started",
        "image.build.skipped",
        "image.build.cancelRequested",
        "image.build.candidate",
        "image.build.validated",
        "image.build.failed",
        "image.build.removed",
        "image.build.pinned",
        "image.canaryStarted",
        "image.promoted",
        "image.rolledBack",
        "image.ready",
        "image.notReady",
        "image.forced",
        "image.forceCleared",
        "sandbox.created",
        "sandbox.changed",
        "sandbox.removed",
        "sandbox.expiring",
        "secret.set",
        "secret.removed",
        "user.created",
        "user.changed",
        "user.removed",
        "user.login",
        "user.loginFailed",
        "user.logout",
        "token.created",
        "token.revoked",
        "enrolment.created",
        "enrolment.used",
        "enrolment.refused",
        "enrolment.removed",
        "access.denied",
        "audit.exported",
        "exec.opened",
        "journal.cut",
        "state.copied",
      ]
    `)
  })

  it('of reasons to wait', () => {
    expect(waitingCodes).toMatchInlineSnapshot(`
      [
        "noHosts",
        "noMatch",
        "engineUnsupported",
        "networkUnsupported",
        "limitUnenforceable",
        "imageMissing",
        "hostNotReady",
        "readinessUnknown",
        "hostCordoned",
        "hostQuarantined",
        "hostLost",
        "hostStale",
        "tooLarge",
        "noCapacity",
        "queueLimit",
        "fairShare",
        "retryDelay",
        "operationBusy",
        "leaseRunning",
        "draining",
        "imageNoRecipe",
        "imageNoHost",
        "imageBuilding",
        "imageBuildFailed",
        "imageFlaky",
        "imageRejected",
        "imageRollout",
        "imageCanary",
        "imageDiskLow",
        "imageNotShared",
        "imageOld",
      ]
    `)
  })

  it('of sandboxes', () => {
    expect(sandboxStates).toEqual(['requested', 'creating', 'stopped', 'running', 'failed', 'removing', 'gone'])
    expect(sandboxCan).toEqual({
      start: ['stopped'],
      stop: ['running'],
      snapshot: ['stopped'],
      reset: ['stopped', 'running', 'failed'],
      exec: ['running'],
      remove: ['requested', 'creating', 'stopped', 'running', 'failed'],
    })
  })
})

describe('an error', () => {
  it('carries its code, what to do next, and the cause', () => {
    const cause = new Error('why')
    const error = new CideryError('HOST_LOST', 'mini-1 is silent', {
      hint: 'look',
      cause,
      problems: [{ path: 'a', message: 'b' }],
      details: { silentMs: 5 },
    })
    expect(error).toMatchObject({
      name: 'CideryError',
      code: 'HOST_LOST',
      message: 'mini-1 is silent',
      hint: 'look',
      cause,
      problems: [{ path: 'a', message: 'b' }],
      details: { silentMs: 5 },
    })
    expect([error.status, error.retry, error.docs]).toEqual([409, 'soon', 'docs/reference/errors.md#host_lost'])
    expect(error).toBeInstanceOf(Error)
  })

  it('has no cause when none was given', () => {
    const error = new CideryError('INTERNAL', 'x')
    expect('cause' in error).toBe(false)
    expect([error.hint, error.problems, error.details]).toEqual([undefined, undefined, undefined])
  })
})

it('holds events to their shape', () => {
  const sample = { kind: 'job.ended', at: 1, actor: 'system', subject: 'job/x', origin: null, result: 'ok', data: { a: 1 } }
  expectHeld(Event, {
    sample,
    good: { origin: ['10.0.0.1'], result: ['refused', 'failed'] },
    bad: { kind: ['job.exploded'], result: ['maybe'] },
  })
  expectHeld(SealedEvent, {
    sample: { ...sample, number: 1, epoch: 2, seq: 3, previousHash: 'a', hash: 'b' },
    bad: { number: [0, 1.5], epoch: [0.5], seq: [0.5] },
  })
})

describe('who may do what', () => {
  const principal = (given: Partial<Principal>): Principal => ({
    kind: 'user',
    id: 'usr_1',
    name: 'alice',
    scopes: ['jobs'],
    queues: [],
    ...given,
  })

  it('follows from role and scopes', () => {
    expect(roles).toEqual(['viewer', 'operator', 'admin'])
    expect(scopes).toEqual(['read', 'jobs', 'hosts', 'spec', 'secrets', 'people', 'exec'])
    expect(scopesOfRole).toEqual({ viewer: ['read'], operator: ['read', 'jobs', 'hosts'], admin: [...scopes] })
    expect([Role.safeParse('root').success, Scope.safeParse('all').success]).toEqual([false, false])
    expect([Role.parse('admin'), Scope.parse('exec')]).toEqual(['admin', 'exec'])
  })

  it('and is limited to queues when the principal is', () => {
    expect(allows(principal({}), 'jobs')).toBe(true)
    expect(allows(principal({}), 'jobs', 'ci')).toBe(true)
    expect(allows(principal({}), 'hosts')).toBe(false)
    expect(allows(principal({ queues: ['ci'] }), 'jobs', 'ci')).toBe(true)
    expect(allows(principal({ queues: ['ci'] }), 'jobs', 'web')).toBe(false)
    expect(allows(principal({ queues: ['ci'] }), 'jobs')).toBe(true)
    expect(allows(principal({ queues: ['ci'] }), 'secrets', 'ci')).toBe(false)
  })
})
