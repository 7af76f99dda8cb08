import { describe, expect, it } from 'vitest'
import { makeEngine, makeFacts, makeHost, makeJob, makeSpec, makeWorld, provenReady, start } from '../../test/decide/build-world.ts'
import type { EngineFacts, Host, HostFacts } from '../model/host.ts'
import { hour, minute } from '../model/instant.ts'
import type { Spec } from '../model/spec.ts'
import { decide } from './decide.ts'
import { viewOf } from './host-view.ts'

const longSync = { limits: { syncPoll: '10h' } }

function placed(spec: Spec, host: Host, given: { wants?: Record<string, unknown>; now?: number } = {}): number {
  const job = makeJob(1, given.wants === undefined ? {} : { spec, wants: given.wants })
  return decide(spec, makeWorld({ hosts: [host], jobs: [job] }), given.now ?? start).steps.length
}

describe('what is remembered of a host', () => {
  it('is kept while nothing changes', () => {
    const [host, spec] = [makeHost(1), makeSpec()]
    const question = { spec, now: start, selectors: [], selectorsKey: '' }
    const first = viewOf(host, question)
    expect(viewOf(host, question)).toBe(first)
    expect(viewOf(host, { ...question, now: start + minute })).toBe(first)
    expect(viewOf(host, { ...question, now: first.until - 1 })).toBe(first)
    expect(viewOf(host, { ...question, now: first.until })).not.toBe(first)
    expect(first.until).toBe(start + 15 * minute + 1)
  })

  it('is not used under another spec, for other labels, or at an earlier moment', () => {
    const host = makeHost(1, { labels: { xcode: '16' } })
    expect(placed(makeSpec(), host)).toBe(1)
    expect(placed(makeSpec({ pools: { default: { engines: { tart: {} } } } }), host)).toBe(0)
    expect(placed(makeSpec(), host, { wants: { labels: { xcode: '15' } } })).toBe(0)
    expect(placed(makeSpec(), host, { wants: { labels: { xcode: '16' } } })).toBe(1)
    const spec = makeSpec(longSync)
    expect(placed(spec, host, { now: start + hour })).toBe(0)
    expect(placed(spec, host, { now: start + minute })).toBe(1)
    expect(placed(spec, host, { now: start + hour })).toBe(0)
  })

  it('ends when the first proof changes its worth, by the clock of the host', () => {
    const spec = makeSpec()
    const until = (readiness: HostFacts['readiness'], clockSkewMs: number, now: number) =>
      viewOf(makeHost(1, { facts: makeFacts({ readiness, clockSkewMs }) }), { spec, now, selectors: [], selectorsKey: '' }).until
    expect(until([provenReady('user', null, start + hour)], hour, start)).toBe(start + 15 * minute + 1)
    expect(until([{ ...provenReady('user', null), check: null }], 0, start)).toBe(start + 24 * hour + 1)
    expect(until([], 0, start)).toBe(Number.POSITIVE_INFINITY)
    // A proof from the future becomes worth something when its moment comes nearer.
    expect(until([provenReady('user', null, start + hour)], 0, start)).toBe(start + 45 * minute)
    expect(until([provenReady('user', null, start - 24 * hour)], 0, start)).toBe(start + 1)
    expect(until([provenReady('tart', null)], 0, start)).toBe(Number.POSITIVE_INFINITY)
  })

  it('tells when facts were taken by our clock', () => {
    const facts = makeFacts({ at: start + hour, clockSkewMs: hour })
    expect(viewOf(makeHost(1, { facts }), { spec: makeSpec(), now: start, selectors: [], selectorsKey: '' }).view.factsAt).toBe(start)
    const tart = makeFacts({ clockSkewMs: hour, engines: [makeEngine('tart')], readiness: [provenReady('tart', 'm', start + hour)] })
    const { view } = viewOf(makeHost(1, { facts: tart }), { spec: makeSpec(), now: start, selectors: [], selectorsKey: '' })
    expect(view.engines.get('tart')?.bootedAt.get('m')).toBe(start)
  })
})

describe('hosts are told apart when they differ in', () => {
  const tart = (changes: Partial<EngineFacts> = {}) => makeEngine('tart', changes)
  const base = { engines: [tart()], images: ['ab', 'c'], readiness: [provenReady('tart', 'ab')] }
  const spec = () =>
    makeSpec({
      pools: { default: { engines: { tart: { networks: ['nat', 'none'] } } }, other: { engines: { tart: {} } } },
      images: { ab: { engine: 'tart' } },
    })

  function signature(facts: Partial<HostFacts> | null, changes: Partial<Host> = {}): string {
    const host = makeHost(1, { ...changes, facts: facts === null ? null : makeFacts({ ...base, ...facts }) })
    return viewOf(host, { spec: spec(), now: start, selectors: ['rack', 'xcode'], selectorsKey: 'rack,xcode' }).view.signature
  }

  it.each<[string, Partial<HostFacts> | null, Partial<Host>]>([
    ['pool', {}, { pool: 'other' }],
    ['CPUs', { capacity: { cpu: 9, memoryMiB: 16_384, diskMiB: 204_800 } }, {}],
    ['memory', { capacity: { cpu: 8, memoryMiB: 16_385, diskMiB: 204_800 } }, {}],
    ['disk', { capacity: { cpu: 8, memoryMiB: 16_384, diskMiB: 204_801 } }, {}],
    ['a label that is asked for', {}, { labels: { rack: 'a' } }],
    ['which label it is', {}, { labels: { xcode: 'a' } }],
    ['an empty label', {}, { labels: { rack: '' } }],
    ['engines', { engines: [makeEngine('user')] }, {}],
    ['whether an engine works', { engines: [tart({ ok: false })] }, {}],
    ['whether it runs images', { engines: [tart({ capabilities: { ...tart().capabilities, images: false } })] }, {}],
    ['slots', { engines: [tart({ slots: 1 })] }, {}],
    ['networks', { engines: [tart({ capabilities: { ...tart().capabilities, networks: ['nat'] } })] }, {}],
    ['limits', { engines: [tart({ capabilities: { ...tart().capabilities, limits: ['cpu'] } })] }, {}],
    ['what is proved', { readiness: [] }, {}],
    ['for which image', { readiness: [provenReady('tart', 'c')] }, {}],
    ['whether the proof is fresh', { readiness: [provenReady('tart', 'ab', start - 100 * hour)] }, {}],
    ['images', { images: ['ab'] }, {}],
    ['names of images', { images: ['a', 'bc'] }, {}],
    ['having reported at all', null, {}],
  ])('%s', (_what, facts, changes) => {
    expect(signature(facts, changes)).not.toBe(signature({}))
  })

  it('nothing that placement looks at, else they are alike', () => {
    expect(signature({ load1: 9, free: { cpu: 1, memoryMiB: 1, diskMiB: 1 } }, { labels: { site: 'x' }, failureStreak: 1 })).toBe(
      signature({}),
    )
    expect(signature(null, { pool: 'other' })).not.toBe(signature(null))
  })
})
