import { describe, expect, it } from 'vitest'
import { expectHeld } from '../../test/model/hold-schema.ts'
import { Proof, Readiness, judgeReadiness } from './readiness.ts'

const limits = { checkMaxAge: 100, bootProofMaxAge: 1000 }
const good = (at: number) => ({ ok: true, at, reason: '' })
const bad = (at: number) => ({ ok: false, at, reason: 'broken' })

function judge(check: Proof | null, boot: Proof | null, now = 10_000) {
  return judgeReadiness({ engine: 'user', image: null, check, boot }, limits, now)
}

describe('a host is ready for an image', () => {
  it('when both proofs are good and young enough', () => {
    expect(judge(good(9900), good(9000))).toEqual({ state: 'ready' })
  })

  it('and unknown when a proof is too old, by a millisecond', () => {
    expect(judge(good(9899), good(9000))).toEqual({ state: 'unknown', reason: 'the check is too old' })
    expect(judge(good(9900), good(8999))).toEqual({ state: 'unknown', reason: 'the boot proof is too old' })
  })

  it('and unknown when a proof is from the future by more than its limit', () => {
    expect(judge(good(10_100), good(11_000))).toEqual({ state: 'ready' })
    expect(judge(good(10_101), good(10_000))).toMatchObject({ state: 'unknown' })
    expect(judge(good(10_000), good(11_001))).toMatchObject({ state: 'unknown' })
  })

  it('and unknown when it was never proved', () => {
    expect(judgeReadiness(undefined, limits, 0)).toEqual({ state: 'unknown', reason: 'never probed' })
    expect(judge(null, good(10_000))).toEqual({ state: 'unknown', reason: 'no check yet' })
    expect(judge(good(10_000), null)).toEqual({ state: 'unknown', reason: 'no boot proof yet' })
  })

  it('and not ready when a young proof is of failure', () => {
    expect(judge(bad(10_000), good(10_000))).toEqual({ state: 'notReady', reason: 'broken' })
    expect(judge(good(10_000), bad(10_000))).toEqual({ state: 'notReady', reason: 'broken' })
    expect(judge(bad(9000), good(10_000))).toMatchObject({ state: 'unknown' })
  })
})

it('holds what proofs are made of', () => {
  expectHeld(Proof, { sample: { ok: true, at: 1.5, reason: 'x'.repeat(500) }, bad: { reason: ['x'.repeat(501)] } })
  expectHeld(Readiness, {
    sample: { engine: 'tart', image: 'macos-15', check: good(1), boot: null },
    good: { image: [null], check: [null], boot: [bad(2)] },
    bad: { engine: ['docker'] },
  })
})
