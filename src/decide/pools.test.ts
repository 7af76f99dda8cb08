import { describe, expect, it } from 'vitest'
import { makeHost, makeSpec } from '../../test/decide/build-world.ts'
import { globPattern, labelsOf, poolEngine, poolNameOf, poolOf, poolsOfQueue } from './pools.ts'

const spec = makeSpec({
  pools: {
    minis: { hosts: ['mini-1?', 'desk'], labels: { xcode: '16', site: 'berlin' } },
    apples: { hosts: ['mini-1*'] },
    linux: { engines: { user: { slots: 2 } } },
  },
  queues: { ci: { pools: ['linux', 'minis'] }, other: {} },
})

describe('the pool of a host', () => {
  it('is the first by name that names or matches it', () => {
    expect(poolNameOf(spec, { name: 'mini-12', pool: 'linux' })).toBe('apples')
    expect(poolNameOf(spec, { name: 'desk', pool: 'linux' })).toBe('minis')
  })

  it('is the one it enrolled with when no pool names it, even one that is not in the spec', () => {
    expect(poolNameOf(spec, { name: 'big', pool: 'linux' })).toBe('linux')
    expect(poolNameOf(spec, { name: 'big', pool: 'gone' })).toBe('gone')
    expect(poolOf(spec, { name: 'big', pool: 'linux' })).toBe(spec.pools['linux'])
    expect(poolOf(spec, { name: 'big', pool: 'gone' })).toBeUndefined()
  })
})

it('offers every engine in a pool that names none, and only the named ones otherwise', () => {
  const [minis, linux] = [spec.pools['minis'], spec.pools['linux']]
  if (minis === undefined || linux === undefined) throw new Error('the spec has these pools')
  expect(poolEngine(minis, 'tart')).toEqual({ limits: 'enforced', networks: ['nat', 'none'] })
  expect(poolEngine(linux, 'user')?.slots).toBe(2)
  expect(poolEngine(linux, 'tart')).toBeUndefined()
})

it('serves a queue that names no pools by all pools', () => {
  expect(poolsOfQueue(spec, spec.queues['ci'] ?? fail())).toEqual(['linux', 'minis'])
  expect(poolsOfQueue(spec, spec.queues['other'] ?? fail())).toEqual(['apples', 'linux', 'minis'])
})

function fail(): never {
  throw new Error('the spec has this queue')
}

it('gives a host its own labels, then those of its pool, then what every host has', () => {
  const host = makeHost(1, { name: 'desk', pool: 'linux', labels: { site: 'paris', rack: 'a' } })
  expect(labelsOf(spec, host)).toEqual({ host: 'desk', pool: 'minis', os: 'linux', arch: 'x64', xcode: '16', site: 'paris', rack: 'a' })
  expect(labelsOf(spec, { ...host, facts: null, pool: 'gone', name: 'x' })).toEqual({ host: 'x', pool: 'gone', site: 'paris', rack: 'a' })
})

it('reads a glob with * and ?, and every other character as itself', () => {
  expect(globPattern('mini-*').test('mini-')).toBe(true)
  expect(globPattern('mini-*').test('a-mini-7')).toBe(false)
  expect(globPattern('mini').test('mini-7')).toBe(false)
  expect(globPattern('m?ni').test('mini')).toBe(true)
  expect(globPattern('m?ni').test('mni')).toBe(false)
  expect(globPattern('a.b').test('axb')).toBe(false)
  expect(globPattern('a.b+(c)[d]{e}^$|\\').test('a.b+(c)[d]{e}^$|\\')).toBe(true)
})
