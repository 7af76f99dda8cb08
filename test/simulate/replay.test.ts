import { describe, expect, it } from 'vitest'
import { simulateCommand } from '../../src/main/cli-simulate.ts'
import { minute, second } from '../../src/model/instant.ts'
import type { SimulationReport } from '../../src/model/simulation.ts'
import type { Comparison } from '../../src/simulate/replay/compare.ts'
import { scenarioOf } from './scenario-of.ts'

const nine = Date.UTC(2026, 2, 2, 9)

interface Job {
  readonly at: number
  readonly runs: number
  readonly queue?: string
  readonly cpu?: number
}

function traceOf(jobs: readonly Job[]): string {
  const rows = jobs.map(({ at, runs, queue = 'app', cpu = 2 }) => `${queue},qemu,ci,${cpu},2048,1024,${nine + at},${runs}\n`)
  return `queue,engine,image,cpu,memoryMiB,diskMiB,submittedAt,runsMs\n${rows.join('')}`
}

const replay = (jobs: readonly Job[], more: Partial<Comparison> = {}): Promise<SimulationReport> =>
  simulateCommand(
    {
      trace: { file: 'jobs.csv', text: traceOf(jobs) },
      specs: [],
      whatIf: [],
      hosts: { hosts: '2', slots: '1', boot: '30s' },
      queues: {},
      seed: 1,
      ...more,
    },
    () => undefined,
  )

const waits = (report: SimulationReport) => report.scenarios.map(({ waitMs }) => Math.round(waitMs.mean / second))

describe('a replay on a whole fleet', () => {
  it('boots, runs and ends every job, and says what the others wait for', async () => {
    const report = await replay([0, 1, 2, 3].map((at) => ({ at: at * second, runs: 10 * minute })))
    const scenario = scenarioOf(report, 'A')
    expect(scenario.jobs).toEqual({ total: 4, ended: 4, neverStarted: 0, retried: 0 })
    // Two start at once and boot for half a minute; the two others come after them.
    expect((scenario.waitMs.quantiles[25] ?? 0) / second).toBeCloseTo(30, 0)
    expect(scenario.waitMs.max / second).toBeGreaterThan(10 * 60 + 2 * 30 - 5)
    expect(scenario.waitMs.max / second).toBeLessThan(10 * 60 + 2 * 30 + 5)
    expect(scenario.utilisation).toBeGreaterThan(0.95)
    expect(scenario.heldBack.map(({ code }) => code)).toEqual(['noCapacity', 'boot'])
    expect(scenario.heldBack[0]?.message).toContain('2 matching hosts are full')
    expect(scenario.heldBack[0]?.jobMinutes).toBeCloseTo(2 * 10.5, 0)
  })

  it('gives the same to the last digit for the same seed', async () => {
    const jobs = Array.from({ length: 12 }, (_, index) => ({ at: index * 40 * second, runs: (1 + (index % 5)) * minute }))
    expect(await replay(jobs)).toEqual(await replay(jobs))
  })

  it('lets more hosts shorten the queue, and warm sandboxes the boot', async () => {
    const jobs = Array.from({ length: 16 }, (_, index) => ({ at: Math.floor(index / 4) * 10 * minute, runs: 4 * minute }))
    const report = await replay(jobs, { whatIf: ['hosts=+2', 'pools.default.engines.qemu.warm.app=1'] })
    const asIs = scenarioOf(report, 'A')
    const more = scenarioOf(report, 'B')
    const warm = scenarioOf(report, 'C')
    expect(more.waitMs.mean).toBeLessThan(0.3 * asIs.waitMs.mean)
    expect(more.waitMs.mean / second).toBeCloseTo(30, 0)
    expect(warm.bootMs.mean).toBeLessThan(0.6 * asIs.bootMs.mean)
    expect(warm.waitMs.mean).toBeLessThan(asIs.waitMs.mean)
    expect(warm.jobs.retried).toBe(0)
    expect(waits(report)[0]).toBeGreaterThan(waits(report)[2] ?? 0)
  })

  it('keeps to the rules of the spec: limits of queues, priorities of jobs, labels of pools', async () => {
    const specs = [
      {
        file: 'cidery.yaml',
        source: 'version: 1\nimages: { ci: { engine: qemu } }\nqueues: { app: { engine: qemu, image: ci, maxRunning: 1 } }\n',
      },
    ]
    const report = await replay(
      [0, 0].map((at) => ({ at, runs: 5 * minute })),
      { specs },
    )
    expect(scenarioOf(report, 'A').waitMs.max / minute).toBeGreaterThan(5)
    expect(scenarioOf(report, 'A').heldBack.map(({ code }) => code)).toContain('queueLimit')
  })

  it('ends also when jobs can never start, and says how many and why', async () => {
    const report = await replay([
      { at: 0, runs: minute },
      { at: 0, runs: minute, cpu: 64 },
    ])
    const scenario = scenarioOf(report, 'A')
    expect(scenario.jobs).toMatchObject({ total: 2, ended: 1, neverStarted: 1 })
    expect(scenario.heldBack[0]).toMatchObject({ code: 'tooLarge' })
  })
})
