import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { allJobs } from '../e2e/api.ts'
import { watchForTwins } from '../e2e/observer.ts'
import { waitFor } from '../e2e/wait.ts'
import { mulberry32 } from './job-stream.ts'
import { enterBox } from './live-faults/box.ts'
import { broken, endQuarantines, inBox, untilEnded, untilNothingIsHeld, untilReady } from './live-faults/checks.ts'
import type { FaultKind } from './live-faults/faults.ts'
import { startLiveFleet, type LiveFleet } from './live-faults/live-fleet.ts'
import { startLoad } from './live-faults/load.ts'
import { playStory } from './live-faults/story.ts'

/**
 * A fleet of real processes, each host in a network of its own, while everything goes wrong that a machine alone can make go wrong: two controllers
 * on PostgreSQL, agents with the double of Tart, jobs that stream in. Each round is a story drawn from a seed; then it is calm, and the fleet has to
 * be whole: no job lost, done twice or with another outcome or log than its command's, every host ready or with its reason, nothing left behind.
 *
 *   node test/soak/live-faults.ts --from 0 --count 1 --agents 6 --faults 8
 */
const { values } = parseArgs({
  options: {
    from: { type: 'string', default: '0' },
    count: { type: 'string', default: '1' },
    agents: { type: 'string', default: '50' },
    faults: { type: 'string', default: '14' },
    /** Leaves the folder with all logs. */
    keep: { type: 'boolean', default: false },
    /** Added to the number of a round, for other stories than the counted ones. */
    seed: { type: 'string', default: '3000' },
  },
})
const box = await enterBox()
const [first, rounds, agents, faultCount] = [values.from, values.count, values.agents, values.faults].map(Number) as [
  number,
  number,
  number,
  number,
]
const totals = new Map<FaultKind, number>()
let jobsInAll = 0

async function playRound(fleet: LiveFleet, round: number): Promise<readonly string[]> {
  const seed = Number(values.seed) + round
  const startedAt = performance.now()
  console.log(`\nround ${round}, seed ${seed}, ${agents} agents`)
  // More agents are more processes to look through.
  const watch = watchForTwins(agents > 10 ? 500 : 100)
  const load = startLoad(fleet.api, { name: `round-${round}`, random: mulberry32(seed), long: Math.max(2, Math.round(agents / 4)) })
  const { counts, problems: broke } = await playStory(fleet, { seed, count: faultCount })
  for (const [kind, count] of counts) totals.set(kind, (totals.get(kind) ?? 0) + count)
  const accepted = await load.stop()
  const calmAt = performance.now()
  const stuck = await untilEnded(fleet, accepted)
  const { twins, looks } = watch.stop()
  const notReady = await untilReady(fleet)
  const held = await untilNothingIsHeld(fleet)
  const jobs = new Map((await allJobs(fleet.api)).map((job) => [job.id, job]))
  const ownEnds = fleet.hosts.flatMap((host) => host.takeOwnEnds())
  const quarantines = await endQuarantines(fleet)
  jobsInAll += accepted.length
  for (const line of [...ownEnds, ...quarantines.map((why) => `quarantined, as it should be: ${why}`)]) console.log(line)
  const retried = accepted.filter(({ id }) => (jobs.get(id)?.attempts.length ?? 0) > 1).length
  const seconds = (since: number): number => Math.round((performance.now() - since) / 1000)
  console.log(
    `round ${round}: ${[...counts.values()].reduce((sum, count) => sum + count, 0)} faults, ${accepted.length} jobs, ${retried} tried more than once, ${looks} looks for twins, calm after ${seconds(calmAt)} s, ${seconds(startedAt)} s in all`,
  )
  return [
    ...broke,
    ...stuck,
    ...notReady,
    ...held,
    ...(stuck.length === 0 ? await broken(fleet, accepted, jobs) : []),
    ...twins.map((twin) => `${twin.jobId} had ${twin.attempts.join(' and ')} alive at once`),
  ].map((problem) => `round ${round}, seed ${seed}: ${problem}`)
}

async function play(): Promise<readonly string[]> {
  const startedAt = performance.now()
  const before = new Set(inBox())
  const fleet = await startLiveFleet({ agents, folder: join(box.folder, 'fleet'), random: mulberry32(first) })
  console.log(`${agents} agents were ready after ${Math.round((performance.now() - startedAt) / 1000)} s`)
  const problems: string[] = []
  for (let round = first; round < first + rounds; round += 1) problems.push(...(await playRound(fleet, round)))
  await fleet.stop(values.keep)
  const left = (): readonly string[] => inBox().filter((thing) => !before.has(thing))
  await waitFor('nothing to be left', () => left().length === 0).catch(() =>
    problems.push(...left().map((thing) => `left behind: ${thing}`)),
  )
  console.log(`\n${jobsInAll} jobs, ${problems.length} problems; ${[...totals].map(([kind, count]) => `${kind} ${count}`).join(', ')}`)
  return problems
}

async function end(): Promise<number> {
  try {
    const problems = await play()
    for (const problem of problems) console.error(`✕ ${problem}`)
    return problems.length === 0 ? 0 : 1
  } catch (error) {
    console.error(error)
    return 1
  } finally {
    if (values.keep) console.log(`the folder is ${box.keptIn}`)
    else await box.remove()
  }
}

// What still runs goes with this process.
process.exit(await end())
