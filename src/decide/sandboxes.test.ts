import { describe, expect, it } from 'vitest'
import { makeHost, makeSandbox, makeSpec, makeWorld, start } from '../../test/decide/build-world.ts'
import { hour, minute } from '../model/instant.ts'
import { sandboxStates, type Sandbox } from '../model/sandbox.ts'
import { decide } from './decide.ts'
import { leaseEnd } from './sandboxes.ts'

const host = makeHost(1)

function planAt(sandbox: Sandbox, moment: number) {
  const seen = { ...host, lastSeenAt: moment }
  return decide(makeSpec(), makeWorld({ hosts: [seen], sandboxes: [sandbox] }), moment)
}

function kindsAt(sandbox: Sandbox, moment: number): string[] {
  return planAt(sandbox, moment).steps.map(({ kind }) => kind)
}

describe('a sandbox ends by the first of its limits, at its exact moment, with a warning before [W-17]', () => {
  it.each([
    ['ttl', { expiresAt: start + hour }, { at: start + hour, lead: 10 * minute, reason: 'its lease of 1h is over' }],
    [
      'hard',
      { expiresAt: start + 8 * hour, hardExpiresAt: start + 2 * hour },
      { at: start + 2 * hour, lead: 10 * minute, reason: 'its hard limit of 2h is over' },
    ],
    [
      'idle',
      { idleMs: 20 * minute, lastUsedAt: start + 5 * minute },
      { at: start + 25 * minute, lead: 4 * minute, reason: 'not used for 20m' },
    ],
  ] as const)('%s', (tier, changes, expected) => {
    const sandbox = makeSandbox(1, host, { generation: 3, ...changes })
    expect(leaseEnd(sandbox)).toEqual({ tier, at: expected.at, warnAt: expected.at - expected.lead })
    expect(kindsAt(sandbox, expected.at - expected.lead - 1)).toEqual([])
    expect(planAt(sandbox, expected.at - expected.lead).steps).toEqual([
      { kind: 'warnSandbox', sandboxId: sandbox.id, generation: 3, expiresAt: expected.at },
    ])
    const warned = { ...sandbox, warnedAt: expected.at - expected.lead }
    expect(kindsAt(warned, expected.at - 1)).toEqual([])
    expect(planAt(warned, expected.at).steps).toEqual([
      { kind: 'removeSandbox', sandboxId: sandbox.id, generation: 3, reason: expected.reason },
    ])
  })

  it('and the plan is due again at the warning and at the end', () => {
    const spec = makeSpec({ limits: { syncPoll: '10h' } })
    const sandbox = makeSandbox(1, host)
    const nextAt = (changed: Sandbox, moment: number) => decide(spec, makeWorld({ sandboxes: [changed] }), moment).nextAt
    expect(nextAt(sandbox, start)).toBe(start + 50 * minute)
    expect(nextAt({ ...sandbox, warnedAt: start + 50 * minute }, start + 50 * minute)).toBe(start + hour)
  })

  it('whatever the soft limits say, the hard one stands', () => {
    const sandbox = makeSandbox(1, host, { expiresAt: start + 100 * hour, hardExpiresAt: start + hour, idleMs: 50 * hour })
    expect(leaseEnd(sandbox)).toMatchObject({ tier: 'hard', at: start + hour })
    expect(leaseEnd({ ...sandbox, expiresAt: start + hour }).tier).toBe('hard')
  })

  it('with a warning before the end even when nobody could warn in time', () => {
    expect(kindsAt(makeSandbox(1, host), start + 2 * hour)).toEqual(['warnSandbox', 'removeSandbox'])
  })

  it('with another warning when the end moved', () => {
    const used = makeSandbox(1, host, { idleMs: 20 * minute, lastUsedAt: start + 10 * minute, warnedAt: start + 16 * minute })
    expect(kindsAt(used, start + 26 * minute - 1)).toEqual([])
    expect(kindsAt(used, start + 26 * minute)).toEqual(['warnSandbox'])
  })

  it('with a warning no earlier than it was made, even when it was over from the start', () => {
    const odd = makeSandbox(1, host, { expiresAt: start - minute })
    expect(leaseEnd(odd)).toEqual({ tier: 'ttl', at: start - minute, warnAt: start - minute })
  })
})

it('leaves alone what is being removed', () => {
  for (const state of sandboxStates) {
    const isOver = state === 'removing' || state === 'gone'
    expect(kindsAt(makeSandbox(1, host, { state }), start + 2 * hour)).toEqual(isOver ? [] : ['warnSandbox', 'removeSandbox'])
  }
})
