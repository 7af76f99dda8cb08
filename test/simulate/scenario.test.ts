import { describe, expect, it } from 'vitest'
import type { z } from 'zod'
import { Scenario, type ScenarioEngine } from '../../src/simulate/scenario.ts'

const engines: z.input<typeof ScenarioEngine>[] = [{ name: 'user', slots: 1, bootMs: ['300ms', 900] }]
const plain = { seed: 1, durationMs: '1h30m', calmMs: 0, spec: 'version: 1\n', hosts: [], jobs: [] }
const read = (rest: Partial<z.input<typeof Scenario>>): Scenario => Scenario.parse({ ...plain, ...rest })

describe('a scenario', () => {
  it('takes times as people write them, and as milliseconds', () => {
    const { durationMs, faults } = read({ faults: [{ kind: 'diskFull', host: 'mini-1', at: '90s', for: 500 }] })
    expect([durationMs, faults]).toEqual([5_400_000, [{ kind: 'diskFull', host: 'mini-1', at: 90_000, for: 500 }]])
    expect(Scenario.safeParse({ ...plain, durationMs: 'soon' }).success).toBe(false)
    expect(Scenario.safeParse({ ...plain, durationMs: '0s' }).success).toBe(false)
    expect(Scenario.safeParse({ ...plain, calmMs: -1 }).success).toBe(false)
  })

  it('makes many hosts and jobs of one entry with a count, each with a name and a moment of its own', () => {
    const { hosts, jobs } = read({
      hosts: [
        { name: 'mini', count: 2, engines },
        { name: 'linux', engines },
      ],
      jobs: [
        { key: 'job', count: 3, every: '10s', at: '1m', runsMs: '5s' },
        { key: 'last', at: '2m', runsMs: '5s' },
      ],
    })
    expect(hosts.map(({ name }) => name)).toEqual(['mini-1', 'mini-2', 'linux'])
    expect(jobs.map(({ key, at }) => [key, at])).toEqual([
      ['job-1', 60_000],
      ['job-2', 70_000],
      ['job-3', 80_000],
      ['last', 120_000],
    ])
  })

  it('reads again what it has read', () => {
    const scenario = read({ hosts: [{ name: 'mini', count: 2, engines }], jobs: [{ key: 'job', count: 2, at: '1m', runsMs: '5s' }] })
    expect(Scenario.parse(scenario)).toEqual(scenario)
  })
})
