import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { allJobs } from '../e2e/api.ts'
import { startFleet, type Fleet } from '../e2e/fleet.ts'
import { watchForTwins } from '../e2e/observer.ts'
import { allEnded, logProblems, mulberry32, problemsOf, streamJobs, untilForgotten } from './job-stream.ts'

/**
 * Kills controller, agent, or both with SIGKILL at random moments while jobs stream in, then looks whether everything that was accepted
 * ended once, as its command said, and whether anything was left behind.
 *
 *   node test/soak/kills.ts --store sqlite --from 0 --count 5
 */
const { values } = parseArgs({
  options: {
    from: { type: 'string', default: '0' },
    count: { type: 'string', default: '5' },
    store: { type: 'string', default: 'sqlite' },
  },
})
const store = values.store === 'postgres' ? 'postgres' : 'sqlite'
const first = Number(values.from)
const rounds = Number(values.count)

async function killSomething(fleet: Fleet, random: () => number): Promise<string> {
  const victim = (['controller', 'agent', 'both'] as const)[Math.floor(random() * 3)] ?? 'both'
  if (victim !== 'agent') await fleet.killController()
  if (victim !== 'controller') await fleet.killAgent()
  if (random() < 0.5) await sleep(random() * 1500)
  if (victim !== 'agent') await fleet.startController()
  if (victim !== 'controller') await fleet.startAgent()
  return victim
}

async function playRounds(): Promise<readonly string[]> {
  const random = mulberry32(1000 + first)
  const fleet = await startFleet({ store, name: `kills-${store}-${first}` })
  try {
    const watch = watchForTwins()
    const stream = streamJobs(fleet.api, { name: `kills-${first}`, random })
    for (let round = first; round < first + rounds; round += 1) {
      await sleep(500 + random() * 3000)
      const victim = await killSomething(fleet, random)
      console.log(`kill ${round}: ${victim}`)
    }
    const accepted = await stream.stop()
    console.log(`${accepted.length} jobs accepted; waiting until all ended`)
    await allEnded(fleet)
    const { twins, looks } = watch.stop()
    const jobs = new Map((await allJobs(fleet.api)).map((job) => [job.id, job]))
    const problems = [
      ...problemsOf(accepted, jobs),
      ...(await logProblems(fleet.api, accepted)),
      ...twins.map((twin) => `${twin.jobId} had ${twin.attempts.join(' and ')} alive at once`),
    ]
    if (jobs.size !== accepted.length) problems.push(`${accepted.length} jobs were accepted, and there are ${jobs.size}`)
    const audit = await fleet.api.get<{ ok: boolean; problem: string | null }>('/audit/verify')
    if (!audit.ok) problems.push(`the journal does not verify: ${audit.problem ?? ''}`)
    await untilForgotten(fleet)
    await fleet.stop()
    problems.push(...(await fleet.residue()))
    const retried = [...jobs.values()].filter((job) => job.attempts.length > 1).length
    console.log(`${jobs.size} jobs, ${retried} tried more than once, ${looks} looks for twins, ${problems.length} problems`)
    return problems
  } finally {
    await fleet.remove()
  }
}

const problems = await playRounds()
for (const problem of problems) console.error(`✕ ${problem}`)
process.exitCode = problems.length === 0 ? 0 : 1
