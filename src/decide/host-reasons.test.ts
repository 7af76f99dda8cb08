import { describe, expect, it } from 'vitest'
import {
  makeAttempt,
  makeEngine,
  makeFacts,
  makeHost,
  makeJob,
  makeSpec,
  makeWorld,
  provenReady,
  start,
} from '../../test/decide/build-world.ts'
import type { Host } from '../model/host.ts'
import { minute, second } from '../model/instant.ts'
import type { Waiting } from '../model/plan.ts'
import { decide } from './decide.ts'

const now = start + second

describe('a host that takes no jobs says so by itself', () => {
  function told(host: Host, attempts = 0): readonly Waiting[] {
    const jobs = Array.from({ length: attempts }, (_, index) => makeJob(index, { changes: { state: 'running' } }))
    const running = jobs.map((job, index) => makeAttempt(index, { job, host }))
    return decide(makeSpec(), makeWorld({ hosts: [host], jobs, attempts: running }), now).waiting
  }

  it('not when it is ready for something', () => {
    expect(told(makeHost(1))).toEqual([])
    const facts = makeFacts({
      engines: [makeEngine('user', { ok: false }), makeEngine('tart')],
      readiness: [provenReady('user', null), provenReady('tart', 'macos-15')],
    })
    expect(told(makeHost(1, { facts }))).toEqual([])
  })

  it('when its pool is not in the spec', () => {
    expect(told(makeHost(1, { pool: 'gone' }))).toEqual([
      {
        subject: `host/${makeHost(1).id}`,
        code: 'noMatch',
        message: 'mini-1 belongs to pool gone, which is not in the spec',
        cure: 'add pools.gone to cidery.yaml and run cidery apply',
        hosts: [makeHost(1).id],
        hostCount: 1,
        jobCount: 0,
        since: start,
      },
    ])
  })

  it('when it has no engine, or none that works or was proved', () => {
    expect(told(makeHost(1, { facts: makeFacts({ engines: [] }) }))).toMatchObject([
      { code: 'engineUnsupported', message: 'mini-1 has no engine that pool default offers', cure: 'cidery host show mini-1' },
    ])
    expect(told(makeHost(1, { facts: makeFacts({ engines: [makeEngine('user', { ok: false, problems: ['no root'] })] }) }))).toMatchObject([
      { code: 'hostNotReady', message: 'mini-1 is not ready: user: no root', cure: 'cidery host probe mini-1' },
    ])
    expect(told(makeHost(1, { facts: makeFacts({ engines: [makeEngine('user', { ok: false })] }) }))[0]?.message).toContain(
      'user: it does not work there',
    )
    expect(told(makeHost(1, { facts: makeFacts({ readiness: [] }) }))[0]?.message).toBe('mini-1 is not ready: user: it was never probed')
    const failed = { engine: 'user' as const, image: null, check: { ok: false, at: start, reason: 'disk full' }, boot: null }
    expect(told(makeHost(1, { facts: makeFacts({ readiness: [failed] }) }))[0]?.message).toBe('mini-1 is not ready: user: disk full')
  })

  it('while it drains, with what still runs and for how long', () => {
    const draining = (deadline: number | null) =>
      makeHost(1, { schedulable: { kind: 'draining', by: 'user:bob', at: start - 5, reason: '', deadline } })
    const message = (deadline: number | null, count: number) => told(draining(deadline), count)[0]
    expect(message(now + minute, 2)).toMatchObject({
      code: 'draining',
      message: 'mini-1 is draining: 2 attempts still there, at most 1m more',
      since: start - 5,
      jobCount: 2,
    })
    expect(message(null, 1)?.message).toBe('mini-1 is draining: 1 attempt still there')
  })
})
