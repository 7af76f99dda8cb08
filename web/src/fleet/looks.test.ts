import { describe, expect, it } from 'vitest'
import type { FleetHost } from '../../../src/model/api.ts'
import { filterOf, hostText, lookOf, lookOfHost, looks, summarise } from './looks.ts'

const host: FleetHost = {
  id: 'host_1',
  name: 'mini-1',
  pool: 'ios',
  state: 'up',
  schedulable: 'open',
  readiness: 'ready',
  used: 0,
  total: 4,
  operation: null,
}

describe('the look of a host', () => {
  it.each([
    ['free', {}],
    ['busy', { used: 3 }],
    ['full', { used: 4 }],
    ['full', { used: 5 }],
    ['free', { total: 0 }],
    ['notReady', { readiness: 'notReady', used: 1 }],
    ['unknown', { readiness: 'unknown' }],
    ['cordoned', { schedulable: 'cordoned', readiness: 'unknown' }],
    ['draining', { schedulable: 'draining', used: 2 }],
    ['quarantined', { schedulable: 'quarantined', readiness: 'notReady' }],
    ['enrolled', { state: 'enrolled', schedulable: 'cordoned' }],
    ['lost', { state: 'lost', schedulable: 'quarantined' }],
  ] as const)('is %s: the worst that holds', (look, change) => {
    expect(lookOf({ ...host, ...change })).toBe(look)
  })

  it('is told by a glyph and a word that no other look has', () => {
    expect(Object.keys(lookOfHost)).toEqual(looks)
    for (const part of ['glyph', 'word'] as const) expect(new Set(looks.map((look) => lookOfHost[look][part])).size).toBe(looks.length)
  })

  it('is said in one line', () => {
    expect(hostText({ ...host, used: 1, operation: 'reboot' })).toBe('mini-1, pool ios, ◐ busy, 1 of 4 slots used, reboot under way')
  })
})

describe('the summary of a fleet', () => {
  const hosts = [
    host,
    { ...host, name: 'mini-2', used: 2 },
    { ...host, name: 'linux-1', pool: 'linux', state: 'lost' },
    { ...host, name: 'linux-2', pool: 'linux', used: 4 },
  ] as const

  it('groups by pool in order of names and counts every look', () => {
    const all = summarise(hosts, { pool: null, look: null, text: '' })
    expect(all.groups.map(({ pool, hosts: members }) => [pool, members.length])).toEqual([
      ['ios', 2],
      ['linux', 2],
    ])
    expect(all).toMatchObject({
      shown: 4,
      used: 6,
      total: 16,
      pools: ['ios', 'linux'],
      counts: { free: 1, busy: 1, full: 1, lost: 1, cordoned: 0 },
      troubled: { lost: [hosts[2]], quarantined: [], notReady: [] },
    })
  })

  it('counts looks before it filters by one, so that the others stay in sight', () => {
    const lost = summarise(hosts, filterOf(new URLSearchParams('pool=linux&state=lost')))
    expect(lost.groups).toEqual([{ pool: 'linux', hosts: [hosts[2]] }])
    expect(summarise(hosts, filterOf(new URLSearchParams('pool=ios'))).troubled.lost).toEqual([])
    expect(lost).toMatchObject({ shown: 1, counts: { lost: 1, full: 1, free: 0 }, pools: ['ios', 'linux'] })
    expect(summarise(hosts, filterOf(new URLSearchParams('q=-2&state=nonsense'))).shown).toBe(2)
  })
})
