import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { JobView } from '../../src/model/api.ts'
import { allJobs, type Api } from '../e2e/api.ts'
import { startFleet, type Fleet } from '../e2e/fleet.ts'
import { watchForTwins } from '../e2e/observer.ts'
import { runCidery } from '../e2e/processes.ts'
import { waitFor } from '../e2e/wait.ts'
import { apiOfAll, apiOfController, rolesOf, viewOf } from './controllers.ts'
import { allEnded, logProblems, mulberry32, problemsOf, streamJobs, submit, untilForgotten, type Submitted } from './job-stream.ts'

/**
 * Two controllers on one PostgreSQL under load. In turn the one that leads, the one that follows, and the database server are killed with SIGKILL at
 * random moments. Then: was anything that was accepted lost or done twice, is every log byte by byte what its job wrote, those that people followed
 * all the while too, and did another controller lead within ten seconds?
 *
 *   node test/soak/controller-kills.ts --from 0 --count 9
 */
const { values } = parseArgs({ options: { from: { type: 'string', default: '0' }, count: { type: 'string', default: '3' } } })
const first = Number(values.from)
const rounds = Number(values.count)

const victims = ['leader', 'follower', 'database'] as const
type Victim = (typeof victims)[number]
const leadLimitMs = 10_000

/** Answers what happened, and what went wrong. */
async function kill(fleet: Fleet, victim: Victim, random: () => number): Promise<{ readonly about: string; readonly problem?: string }> {
  const { leader, follower, epoch } = await rolesOf(fleet)
  if (victim === 'database') {
    await fleet.postgres?.kill()
    if (random() < 0.5) await sleep(random() * 1500)
    await fleet.postgres?.start()
    return { about: 'back' }
  }
  if (victim === 'follower') {
    await follower.kill()
    if (random() < 0.5) await sleep(random() * 1500)
    await follower.start()
    const after = await viewOf(fleet, leader)
    return {
      about: `the lead stays in epoch ${epoch}`,
      ...(after?.epoch !== epoch && { problem: 'the lead moved though nobody who led died' }),
    }
  }
  const killedAt = performance.now()
  await leader.kill()
  await waitFor('the other to lead', async () => (await viewOf(fleet, follower))?.leads)
  const ms = Math.round(performance.now() - killedAt)
  await sleep(random() * 1500)
  await leader.start()
  return { about: `the lead moved in ${ms} ms`, ...(ms > leadLimitMs && { problem: `the lead moved only after ${ms} ms` }) }
}

interface Followed {
  readonly submitted: Submitted
  /** What the command line printed, and how it ended. */
  readonly copy: Promise<{ readonly code: number | null; readonly text: string; readonly stderr: string }>
}

/** A job that writes for a quarter of a minute, followed from its beginning by the command line, which knows both controllers. */
async function followOne(fleet: Fleet, api: Api, name: string): Promise<Followed> {
  const lines = 120
  const script = `i=0; while [ $i -lt ${lines} ]; do echo "${name} line $i"; i=$((i+1)); sleep 0.1; done`
  const job = await submit(api, { key: name, script, timeoutS: 600 })
  const log = Array.from({ length: lines }, (_, line) => `${name} line ${line}\n`).join('')
  const copy = runCidery(['job', 'logs', job.id, '--follow'], {
    env: { CIDERY_URL: fleet.url, CIDERY_TOKEN: fleet.address().token },
    deadlineMs: 600_000,
  }).then(({ code, stdout, stderr }) => ({ code, text: stdout.toString(), stderr }))
  return { submitted: { id: job.id, code: 0, log }, copy }
}

async function followedProblems(followed: readonly Followed[]): Promise<readonly string[]> {
  const problems: string[] = []
  for (const { submitted, copy } of followed) {
    const { code, text, stderr } = await copy
    if (text !== submitted.log)
      problems.push(`the followed log of ${submitted.id} has ${text.length} of ${submitted.log.length} bytes, or others: ${stderr}`)
    if (code !== 0) problems.push(`following ${submitted.id} ended with ${code ?? 'a signal'}: ${stderr}`)
  }
  return problems
}

/** No agent died, so that nothing may have been tried twice. */
function repeated(jobs: Iterable<JobView>): readonly string[] {
  return [...jobs].filter(({ attempts }) => attempts.length !== 1).map(({ id, attempts }) => `${id} was tried ${attempts.length} times`)
}

async function playRounds(): Promise<readonly string[]> {
  const random = mulberry32(2000 + first)
  const fleet = await startFleet({ store: 'postgres', controllers: 2, slots: 4, name: `controller-kills-${first}` })
  try {
    const api = apiOfAll(fleet)
    const watch = watchForTwins()
    const stream = streamJobs(api, { name: `short-${first}`, random, pauseMs: 600 })
    const followed: Followed[] = []
    const problems: string[] = []
    for (let round = first; round < first + rounds; round += 1) {
      followed.push(await followOne(fleet, api, `long-${round}`))
      await sleep(500 + random() * 3000)
      const victim = victims[round % victims.length] ?? 'leader'
      const { about, problem } = await kill(fleet, victim, random)
      console.log(`kill ${round}: ${victim}, ${about}`)
      if (problem !== undefined) problems.push(`kill ${round}: ${problem}`)
    }
    const accepted = [...(await stream.stop()), ...followed.map(({ submitted }) => submitted)]
    console.log(`${accepted.length} jobs accepted; waiting until all ended`)
    await allEnded(fleet)
    problems.push(...(await followedProblems(followed)))
    const { twins, looks } = watch.stop()
    const jobs = new Map((await allJobs(fleet.api)).map((job) => [job.id, job]))
    problems.push(...problemsOf(accepted, jobs), ...repeated(jobs.values()))
    for (const controller of fleet.controllers)
      problems.push(...(await logProblems(apiOfController(controller, fleet.address().token), accepted)))
    problems.push(...twins.map((twin) => `${twin.jobId} had ${twin.attempts.join(' and ')} alive at once`))
    if (jobs.size !== accepted.length) problems.push(`${accepted.length} jobs were accepted, and there are ${jobs.size}`)
    const audit = await fleet.api.get<{ ok: boolean; problem: string | null }>('/audit/verify')
    if (!audit.ok) problems.push(`the journal does not verify: ${audit.problem ?? ''}`)
    await untilForgotten(fleet)
    await fleet.stop()
    problems.push(...(await fleet.residue()))
    console.log(`${jobs.size} jobs, ${followed.length} followed, ${looks} looks for twins, ${problems.length} problems`)
    return problems
  } finally {
    await fleet.remove()
  }
}

const problems = await playRounds()
for (const problem of problems) console.error(`✕ ${problem}`)
process.exitCode = problems.length === 0 ? 0 : 1
