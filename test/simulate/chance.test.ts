import { expect, it } from 'vitest'
import { simulationDrivers } from '../../src/main/simulate.ts'
import { drawScenario } from '../../src/simulate/draw.ts'
import { simulate } from '../../src/simulate/simulate.ts'

/** The share of `npm test` in the search: the first seeds of it, for some hours of a small fleet. */
const seeds = Array.from({ length: 30 }, (_, index) => index + 1)

it.each(seeds)('breaks no promise and comes to rest with what chance brings: seed %i', async (seed) => {
  const scenario = drawScenario({ seed, hours: 5, hosts: 10 })
  const { violation, jobs } = await simulate(scenario, { drivers: simulationDrivers() })
  // To see how: npm run simulate -- --replay <seed> --hours 5 --hosts 10
  expect(violation).toBeNull()
  expect(jobs.ended).toBe(jobs.accepted)
  expect(jobs.accepted).toBeGreaterThan(0)
})
