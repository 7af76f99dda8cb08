import { describe, expect, it } from 'vitest'
import { makeAttempt, makeHost, makeJob, makeOperation, makeSpec, makeWorld, start } from '../../test/decide/build-world.ts'
import { CideryError } from '../model/errors.ts'
import { minute } from '../model/instant.ts'
import { classKey } from './advance-world.ts'
import { decide } from './decide.ts'
import { explain } from './explain.ts'

const spec = makeSpec({
  queues: { default: {}, ci: {}, c: {} },
  pools: {
    default: { engines: { user: { limits: 'advisory' } } },
    minis: { hosts: ['mini-2'], engines: { user: { limits: 'advisory' } } },
  },
})
const lost = makeHost(1, { state: 'lost', lastSeenAt: start - minute })
const cordoned = makeHost(2, { schedulable: { kind: 'cordoned', by: 'user:bob', at: start, reason: '' } })
const retired = makeHost(3, { state: 'retired' })
const plain = makeJob(1)
const delayed = makeJob(2, { changes: { notBefore: start + minute } })
const cancelled = makeJob(3, { changes: { cancelRequested: { by: 'user:alice', at: start } } })
const running = makeJob(4, { changes: { state: 'running' } })
const busy = makeJob(5)
const other = { ...makeJob(6), queue: 'ci' }
const operation = makeOperation(1, lost)
const attempts = [makeAttempt(1, { job: running, host: lost }), makeAttempt(2, { job: busy, host: lost })] as const
function makeScene() {
  return makeWorld({
    hosts: [lost, cordoned, retired],
    jobs: [plain, delayed, cancelled, running, busy, other],
    attempts,
    operations: [operation],
  })
}

function codes(subject: string): string[] {
  return explain(spec, makeScene(), { subject, now: start }).map((waiting) => `${waiting.subject.split('/')[0] ?? ''} ${waiting.code}`)
}

describe('explaining', () => {
  it('a queued job tells what its class waits for', () => {
    expect(codes(`job/${plain.id}`)).toEqual(['class hostLost', 'class hostCordoned'])
  })

  it('a job that waits for its retry tells that and nothing else', () => {
    expect(codes(`job/${delayed.id}`)).toEqual(['class retryDelay'])
  })

  it('a job with an attempt that may be alive tells which', () => {
    expect(codes(`job/${busy.id}`)).toEqual(['attempt leaseRunning', 'class leaseRunning'])
    expect(codes(`job/${running.id}`)).toEqual(['attempt leaseRunning'])
  })

  it('a job that is cancelled, placed in this pass, or gone waits for nothing', () => {
    expect(codes(`job/${cancelled.id}`)).toEqual([])
    expect(codes('job/job_of_yesterday')).toEqual([])
    const [first, second] = [makeJob(1), makeJob(2, { wants: { shape: { cpu: 8 } } })]
    const ready = makeWorld({ hosts: [makeHost(1)], jobs: [first, second] })
    expect(explain(spec, ready, { subject: `job/${first.id}`, now: start })).toEqual([])
    expect(explain(spec, ready, { subject: `job/${second.id}`, now: start })).toMatchObject([{ code: 'noCapacity' }])
  })

  it('a host, by name or id, tells its state and what waits on it', () => {
    expect(codes('host/mini-1')).toEqual(['attempt leaseRunning', 'attempt leaseRunning', 'operation hostLost', 'host hostLost'])
    expect(codes(`host/${cordoned.id}`)).toEqual(['host hostCordoned'])
    expect(codes('host/mini-3')).toEqual([])
    expect(codes('host/mini-4')).toEqual([])
  })

  it('a pool tells of all its hosts, whichever way they are in it', () => {
    expect(codes('pool/minis')).toEqual(['host hostCordoned'])
    expect(codes('pool/default')).toContain('host hostLost')
    expect(codes('pool/default')).not.toContain('host hostCordoned')
  })

  it('a queue tells of all its classes and of no other queue', () => {
    expect(codes('queue/ci')).toEqual(['class hostLost', 'class hostCordoned'])
    expect(codes('queue/default')).toHaveLength(4)
    expect(codes('queue/c')).toEqual([])
  })

  it('an operation, an attempt and a class tell their own', () => {
    expect(codes(`operation/${operation.id}`)).toEqual(['operation hostLost'])
    expect(codes(`attempt/${attempts[0].id}`)).toEqual(['attempt leaseRunning'])
    const key = classKey({ ...other.resolved, queue: 'ci', labels: {}, priority: 0 })
    expect(codes(`class/${key}`)).toEqual(['class hostLost', 'class hostCordoned'])
  })

  it('is what deciding says, and nothing of its own', () => {
    const { waiting } = decide(spec, makeScene(), start)
    for (const subject of [`job/${plain.id}`, 'host/mini-1', 'queue/default']) {
      for (const entry of explain(spec, makeScene(), { subject, now: start })) expect(waiting).toContainEqual(entry)
    }
  })

  it('refuses what cannot be explained, with what can', () => {
    try {
      explain(spec, makeScene(), { subject: 'mini-1', now: start })
    } catch (error) {
      if (!(error instanceof CideryError)) throw error
      expect(error).toMatchObject({
        code: 'INVALID_INPUT',
        message: 'cannot explain "mini-1"',
        hint: 'use job/<id>, host/<name or id>, queue/<name>, pool/<name>, operation/<id>, attempt/<id>, class/<key>, image/<name>',
        problems: [
          {
            path: 'subject',
            message: 'an unknown kind of thing',
            accepted: expect.arrayContaining(['job/<id>', 'class/<key>']) as unknown,
          },
        ],
      })
      return
    }
    throw new Error('it was not refused')
  })
})
