import { describe, expect, it } from 'vitest'
import { simulationDrivers } from '../../src/main/simulate.ts'
import { Scenario } from '../../src/simulate/scenario.ts'
import { simulate } from '../../src/simulate/simulate.ts'

const engines = [{ name: 'tart', slots: 2, images: ['macos-15'], bootMs: ['30s', '30s'] }]

/** Three Macs with jobs, and a database that takes nothing for ten minutes, among other things. */
function scenarioOf(kind: string, others: readonly Record<string, unknown>[] = []): Scenario {
  return Scenario.parse({
    seed: 3,
    durationMs: '40m',
    calmMs: '1h',
    spec: `version: 1
images: { macos-15: { engine: tart } }
pools: { default: { engines: { tart: {} } } }
queues: { default: { engine: tart, image: macos-15 } }
`,
    hosts: ['mini-1', 'mini-2', 'mini-3'].map((name) => ({ name, engines })),
    jobs: [{ key: 'job', count: 3, every: '10s', at: '5m', runsMs: '8m' }],
    faults: [{ kind, at: '10m', for: '10m' }, ...others],
  })
}

describe('hosts that speak while nothing can be written down', () => {
  it.each(['storeFull', 'storeFails'])('are not lost for it (%s)', async (kind) => {
    const kinds = new Set<string>()
    const { violation, jobs } = await simulate(scenarioOf(kind), {
      drivers: simulationDrivers(),
      onHappening(happening) {
        if (happening.kind === 'committed') for (const event of happening.events) kinds.add(event.kind)
      },
    })
    expect(violation).toBeNull()
    expect(jobs).toEqual({ accepted: 3, ended: 3 })
    expect([...kinds]).toContain('job.ended')
    expect([...kinds]).not.toContain('host.lost')
  })
})

describe('steps that cannot be carried out', () => {
  it('are tried again, and not as fast as a processor can', async () => {
    let passes = 0
    // The hosts really are lost meanwhile, and that cannot be written down.
    const scenario = scenarioOf('storeFails', [{ kind: 'partition', at: '10m', for: '8m', hosts: 'all' }])
    const { violation } = await simulate(scenario, {
      drivers: simulationDrivers(),
      alterRules: (rules) => ({
        ...rules,
        decide(...about) {
          passes += 1
          return rules.decide(...about)
        },
      }),
    })
    expect(violation).toBeNull()
    // One or two a second while steps fail, for ten minutes; without a pause it would be two hundred.
    expect(passes).toBeLessThan(6000)
  })
})
