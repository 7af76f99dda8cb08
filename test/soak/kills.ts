import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { JobView } from '../../src/model/api.ts'
import { allJobs, type Api } from '../e2e/api.ts'
import { startFleet, type Fleet } from '../e2e/fleet.ts'
import { watchForTwins } from '../e2e/observer.ts'
import { waitFor } from '../e2e/wait.ts'

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

/** A small seeded generator: a red round can be played again by its number. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

interface Submitted {
  readonly id: string
  readonly code: number
  readonly word: string
}

/** Submits jobs until told to stop; a create that got no answer is repeated with the same key, as the CLI does. */
function streamJobs(api: Api, random: () => number): { stop(): Promise<readonly Submitted[]> } {
  const accepted: Submitted[] = []
  const state = { going: true }
  const work = (async () => {
    for (let number = 0; state.going; number += 1) {
      const code = number % 5
      const word = `word-${first}-${number}`
      const key = `kills-${first}-${number}`
      const seconds = (0.2 + random() * 1.5).toFixed(2)
      const body = {
        script: `echo begin ${word}; sleep ${seconds}; echo end ${word}; exit ${code}`,
        name: word,
        timeoutS: 120,
        retries: 10,
      }
      const job = await waitFor(
        `job ${number} to be accepted`,
        () => api.post<JobView>('/jobs', body, { 'idempotency-key': key }).catch(() => null),
        120_000,
      )
      accepted.push({ id: job.id, code, word })
      await sleep(100 + random() * 500)
    }
  })()
  return {
    async stop() {
      state.going = false
      await work
      return accepted
    },
  }
}

async function killSomething(fleet: Fleet, random: () => number): Promise<string> {
  const victim = (['controller', 'agent', 'both'] as const)[Math.floor(random() * 3)] ?? 'both'
  if (victim !== 'agent') await fleet.killController()
  if (victim !== 'controller') await fleet.killAgent()
  if (random() < 0.5) await sleep(random() * 1500)
  if (victim !== 'agent') await fleet.startController()
  if (victim !== 'controller') await fleet.startAgent()
  return victim
}

function problemsOf(accepted: readonly Submitted[], jobs: ReadonlyMap<string, JobView>): readonly string[] {
  return accepted.flatMap(({ id, code, word }) => {
    const job = jobs.get(id)
    if (job === undefined) return [`${id} was accepted and is lost`]
    if (job.state !== 'ended' || job.outcome === null) return [`${id} is ${job.state}`]
    if (job.outcome.kind !== 'exited' || job.outcome.code !== code)
      return [`${id} (${word}) should exit ${code}, and has ${JSON.stringify(job.outcome)}`]
    const ended = job.attempts.filter((attempt) => attempt.outcome?.kind === 'exited')
    return ended.length === 1 ? [] : [`${id} has ${ended.length} attempts that ran to their end`]
  })
}

async function logProblems(api: Api, accepted: readonly Submitted[]): Promise<readonly string[]> {
  const problems: string[] = []
  for (const { id, word } of accepted) {
    // Followed: a job is over when its command is, and the last bytes of its log may come after that.
    const log = await api.text(`/jobs/${id}/log?follow=1`)
    if (log !== `begin ${word}\nend ${word}\n`) problems.push(`${id} has the log ${JSON.stringify(log.slice(0, 200))}`)
  }
  return problems
}

/** Waits as long as jobs go on ending: how fast they do depends on the machine, that they do must not. */
async function allEnded(fleet: Fleet): Promise<void> {
  const unfinished = async () => (await allJobs(fleet.api)).filter((job) => job.state !== 'ended').length
  for (let left = await unfinished(); left > 0;) {
    const before = left
    left = await waitFor(
      'another job to end',
      async () => {
        const now = await unfinished()
        return now < before ? { now } : null
      },
      180_000,
    ).then(
      ({ now }) => now,
      (error: unknown) => tellWhatIsStuck(fleet, error),
    )
  }
}

/** Says which jobs did not end and what their host knows of them, before the fleet and its files go. */
async function tellWhatIsStuck(fleet: Fleet, error: unknown): Promise<never> {
  const stuck = (await allJobs(fleet.api)).filter((job) => job.state !== 'ended')
  console.error(JSON.stringify(stuck, null, 1))
  console.error(JSON.stringify(await fleet.api.get('/hosts/host-1'), null, 1))
  for (const name of ['agent.log', 'controller.log']) {
    const log = await readFile(join(fleet.directory, name), 'utf8')
    console.error(`── the end of ${name}\n${log.split('\n').slice(-40).join('\n')}`)
  }
  throw error
}

/** The agent removes what it holds of an attempt when the controller has acknowledged end and log. What stays is a residue, named later. */
async function untilForgotten(fleet: Fleet): Promise<void> {
  const held = async () => (await fleet.residue()).some((thing) => thing.startsWith('supervisors/'))
  await waitFor('the agent to forget what ended', async () => !(await held())).catch((error: unknown) => console.error(String(error)))
}

async function playRounds(): Promise<readonly string[]> {
  const random = mulberry32(1000 + first)
  const fleet = await startFleet({ store, name: `kills-${store}-${first}` })
  try {
    const watch = watchForTwins()
    const stream = streamJobs(fleet.api, random)
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
