import type { ScenarioReport, SimulationReport } from '../../src/model/simulation.ts'

/** A scenario of a report by its letter. */
export function scenarioOf(report: SimulationReport, name: string): ScenarioReport {
  const found = report.scenarios.find((one) => one.name === name)
  if (found === undefined) throw new Error(`there is no scenario ${name}`)
  return found
}
