import { describe, expect, it } from 'vitest'
import { hour, minute } from '../../src/model/instant.ts'
import { drawScenario } from '../../src/simulate/draw.ts'
import { Scenario } from '../../src/simulate/scenario.ts'
import { shrink } from '../../src/simulate/shrink.ts'

const drawn = drawScenario({ seed: 5, hours: 12, hosts: 10, faultRate: 2 })
const losses = drawn.faults.filter(({ kind }) => kind === 'powerLoss')
const [loss] = losses as [(typeof losses)[number] & { readonly host: string }]

/** Breaks when that machine loses power while a job is there that was submitted before. */
async function toyBreaksAt({ faults, jobs, hosts }: Scenario): Promise<number | null> {
  const fault = faults.find(({ kind, at }) => kind === 'powerLoss' && at === loss.at)
  if (fault === undefined || !hosts.some(({ name }) => name === loss.host)) return null
  return jobs.some(({ at }) => at < fault.at) ? fault.at : null
}

describe('a failing scenario', () => {
  it('shrinks to the one fault, job and host that it takes, and no more time', async () => {
    const { scenario, isSmallest } = await shrink(drawn, toyBreaksAt, { maxRuns: 2000 })
    expect(isSmallest).toBe(true)
    expect(scenario.faults).toMatchObject([{ kind: 'powerLoss', at: loss.at, host: loss.host }])
    expect(scenario.jobs).toHaveLength(1)
    expect(scenario.hosts.map(({ name }) => name)).toEqual([loss.host])
    expect(scenario).toMatchObject({ controllers: 1, calmMs: 0, durationMs: loss.at + 1 })
    expect(await toyBreaksAt(scenario)).not.toBeNull()
  })

  it('shrinks to the same one each time', async () => {
    const [one, other] = [await shrink(drawn, toyBreaksAt, { maxRuns: 2000 }), await shrink(drawn, toyBreaksAt, { maxRuns: 2000 })]
    expect(one).toEqual(other)
  })

  it('keeps the calm when it breaks after the last fault, and makes windows short', async () => {
    const slow = Scenario.parse({ ...drawn, faults: [{ kind: 'storeSlow', at: hour, for: 8 * hour, ms: 100 }] })
    async function breaksAt({ durationMs, faults, calmMs }: Scenario): Promise<number | null> {
      return (faults[0]?.for ?? 0) > 3 * minute && calmMs > 0 ? durationMs + 1 : null
    }
    const { scenario } = await shrink(slow, breaksAt, { maxRuns: 500 })
    expect(scenario.calmMs).toBe(drawn.calmMs)
    expect(scenario.faults[0]?.for).toBeLessThan(6 * minute)
    expect(scenario.faults[0]?.for).toBeGreaterThan(3 * minute)
  })

  it('stops when its runs are used up, at something that breaks', async () => {
    const { scenario, runs, isSmallest } = await shrink(drawn, toyBreaksAt, { maxRuns: 12 })
    expect([runs, isSmallest]).toEqual([12, false])
    expect(await toyBreaksAt(scenario)).not.toBeNull()
  })

  it('names no host and no controller that it does not have any more', async () => {
    const two: Scenario = { ...drawn, controllers: 3 }
    const { scenario } = await shrink(two, async ({ faults }) => (faults.some(({ kind }) => kind === 'controllerCrash') ? 1 : null), {
      maxRuns: 2000,
    })
    expect(scenario.faults).toHaveLength(1)
    expect(scenario).toMatchObject({ hosts: [], jobs: [], controllers: 1, faults: [{ controller: 0 }] })
  })
})
