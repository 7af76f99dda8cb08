// One process of `npm run simulate`: it runs the seeds that it is sent, one after the other, and makes what breaks as small as it gets.
import { simulationDrivers } from '../src/main/simulate.ts'
import { drawScenario, hostHours } from '../src/simulate/draw.ts'
import { writeScript } from '../src/simulate/script.ts'
import { shrink } from '../src/simulate/shrink.ts'
import { simulate } from '../src/simulate/simulate.ts'

/** Runs a scenario; what a run throws is a violation too. */
export async function runScenario(scenario, options = {}) {
  const before = process.cpuUsage()
  const result = await simulate(scenario, { drivers: simulationDrivers(), keepLines: 100, ...options }).catch((error) => ({
    violation: { property: 'the simulation goes through', problem: error.message, at: 0 },
    faults: {},
    jobs: { accepted: 0, ended: 0 },
    restMs: null,
    journal: [],
    hash: '',
    error,
  }))
  const { user, system } = process.cpuUsage(before)
  return { ...result, cpuS: (user + system) / 1_000_000, hostHours: hostHours(scenario) }
}

async function search({ seed, hours, hosts, maxRuns, commit }) {
  const scenario = drawScenario({ seed, hours, hosts })
  const { violation, faults, jobs, restMs, cpuS, hostHours: simulated } = await runScenario(scenario)
  process.send({ kind: 'ran', result: { seed, violation, faults, jobs, restMs, cpuS, hostHours: simulated } })
  if (violation !== null && maxRuns > 0)
    process.send({ kind: 'shrunk', seed, ...(await smallest(scenario, { violation, maxRuns, commit })) })
  process.send({ kind: 'free' })
}

async function smallest(scenario, { violation, maxRuns, commit }) {
  const { property } = violation
  const problems = new Map()
  async function breaksAt(next) {
    const found = (await runScenario(next)).violation
    if (found?.property !== property) return null
    problems.set(JSON.stringify(next), found)
    return found.at
  }
  const onRun = (runs, { faults, jobs, hosts }) =>
    process.send({ kind: 'shrinking', runs, left: `${faults.length} faults, ${jobs.length} jobs, ${hosts.length} hosts` })
  const shrunk = await shrink(scenario, breaksAt, { maxRuns, onRun })
  const { problem } = problems.get(JSON.stringify(shrunk.scenario)) ?? violation
  const named = { ...shrunk.scenario, name: `${property}: ${problem}` }
  const about = [
    `Broke at ${commit}: ${property}.`,
    `${problem}.`,
    `Shrunk from seed ${scenario.seed} in ${shrunk.runs} runs${shrunk.isSmallest ? '' : ', and could be smaller'}.`,
  ]
  return { property, problem, script: writeScript(named, about.join('\n')) }
}

if (process.send !== undefined) {
  process.on('message', (task) => void search(task))
  process.on('disconnect', () => process.exit())
}
