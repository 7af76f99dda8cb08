import { describe, expect, it } from 'vitest'
import type { HostView, OperationView } from '../../../src/model/api.ts'
import { scopesOfRole } from '../../../src/model/identity.ts'
import { hostActions, reasonNotTo } from './reasons.ts'

type Host = Parameters<typeof reasonNotTo>[1]

const host: Host = { state: 'up', schedulable: { kind: 'open' }, operation: null, runningJobs: [] }
const job: HostView['runningJobs'][number] = { jobId: 'job_1', attemptId: 'att_1', queue: 'ci', since: 1 }

function reasons(change: Partial<Host>, role: keyof typeof scopesOfRole = 'operator'): Readonly<Record<string, string>> {
  return Object.fromEntries(
    hostActions.flatMap((action) => {
      const reason = reasonNotTo(action, { ...host, ...change }, scopesOfRole[role])
      return reason === null ? [] : [[action, reason]]
    }),
  )
}

describe('why an action on a host cannot be done', () => {
  it('is nothing on an open host that reports, but that it takes jobs already', () => {
    expect(reasons({})).toEqual({ uncordon: 'it takes jobs already' })
  })

  it('is that it was done', () => {
    expect(reasons({ schedulable: { kind: 'cordoned', by: 'user:a', at: 1, reason: '' } })).toEqual({ cordon: 'it is cordoned' })
    expect(reasons({ schedulable: { kind: 'draining', by: 'user:a', at: 1, reason: '', deadline: null } })).toEqual({
      cordon: 'it is draining',
      drain: 'it is draining',
    })
  })

  it('is its state: what is asked of a host needs one that reports', () => {
    const lost = 'the host is lost'
    expect(reasons({ state: 'lost' })).toEqual({
      uncordon: 'it takes jobs already',
      probe: lost,
      clean: lost,
      restartAgent: lost,
      reboot: lost,
    })
    expect(Object.keys(reasons({ state: 'retired' }))).toEqual([...hostActions])
  })

  it('is another operation, or jobs that would be torn down', () => {
    const busy = 'it is busy with reboot'
    const operation = { request: { kind: 'reboot' } } as OperationView
    expect(reasons({ operation, runningJobs: [job, job] })).toEqual({
      uncordon: 'it takes jobs already',
      probe: busy,
      clean: busy,
      restartAgent: busy,
      reboot: busy,
      retire: 'it runs 2 jobs: drain it first',
    })
    expect(reasons({ runningJobs: [job] })['retire']).toBe('it runs 1 job: drain it first')
    expect(reasons({ state: 'lost', runningJobs: [job] })['retire']).toBeUndefined()
  })

  it('is who asks', () => {
    expect(new Set(Object.values(reasons({}, 'viewer')))).toEqual(new Set(['your role may not change hosts']))
    expect(Object.keys(reasons({}, 'viewer'))).toEqual([...hostActions])
  })
})
