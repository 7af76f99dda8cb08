import { drawScenario } from '../../../src/simulate/draw.ts'
import { Scenario } from '../../../src/simulate/scenario.ts'
import type { Hunt } from './mutant.ts'

const hourMs = 3_600_000

/** The fleet that a mutant is hunted in with one seed. */
export function scenarioOf(hunt: Hunt, seed: number): Scenario {
  const { hosts = 4, hours = 3, faultRate = 4, jobsPerHostHour = 3, calmHours = 0, controllers, limits, kinds } = hunt
  const drawn = drawScenario({ seed, hosts, hours, faultRate, jobsPerHostHour, ...(kinds === undefined ? {} : { kinds }) })
  const pools = new Set(drawn.hosts.map(({ pool }) => pool))
  return Scenario.parse({
    ...drawn,
    // Nothing could run these in a fleet without a Linux box.
    jobs: drawn.jobs.filter(({ queue }) => queue !== 'tools' || pools.has('linux')),
    spec: limits === undefined ? drawn.spec : `${drawn.spec}limits: ${limits}\n`,
    controllers: controllers ?? drawn.controllers,
    calmMs: calmHours * hourMs,
  })
}
