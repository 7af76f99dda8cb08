import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { renderSimulation } from '../../src/cli/render/simulation.ts'
import { hour, minute, second } from '../../src/model/instant.ts'
import { simulationPage } from '../../src/simulate/page/page.ts'
import { scaleOf } from '../../src/simulate/page/scale.ts'
import { compare, type Comparison } from '../../src/simulate/replay/compare.ts'
import type { ReplayedJob } from '../../src/simulate/replay/replayed.ts'
import { heldBackOf } from '../../src/simulate/report/held-back.ts'
import { countOver, stepFor, totalMs } from '../../src/simulate/report/series.ts'
import { spreadOf } from '../../src/simulate/report/spread.ts'
import { firstCome } from './first-come.ts'
import { scenarioOf } from './scenario-of.ts'

const noon = Date.UTC(2026, 2, 2, 12)

describe('the spread of waits', () => {
  it('takes quantiles of the nearest rank', () => {
    const spread = spreadOf(Array.from({ length: 100 }, (_, index) => 100 - index))
    expect(spread).toMatchObject({ count: 100, mean: 50.5, p50: 50, p90: 90, p95: 95, p99: 99, max: 100 })
    expect(spread.quantiles).toHaveLength(101)
    expect(spreadOf([7])).toMatchObject({ count: 1, mean: 7, p50: 7, p99: 7, max: 7 })
    expect(spreadOf([])).toMatchObject({ count: 0, mean: 0, p50: 0, max: 0 })
  })

  it('has at least p % of all lengths at or below its p-th quantile, and fewer below it', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1000), { minLength: 1, maxLength: 300 }), fc.integer({ min: 1, max: 100 }), (lengths, percent) => {
        const at = spreadOf(lengths).quantiles[percent] ?? -1
        expect(lengths.filter((one) => one <= at).length).toBeGreaterThanOrEqual((lengths.length * percent) / 100)
        expect(lengths.filter((one) => one < at).length).toBeLessThan((lengths.length * percent) / 100)
      }),
    )
  })
})

describe('counts over time', () => {
  const period = { from: 0, to: 10 * minute }

  it('are averages over each step', () => {
    const stretches = [
      { from: 0, to: 90 * second },
      { from: 30 * second, to: 60 * second },
      { from: 9.5 * minute, to: 20 * minute },
    ]
    expect(countOver(stretches, period, minute)).toEqual([1.5, 0.5, 0, 0, 0, 0, 0, 0, 0, 0.5])
  })

  it('add up to the time that all stretches take inside the period', () => {
    const stretch = fc.tuple(fc.integer({ min: -500, max: 1500 }), fc.nat(800)).map(([from, length]) => ({ from, to: from + length }))
    fc.assert(
      fc.property(
        fc.array(stretch, { maxLength: 20 }),
        fc.integer({ min: 1, max: 1000 }),
        fc.integer({ min: 1, max: 300 }),
        (all, to, step) => {
          const counts = countOver(all, { from: 0, to }, step)
          const sum = counts.reduce((total, count, index) => total + count * Math.min(step, to - index * step), 0)
          expect(sum).toBeCloseTo(totalMs(all, { from: 0, to }), 5)
        },
      ),
    )
  })

  it('have no more steps than a chart can show', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 90 * 24 }), (hours) => {
        expect((hours * hour) / stepFor({ from: 0, to: hours * hour })).toBeLessThanOrEqual(180)
      }),
    )
  })
})

describe('what held jobs back', () => {
  const waiting = (code: 'noCapacity' | 'queueLimit', jobCount: number, message: string = code) =>
    ({ subject: 'class/x', code, message, cure: 'more', jobCount }) as const

  it('weighs each reason by jobs times minutes, in the words that held longest', () => {
    const samples = [
      { at: 0, waiting: [waiting('noCapacity', 2, 'two are full')] },
      { at: 5 * minute, waiting: [waiting('noCapacity', 1, 'one is full'), waiting('queueLimit', 3)] },
      { at: 6 * minute, waiting: [] },
      { at: 20 * minute, waiting: [waiting('queueLimit', 9)] },
    ]
    const booted = { assignedAt: noon, startedAt: noon + 30 * second } as ReplayedJob
    expect(heldBackOf(samples, [booted, booted])).toMatchObject([
      { code: 'noCapacity', message: 'two are full', jobMinutes: 11 },
      { code: 'queueLimit', jobMinutes: 3 },
      { code: 'boot', jobMinutes: 1 },
    ])
    expect(heldBackOf([], [])).toEqual([])
  })
})

/** Two jobs at noon and one a minute later, each of ten minutes. */
const jobs = 'name,queue,submittedAt,runsMs\n' + [0, 0, minute].map((at, index) => `job-${index},app,${noon + at},600000\n`).join('')
const comparison: Comparison = {
  trace: { file: 'jobs.csv', text: jobs },
  specs: [],
  whatIf: ['hosts=+1'],
  hosts: { hosts: '1', slots: '1', boot: '10s', price: '0.5' },
  queues: {},
  seed: 1,
}

describe('a comparison', () => {
  it('counts waits, use and cost over one period', async () => {
    const seen: string[] = []
    const report = await compare(comparison, firstCome, (ended, total) => void seen.push(`${ended} of ${total}`))
    expect(seen).toEqual(['3 of 6', '6 of 6'])
    // One slot: each waits for those before it. 10 s + 610 s each; the third came a minute later.
    const one = scenarioOf(report, 'A')
    const two = scenarioOf(report, 'B')
    expect(report.period).toEqual({ from: noon, to: noon + 3 * 610 * second })
    expect(one.waitMs).toMatchObject({ count: 3, mean: ((10 + 620 + 1170) / 3) * second, p50: 620 * second, max: 1170 * second })
    expect(one.bootMs.mean).toBe(10 * second)
    expect(one.utilisation).toBe(1)
    expect(one.hostHours).toBeCloseTo(1830 / 3600)
    expect(one.cost).toBeCloseTo(1830 / 3600 / 2)
    expect(one.heldBack).toMatchObject([
      { code: 'noCapacity', jobMinutes: (610 + 1160) / 60 },
      { code: 'boot', jobMinutes: 0.5 },
    ])
    // Two slots: only the third waits, until one of the first two ended.
    expect(two.waitMs).toMatchObject({ mean: ((10 + 10 + 560) / 3) * second, p50: 10 * second })
    expect(two.utilisation).toBeCloseTo(0.5)
    expect(two.hostHours).toBeCloseTo(2 * one.hostHours)
    expect(two.pools).toMatchObject([{ pool: 'default', hosts: 2, slots: 2 }])
  })

  it('changes fields of the spec, and refuses what is none with its place', async () => {
    const warm = ['pools.default.engines.qemu.warm.app=2']
    const trace = { file: 'jobs.csv', text: 'queue,engine,image,submittedAt,runsMs\napp,qemu,ci,2026-03-02T08:00:00Z,1\n' }
    const report = await compare({ ...comparison, trace, whatIf: warm }, firstCome, () => undefined)
    expect(report.scenarios.map(({ pools }) => pools[0]?.warm)).toEqual([0, 2])
    const wrong = (whatIf: string, more: Partial<Comparison> = {}) =>
      compare({ ...comparison, ...more, whatIf: [whatIf] }, firstCome, () => undefined)
    await expect(wrong('limits.holdAftr=5m')).rejects.toMatchObject({
      problems: [{ message: expect.stringContaining('did you mean "holdAfter"?') }],
    })
    await expect(wrong('version.x=5m')).rejects.toThrow('version.x cannot be set: version is no group of fields')
    await expect(wrong('hosts=many')).rejects.toThrow('is no number of hosts')
    await expect(wrong('hosts.mac=+1')).rejects.toThrow('there is no mac')
    await expect(wrong('nothing')).rejects.toThrow('is no change')
  })

  it('names line and accepted values of a queue or image that a spec does not have', async () => {
    const specs = [{ file: 'cidery.yaml', source: 'version: 1\nqueues: { apps: {}, linux: {} }\n' }]
    await expect(compare({ ...comparison, specs }, firstCome, () => undefined)).rejects.toMatchObject({
      message: 'jobs.csv cannot be replayed',
      problems: [
        { line: 2, path: 'queue', message: 'cidery.yaml has no queue "app"; did you mean "apps"?', accepted: ['apps', 'linux'] },
        { line: 3 },
        { line: 4 },
      ],
    })
    const mapped = await compare({ ...comparison, specs, queues: { app: 'linux' } }, firstCome, () => undefined)
    expect(scenarioOf(mapped, 'A').queues.map(({ queue }) => queue)).toEqual(['linux'])
    await expect(compare({ ...comparison, specs, queues: { ap: 'linux' } }, firstCome, () => undefined)).rejects.toThrow(
      'did you mean "app"?',
    )
  })

  it('asks how many hosts there are, of which pool', async () => {
    const two = [{ file: 'two.yaml', source: 'version: 1\npools: { mac: {}, linux: {} }\nqueues: { app: {} }\n' }]
    const asked = (hosts: string | undefined, specs = two) =>
      compare({ ...comparison, specs, whatIf: [], hosts: { hosts } }, firstCome, () => undefined)
    await expect(asked(undefined)).rejects.toMatchObject({ hint: '--hosts mac=10,linux=10' })
    await expect(asked('20')).rejects.toMatchObject({ hint: 'mac=20 or linux=20' })
    await expect(asked('max=20')).rejects.toThrow('there is no max; did you mean "mac"?')
    const report = await asked('mac=2,linux=1')
    expect(scenarioOf(report, 'A').title).toBe('two.yaml, 2 hosts of mac, 1 of linux')
    const named = [
      { file: 'named.yaml', source: 'version: 1\npools: { mac: { hosts: [mini-1, mini-2, "spare-*"] } }\nqueues: { app: {} }\n' },
    ]
    expect(scenarioOf(await asked(undefined, named), 'A').pools).toMatchObject([{ pool: 'mac', hosts: 2 }])
  })

  it('takes the boots that were measured, unless it is told others', async () => {
    const text = 'engine,submittedAt,runsMs,bootMs\nuser,1700000000000,1,4000\nuser,1700000000000,1,6000\n'
    const bootOf = async (boot: string | undefined) => {
      const report = await compare(
        { ...comparison, trace: { file: 'a', text }, whatIf: [], hosts: { hosts: '9', boot } },
        firstCome,
        () => undefined,
      )
      return scenarioOf(report, 'A').bootMs.mean
    }
    expect(await bootOf(undefined)).toBe(5000)
    expect(await bootOf('user=7s')).toBe(7000)
  })
})

describe('what people see', () => {
  it('has the scenarios side by side and a sentence for each further one', async () => {
    const text = renderSimulation(await compare(comparison, firstCome, () => undefined), { color: false, width: 100, wide: false })
    expect(text).toContain('3 jobs of jobs.csv (cidery), 2026-03-02T12:00:00Z to 2026-03-02T12:30:30Z')
    expect(text).toContain('  B  A with hosts=+1')
    expect(text).toMatch(/wait, mean +10m +3m13s \(−68%\)/)
    expect(text).toMatch(/utilisation +100% +50%/)
    expect(text).toMatch(/noCapacity +30 +9 \(−69%\)/)
    expect(text).toContain('B: jobs wait 68% less than in A on average (3m13s), for 0.5 host-hours (0.25) more.')
  })

  it('gets a page without scripts, with a title, a description and a table for each chart', async () => {
    const trace = { file: '<b>"jobs"&.csv', text: jobs }
    const page = simulationPage(await compare({ ...comparison, trace }, firstCome, () => undefined))
    expect(page).not.toMatch(/<script|<b>|\bon\w+=|https?:\/\//)
    const count = (pattern: RegExp) => page.match(pattern)?.length
    expect(count(/<svg viewBox="[^"]*" role="img"/g)).toBe(5)
    expect(count(/<title id=/g)).toBe(5)
    expect(count(/<desc id=/g)).toBe(5)
    expect(count(/<table>/g)).toBe(5)
    expect(page).not.toContain('NaN')
  })

  it('has axes of a few round values that hold every value', () => {
    fc.assert(
      fc.property(fc.nat(1_000_000_000), fc.constantFrom('count' as const, 'time' as const), (most, unit) => {
        const scale = scaleOf(most, { length: 100, unit })
        expect(scale.ticks.length).toBeGreaterThanOrEqual(2)
        expect(scale.ticks.length).toBeLessThanOrEqual(8)
        expect(scale.at(most)).toBeLessThanOrEqual(100.0001)
        expect(scale.at(0)).toBe(0)
      }),
    )
  })
})
