import { describe, expect, it } from 'vitest'
import { simulationDrivers } from '../../src/main/simulate.ts'
import { Scenario } from '../../src/simulate/scenario.ts'
import { simulate } from '../../src/simulate/simulate.ts'

const engines = [{ name: 'tart', slots: 2, images: ['macos-15'], bootMs: ['30s', '30s'] }]

/** Two Macs and one job of an hour; the agent of the first dies while the job's machine boots, and comes back much later. */
function scenarioOf(lease: string, backAfter: string): Scenario {
  return Scenario.parse({
    seed: 1,
    durationMs: '90m',
    calmMs: '2h',
    spec: `version: 1
images: { macos-15: { engine: tart } }
pools: { default: { engines: { tart: {} } } }
queues: { default: { engine: tart, image: macos-15 } }
limits: { attemptLease: ${lease} }
`,
    hosts: ['mini-1', 'mini-2'].map((name) => ({ name, engines })),
    jobs: [{ key: 'job-1', at: '3m', runsMs: '1h', timeoutS: 7200 }],
    faults: [{ kind: 'agentCrash', at: '190s', host: 'mini-1', calls: 0, moment: 'before', backAfter }],
  })
}

describe('an attempt that was given up while its agent was away', () => {
  it.each([
    ['30m', '40m'],
    // A lease that is not the usual one: the new agent has heard nothing of it yet.
    ['5m', '15m'],
  ])('never begins its command (lease %s, away for %s)', async (lease, backAfter) => {
    const { violation, journal } = await simulate(scenarioOf(lease, backAfter), { drivers: simulationDrivers() })
    expect(violation).toBeNull()
    // Otherwise the job ran elsewhere from the start, and nothing was shown.
    expect(journal.some((line) => line.includes("silent for longer than the attempt's lease"))).toBe(true)
    expect(journal.filter((line) => line.includes('runs the command of'))).toHaveLength(1)
  })
})
